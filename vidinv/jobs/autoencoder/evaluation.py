"""Measure how well a trained autoencoder reconstructs, samples and mixes (`vidinv evaluate generative`)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vidinv.editing import style_mixing
from vidinv.generators.automodulator import Automodulator
from vidinv.jobs.autoencoder.trained import BATCH, Autoencoder
from vidinv.losses.lpips import LPIPS
from vidinv.metrics import image as images
from vidinv.metrics.distribution import Frechet, diversity
from vidinv.metrics.smoothness import path_length, round_the_sphere, straight


@dataclass(frozen=True)
class AutoencoderEvaluators:
    """LPIPS, and the feature network of the Frechet distances."""

    perceptual: LPIPS
    features: nn.Module


def evaluate(of: Autoencoder, real: Tensor, evaluators: AutoencoderEvaluators, *, seed: int = 0) -> dict[str, Any]:
    """Measure `real` pictures [N,3,S,S] in [-1,1] and as many samples; all Frechet distances are against `real`.

    `seconds` is the time of encoding and drawing one picture.
    """
    count = len(real)
    start = time.perf_counter()
    codes = of.encode(real)
    again = of.draw(codes)
    seconds = (time.perf_counter() - start) / count
    drawn = of.draw(of.sample(count, seed))
    sets = {
        "samples": drawn,
        "sample_reconstructions": of.draw(of.encode(drawn)),
        **from_codes(of, codes),
    }
    return {
        "n": count,
        "seconds": seconds,
        "mse": float((again - real).square().mean()),
        "psnr": float(images.psnr(again, real).mean()),
        "lpips": float(torch.cat([evaluators.perceptual(a, b) for a, b in _pairs(again, real)]).mean()),
        **{f"frechet_{name}": frechet(evaluators.features, real, made) for name, made in sets.items()},
        "lpips_diversity": diversity(evaluators.perceptual, drawn),
        "lpips_diversity_real": diversity(evaluators.perceptual, real),
        "ppl_full": smoothness(of, evaluators.perceptual, count, full=True, seed=seed),
        "ppl_end": smoothness(of, evaluators.perceptual, count, full=False, seed=seed),
    }


def from_codes(of: Autoencoder, codes: Tensor) -> dict[str, Tensor]:
    """Reconstructions, coarse mixtures and midpoints [N,3,S,S] of codes [N,L,D], each with its batch neighbour."""
    other = codes.roll(1, 0)
    mixed = style_mixing.mix(codes, other, style_mixing.rows(of.generator, "coarse"))
    middle = style_mixing.on_its_manifold(of.generator, (codes + other) / 2)
    return {"reconstructions": of.draw(codes), "mixtures": of.draw(mixed), "interpolations": of.draw(middle)}


@torch.no_grad()
def frechet(features: nn.Module, real: Tensor, made: Tensor) -> float:
    """The Frechet distance of two sets of pictures."""
    metric = Frechet(features)
    for a, b in _pairs(real, made):
        metric.add(a, real=True)
        metric.add(b, real=False)
    return metric.distance()


def smoothness(of: Autoencoder, perceptual: LPIPS, count: int, *, full: bool, seed: int) -> float:
    """The perceptual path length in W, or on an automodulator's sphere."""
    between = round_the_sphere if isinstance(of.generator, Automodulator) else straight
    first, second = (of.generator.sample(count, seed=seed + place) for place in (1, 2))
    return path_length(
        lambda w: of.generator.synthesize(of.generator.broadcast(w)),
        between,
        perceptual,
        _pairs(first, second),
        full=full,
        seed=seed,
    )


def _pairs(a: Tensor, b: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(a.split(BATCH), b.split(BATCH), strict=True)
