"""`vidinv evaluate generative`: measure a trained autoencoder's reconstructions, samples and mixtures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidinv.cli import json_target, options
from vidinv.errors import UsageError
from vidinv.terminal import print_line

if TYPE_CHECKING:
    from torch import Tensor

FEATURES = {"vgg16": "lpips/vgg16", "mobilenet-v2": "features/mobilenet-v2"}


def generative(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of vidinv train ae-stylegan or automodulator.")],
    data: Annotated[Path, typer.Option("--data", metavar="PATH", help="Held-out pictures: folder or corpus.")],
    count: Annotated[int, typer.Option(help="Number of pictures (a corpus' last ones) and of samples.", min=4)] = 1000,
    features: Annotated[
        str, typer.Option(metavar="vgg16|mobilenet-v2", help="Feature network of the Frechet distances.")
    ] = "vgg16",
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    card: Annotated[bool, typer.Option("--card", help="Also write the model card, DIR/card.md.")] = False,
    json_to: options.JsonTo = None,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
) -> None:
    """Measure MSE, PSNR and LPIPS of reconstructions, Frechet distances, LPIPS diversity and perceptual path length.

    Frechet distances to the pictures are given for samples, reconstructions, reconstructions of samples, mixtures and
    interpolations; with these feature networks they are comparable to each other, not to published FIDs. LPIPS uses
    VGG16.

    Example: vidinv evaluate generative runs/ae --data corpus.npy --json -
    """
    from vidinv.jobs.autoencoder import evaluation as autoencoder_evaluation
    from vidinv.jobs.autoencoder import trained as trained_autoencoder
    from vidinv.losses.lpips import LPIPS
    from vidinv.metrics.distribution import LastTap
    from vidinv.metrics.mobilenet import load_mobilenet
    from vidinv.trainers.core import model_card
    from vidinv.weights import cache

    if features not in FEATURES:
        raise UsageError(f"unknown --features {features!r}", remedy=f"choose one of {', '.join(FEATURES)}")
    if card:
        model_card.check_card(folder)
    of = trained_autoencoder.load_autoencoder(folder)
    real = _pictures(data, count, of.generator.resolution)
    cache.pull([*{"lpips/vgg16", FEATURES[features]}], offline=offline, accept=accept_licences)
    perceptual = LPIPS.load("vgg16")
    judges = autoencoder_evaluation.AutoencoderEvaluators(
        perceptual, LastTap(perceptual) if features == "vgg16" else load_mobilenet()
    )
    found = {"features": features} | autoencoder_evaluation.evaluate(of, real, judges, seed=seed)
    if card:
        model_card.write_card(folder, of.generator, found, f"pictures of {data.name}")
    if json_to is not None:
        json_target.write_json(found, json_to)
    if json_to != "-":
        for key, value in found.items():
            print_line(f"{key:<30} {value:.4f}" if isinstance(value, float) else f"{key:<30} {value}")


def _pictures(data: Path, count: int, size: int) -> Tensor:
    """Read at most `count` pictures [N,3,size,size]. Raises InputUnreadable."""
    from vidinv.jobs.autoencoder import trained as trained_autoencoder
    from vidinv.trainers.data import corpus

    if data.suffix != ".npy":
        return trained_autoencoder.read_pictures([data], size)[:count]
    found = corpus.open_corpus(data, size)
    last = found.last(min(count, len(found)))
    return last.at(list(range(len(last))))
