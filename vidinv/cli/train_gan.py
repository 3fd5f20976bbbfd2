"""`vidinv train gan-encoder`: train an encoder that mirrors its generator on samples, or tune it to pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidinv import extras
from vidinv.cli import json_target, options, recipes
from vidinv.errors import InputUnreadable, UsageError
from vidinv.terminal import print_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from vidinv.encoders.base import Encoder
    from vidinv.trainers.gan_encoder.config import GanRecipe
    from vidinv.trainers.gan_encoder.evaluate import Figures
    from vidinv.trainers.gan_encoder.train import GanEncoderSetup, GanEvaluators, GanRenderContext

GROUP = "train/gan_encoder"
Classifier = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="An ImageNet VGG16 for regions=heat. Default: MobileNetV2."),
]


def gan_encoder(
    output: recipes.Output = None,
    resume: recipes.Resume = None,
    config: recipes.Config = None,
    changes: options.Changes = None,
    classifier: Classifier = None,
    device: recipes.Device = "auto",
    dry_run: recipes.DryRun = False,
    json_to: options.JsonTo = None,
    offline: options.Offline = False,
    accept_licences: options.AcceptLicences = False,
) -> None:
    """Train an encoder that mirrors a generator on its samples; with photos=FOLDER, tune one to each photo.

    Recipes: light, light-fine, paper-256, paper-512, paper-1024, biggan, fine. The result is measured on held-out
    samples, or on the photos, and written to evaluation.json.

    Example: vidinv train gan-encoder -o runs/adaptive --config light --set samples=4000
    """
    extras.require_training()
    from vidinv.generators import registry
    from vidinv.jobs.request import pick_device
    from vidinv.trainers.core import launch, loop
    from vidinv.trainers.gan_encoder import train as gan_encoder
    from vidinv.trainers.gan_encoder.config import GanRecipe
    from vidinv.weights import cache

    if launch.process_rank().count > 1:
        raise UsageError("gan-encoder training supports one process only", remedy="start it without torchrun")
    folder, recipe = recipes.resolve(GanRecipe, GROUP, output, resume, config, changes)
    if recipe.start:
        recipe = replace(recipe, start=str(Path(recipe.start).absolute()))
    recipe.check()
    if not dry_run:
        recipes.claim(folder, recipe, GROUP, again=resume is not None)
    cache.pull(_needs(recipe, classifier), offline=offline, accept=accept_licences)
    generator = registry.load_generator(recipe.generator, pick_device(device))
    context = gan_encoder.render_context(
        recipe, generator, _evaluators(recipe, classifier, str(generator.w_avg.device))
    )
    if dry_run:
        setup = gan_encoder.set_up(context)
        print_line(recipes.text(recipe))
        print_line(loop.describe(setup.networks, [setup.step], setup.plan))
        return
    gan_encoder.encoder_facts(context)  # raises for unusable settings before the folder is created
    faces = _faces(recipe) if recipe.photos else {}
    recipes.keep(folder, recipe)
    made = _tuned(context, faces, folder) if faces else _pretrained(gan_encoder.set_up(context), folder)
    recipes.keep_evaluation(folder, made)
    if json_to is not None:
        json_target.write_json(made, json_to)
    if json_to != "-":
        print_line("\n".join(_lines(made)))


def _needs(recipe: GanRecipe, classifier: Path | None) -> list[str]:
    """Return the catalogue names of the weights that the recipe needs."""
    needs = [f"lpips/{recipe.network}"]
    needs += ["generator/mobile-stylegan-ffhq"] if recipe.generator == "mobile-stylegan-ffhq-1024" else []
    return needs + (["features/mobilenet-v2"] if recipe.regions == "heat" and classifier is None else [])


def _evaluators(recipe: GanRecipe, classifier: Path | None, device: str) -> GanEvaluators:
    from vidinv.losses.lpips import LPIPS
    from vidinv.metrics.mobilenet import load_mobilenet
    from vidinv.metrics.vgg import load_vgg16
    from vidinv.trainers.gan_encoder.train import GanEvaluators

    perceptual = LPIPS.load(recipe.network).to(device)
    if recipe.regions != "heat":
        return GanEvaluators(perceptual)
    if classifier is None:
        return GanEvaluators(perceptual, load_mobilenet().to(device))
    try:
        return GanEvaluators(perceptual, load_vgg16(classifier).to(device))
    except (OSError, RuntimeError) as error:
        what = str(error).splitlines()[0]
        raise InputUnreadable(f"{classifier} is not a VGG16 with torchvision's names ({what})") from error


def _pretrained(setup: GanEncoderSetup, folder: Path) -> dict[str, Figures]:
    """Train to the end, write the encoder, and evaluate it on held-out samples."""
    from vidinv.encoders import encoder_file
    from vidinv.trainers.gan_encoder import evaluate as gan_evaluate
    from vidinv.trainers.gan_encoder import train as gan_encoder

    context = setup.context
    state = gan_encoder.pretrain(setup, folder)
    encoder_file.write_encoder(folder / "encoder.safetensors", state, gan_encoder.encoder_facts(context))
    setup.encoder.load_state_dict(state)
    held = gan_encoder.split_fold(context.recipe)[1][: context.recipe.judged]
    return (
        {"held-out": gan_evaluate.evaluate_encoder(setup.encoder, context, gan_evaluate.sample_batches(context, held))}
        if held
        else {}
    )


def _faces(recipe: GanRecipe) -> dict[str, Tensor]:
    """Return the photos [N,3,S,S] by name, each alone or all as one. Raises InputUnreadable if none can be read."""
    import torch

    from vidinv.trainers.data.photos import open_photos

    photos = open_photos(Path(recipe.photos), recipe.size)
    found = {path.stem: photos.picture(place) for place, path in enumerate(photos.files)}
    pictures = {name: picture for name, picture in found.items() if picture is not None}
    if not pictures:
        raise InputUnreadable(f"none of the {len(photos.files)} photos can be read", remedy="see the warnings")
    return pictures if recipe.each else {"all": torch.cat(list(pictures.values()))}


def _tuned(context: GanRenderContext, groups: Mapping[str, Tensor], folder: Path) -> dict[str, Figures]:
    """Tune to each group of faces separately, and evaluate before and after; `mean` is over all photos."""
    from vidinv.encoders import encoder_file
    from vidinv.trainers.gan_encoder import evaluate as gan_evaluate
    from vidinv.trainers.gan_encoder import train as gan_encoder

    before: list[Figures] = []
    after: dict[str, Figures] = {}
    for name, group in groups.items():
        faces = group.to(context.generator.w_avg.device)
        setup = gan_encoder.set_up(context)
        before.append(_of_faces(setup.encoder, context, faces))
        state = gan_encoder.fine_tune(setup, faces, folder / name)
        encoder_file.write_encoder(folder / name / "encoder.safetensors", state, gan_encoder.encoder_facts(context))
        setup.encoder.load_state_dict(state)
        after[name] = _of_faces(setup.encoder, context, faces)
    return {
        "before": gan_evaluate.mean_figures(before),
        "mean": gan_evaluate.mean_figures(list(after.values())),
        **after,
    }


def _of_faces(encoder: Encoder, context: GanRenderContext, faces: Tensor) -> Figures:
    from vidinv.trainers.gan_encoder import evaluate as gan_evaluate
    from vidinv.trainers.gan_encoder import train as gan_encoder

    return gan_evaluate.evaluate_encoder(
        encoder, context, [gan_encoder.photo_batch(context, part) for part in faces.split(context.recipe.batch)]
    )


def _lines(made: dict[str, Figures]) -> list[str]:
    lines = [f"{'':>16} {'view':>6} {'psnr':>7} {'ssim':>6} {'lpips':>6} {'n':>5}"]
    for name, views in made.items():
        for view, row in views.items():
            lines.append(
                f"{name[:16]:>16} {view:>6} {row['psnr']:7.2f} {row['ssim']:6.3f} {row['lpips']:6.3f} {row['n']:5.0f}"
            )
    return lines
