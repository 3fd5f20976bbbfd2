"""A turn or two of every training, tiny, on a device: what the pretended device and a GPU are both tried with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from tests.helpers.ae_recipes import recipe as ae_recipe
from tests.helpers.automodulator_recipes import recipe as modulator_recipe
from tests.helpers.gan_recipes import TINY as TINY_GAN
from tests.helpers.quiet_training import Quiet
from tests.helpers.tuning_recipes import SMALL, TUNING, tuned
from vidinv.backends.tiny import MeanDifference, guides
from vidinv.encoders import registry as encoders
from vidinv.encoders.feature_style_light import TINY_SIZES, for_generator
from vidinv.generators import registry as generators
from vidinv.trainers.ae_stylegan import train as ae_stylegan
from vidinv.trainers.automodulator import train as automodulator
from vidinv.trainers.automodulator.train import GrowingPictures
from vidinv.trainers.core import loop
from vidinv.trainers.data import generated_samples
from vidinv.trainers.data.keyed_dataset import KeyedDataset
from vidinv.trainers.data.toy_images import Blobs
from vidinv.trainers.feature_style import fit_to_clip
from vidinv.trainers.feature_style import train as feature_style
from vidinv.trainers.feature_style.config import FeatureStyleRecipe
from vidinv.trainers.feature_style.losses import Evaluators, RenderNetworks
from vidinv.trainers.gan_encoder import train as gan_encoder

JUDGES = Evaluators(guides().identity, guides().perceptual, None)
State = dict[str, Tensor]


def joint(device: str, folder: Path) -> State:
    """AE-StyleGAN with all that looks at the whole batch."""
    changes = {"adaptive": True, "ada": True, "latent": 1.0, "path": 2.0, "path_every": 2, "r1_every": 2}
    setup = ae_stylegan.set_up(ae_recipe(**changes), None, device)
    setup.networks["ada"].p.fill_(0.5)  # type: ignore[operator, union-attr]
    return _two_turns(setup, Blobs(), folder)


def decoupled(device: str, folder: Path) -> State:
    setup = ae_stylegan.set_up(ae_recipe(scheme="decoupled", space="w_plus", r1_every=2), None, device)
    return _two_turns(setup, Blobs(), folder)


def modulator(device: str, folder: Path) -> State:
    recipe = modulator_recipe(first=8, size=8, extra=True, mirror=1.0, margins=(50.0,))
    setup = automodulator.set_up(recipe, recipe.stages[0], None, device)
    return _two_turns(setup, GrowingPictures(Blobs(8), setup.stage, 0.0), folder)


def _two_turns(setup: Any, data: KeyedDataset, folder: Path) -> State:
    plan = replace(setup.plan, images=2 * setup.plan.batch, save_every=10**9, sample_every=10**9)
    return loop.train(setup.networks, setup.steps, data, plan, folder, progress=Quiet())


def gan(strategy: str) -> Callable[[str, Path], State]:
    def train(device: str, folder: Path) -> State:
        recipe = replace(TINY_GAN, samples=12, held_out=4, strategy=strategy)
        generator = generators.load_generator(recipe.generator, device)
        setup = gan_encoder.set_up(
            gan_encoder.render_context(recipe, generator, gan_encoder.GanEvaluators(MeanDifference()))
        )
        return gan_encoder.pretrain(setup, folder, Quiet())

    return train


def near_perfect(device: str, folder: Path) -> State:
    """With movement, discriminator and proxy gaps; the steps of all of them."""
    recipe = replace(SMALL, steps=4, look=2, movement_every=2, cohesion_every=2, guard=0.0)
    return tuned(generators.load_generator("mobile-stylegan-tiny", device), recipe, folder, progress=Quiet()).state


def tuned_encoder(device: str, folder: Path) -> State:
    network = generators.load_generator("mobile-stylegan-tiny", device)
    with torch.no_grad():
        faces = network.synthesize(network.broadcast(network.sample(6, seed=9))).clamp(-1, 1)

    def paint(ws: Tensor, feature: Tensor | None = None, at: int | None = None) -> Tensor:
        return network.synthesize(ws, feature=feature, at=at)

    drawing, encoder = (
        RenderNetworks(network, paint, 2, torch.ones(1, device=device)),
        encoders.load_encoder("feature-style-tiny"),
    )
    tuning = replace(TUNING, steps=3)
    made = fit_to_clip.tune(encoder.to(device), drawing, JUDGES, faces[:4], tuning, folder, Quiet(), held=faces[4:])
    return made.state


def feature_style_encoder(device: str, folder: Path) -> State:
    """Fresh samples, a pool of true pictures, and everything that spoils a picture."""
    generator = generators.load_generator("mobile-stylegan-tiny", device)
    recipe = FeatureStyleRecipe(images=8, batch=4, size=128, occlude=True, jitter=True, compress=True)
    generated_samples.draw_pool(generator, 2, folder / "pool", 8, 128)
    with mock.patch.object(
        feature_style, "initial_encoder", lambda generator, recipe: for_generator(generator, **TINY_SIZES)
    ):
        setup = feature_style.set_up(generator, recipe, JUDGES)
    path = feature_style.train(setup, generated_samples.load_pool(folder / "pool"), folder)
    return {"written": torch.tensor(float(path.exists()))}


TRAININGS: dict[str, Callable[[str, Path], State]] = {
    "ae-stylegan-joint": joint,
    "ae-stylegan-decoupled": decoupled,
    "automodulator": modulator,
    "gan-encoder-paper": gan("paper"),
    "gan-encoder-1": gan("1"),
    "gan-encoder-2": gan("2"),
    "near-perfect": near_perfect,
    "tuned-encoder": tuned_encoder,
    "feature-style": feature_style_encoder,
}
