"""Train a deep automodulator (Heljakka et al.): encoder and decoder against each other, without a discriminator.

There is one training per resolution, from small to large, each in its own folder. Each stage adds a block to the
networks of the previous one and fades it in. A turn has two steps, the encoder's and the decoder's
(`trainers/automodulator/losses.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidinv.encoders import automodulator as encoders
from vidinv.encoders.automodulator import AutomodulatorEncoder
from vidinv.generators.automodulator import Automodulator
from vidinv.generators.base import Noise
from vidinv.generators.ops import resize
from vidinv.losses.robust import RobustLoss
from vidinv.media.image_grid import image_grid
from vidinv.progress import Progress
from vidinv.trainers.automodulator import growing
from vidinv.trainers.automodulator.config import AutomodulatorRecipe, Stage
from vidinv.trainers.automodulator.losses import AutomodulatorLosses, GrowingBatch, rows
from vidinv.trainers.core import checkpoint, launch, loop
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.data.keyed_dataset import ImageDataset, KeyedDataset
from vidinv.trainers.data.step_sampler import SampleKey

SHOWN = 8  # pictures per row of a sample grid
BETAS, EPS = (0.0, 0.99), 1e-8
Open = Callable[[int], ImageDataset]  # side in pixels -> dataset


class DecoderForward(nn.Module):
    """G as one forward: ws [N,L,D] -> image [N,3,S,S], or the canvas of layer `stop`."""

    def __init__(self, generator: Automodulator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, ws: Tensor, share: float = 1.0, stop: int | None = None, noise: Noise = "const") -> Tensor:
        self.generator.share = share
        return self.generator.synthesize(ws, stop=stop, noise=noise).float()


class EncoderForward(nn.Module):
    """E as one forward: image [N,3,S,S] -> z [N,D]."""

    def __init__(self, encoder: AutomodulatorEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor, share: float = 1.0) -> Tensor:
        self.encoder.share = share
        return self.encoder(image).ws[:, 0].float()


@dataclass(frozen=True)
class AutomodulatorSetup:
    """A stage before its first turn. `networks`: G, E and the learned robust distance."""

    recipe: AutomodulatorRecipe
    stage: Stage
    networks: dict[str, nn.Module]
    steps: list[loop.Step]
    plan: loop.Plan
    generator: Automodulator
    encoder: AutomodulatorEncoder


def build_decoder(recipe: AutomodulatorRecipe, side: int, *, grows: bool = False) -> Automodulator:
    """Return the recipe's untrained decoder at a side in pixels."""
    return Automodulator(recipe.name, f"{recipe.name}-z", growing=grows, **decoder_settings(recipe, side))


def decoder_settings(recipe: AutomodulatorRecipe, side: int) -> dict[str, Any]:
    """Return the decoder's constructor settings, which its file stores."""
    keys = ("channel_max", "halves_from", "w_dim", "extra")
    return {"resolution": side} | {key: getattr(recipe, key) for key in keys}


def set_up(
    recipe: AutomodulatorRecipe, stage: Stage, before: AutomodulatorSetup | None = None, device: str = "cpu"
) -> AutomodulatorSetup:
    """Build a stage's two steps and its networks, grown from the stage `before` if there is one."""
    here = launch.process_rank()
    recipe.check(here.count)
    torch.manual_seed(recipe.seed + stage.side)
    generator = build_decoder(recipe, stage.side, grows=before is not None)
    encoder = encoders.for_generator(generator, growing=before is not None)
    robust = RobustLoss(stage.side)
    if before is not None:
        growing.grow(generator, before.generator, "to_rgb")
        growing.grow(encoder, before.encoder, "from_rgb")
        distance = before.networks["robust"]
        assert isinstance(distance, RobustLoss)
        robust = distance.grown()
    networks: dict[str, nn.Module] = {"G": DecoderForward(generator), "E": EncoderForward(encoder), "robust": robust}
    for network in networks.values():
        network.to(device)
    losses = AutomodulatorLosses(recipe, stage.margin, generator.num_ws)
    steps = [
        loop.Step("encoder", ("E", "robust"), _adam(stage.rate), _in(recipe, losses.encoder)),
        loop.Step("decoder", ("G",), _adam(stage.rate), _in(recipe, losses.decoder)),
    ]
    plan = loop.Plan(
        stage.images,
        stage.batch,
        accelerator=device,
        devices=here.count,
        machines=here.machines,
        seed=recipe.seed + stage.side,
        ema=recipe.ema,
        save_every=recipe.save_every,
        sample_every=max(stage.images // 5, stage.batch),
        workers=recipe.workers,
    )
    return AutomodulatorSetup(recipe, stage, networks, steps, plan, generator, encoder)


def _adam(rate: float) -> Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer]:
    return lambda parameters: torch.optim.Adam(parameters, lr=rate, betas=BETAS, eps=EPS)


def _in(recipe: AutomodulatorRecipe, loss: loop.Loss) -> loop.Loss:
    """Run the loss in the recipe's precision."""

    def minimised(networks: loop.Networks, batch: GrowingBatch, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.autocast(batch.image.device.type, torch.bfloat16, enabled=recipe.half):
            return loss(networks, batch, random)

    return minimised


def train(
    recipe: AutomodulatorRecipe, open_at: Open, folder: Path, device: str = "cpu", progress: Progress | None = None
) -> tuple[Automodulator, AutomodulatorEncoder]:
    """Train every stage to its end, resuming from `folder`; returns the averaged decoder and encoder."""
    setup: AutomodulatorSetup | None = None
    average: dict[str, Tensor] = {}
    for stage in recipe.stages:
        is_first = setup is None
        setup, pictures, place = set_up(recipe, stage, setup, device), open_at(stage.side), folder / stage.folder
        if recipe.settle and not is_first and not checkpoint.exists(place):
            train_new_blocks(setup, pictures, place.with_name(f"{stage.folder}-block"), progress)
        average = _train(setup, pictures, place, is_first, progress)
    assert setup is not None
    return averaged_networks(setup, average)


def train_new_blocks(
    setup: AutomodulatorSetup, pictures: ImageDataset, folder: Path, progress: Progress | None
) -> None:
    """Train only a stage's new layers, to imitate the layers that stand in for them."""
    recipe, plan = setup.recipe, setup.plan
    new = {id(value) for value in growing.new_parts(setup.generator, setup.encoder).parameters()}
    adam = _adam(growing.RATE)
    step = loop.Step(
        "block",
        ("G", "E"),
        lambda parameters: adam([value for value in parameters if id(value) in new]),
        _in(recipe, growing.new_block_loss),
    )

    loop.train(
        setup.networks,
        [step],
        GrowingPictures(pictures, setup.stage, 0.0),
        replace(plan, images=recipe.settle, rate=lambda seen: 1 - seen / recipe.settle),
        folder,
        progress=progress,
    )


def _train(
    setup: AutomodulatorSetup, pictures: ImageDataset, folder: Path, first: bool, progress: Progress | None
) -> dict[str, Tensor]:
    """Return the averaged weights after a stage; a finished stage is only read."""
    growing_pictures = GrowingPictures(pictures, setup.stage, 0.0 if first else setup.recipe.fade)

    def samples(networks: loop.Networks) -> Tensor:
        device, share = next(networks["G"].parameters()).device, setup.generator.share  # of the last turn
        image = blend_resolutions(pictures.draw(SHOWN, 7), share).to(device)
        z = torch.randn(SHOWN, setup.recipe.w_dim, generator=torch.Generator().manual_seed(7)).to(device)
        again = networks["G"](rows(networks["E"](image, share), setup.generator.num_ws), share)
        prior = networks["G"](rows(setup.generator.map(z), setup.generator.num_ws), share)
        return image_grid([image, again, prior])

    return loop.train(setup.networks, setup.steps, growing_pictures, setup.plan, folder, samples, progress)


@dataclass(frozen=True, eq=False)
class GrowingPictures(KeyedDataset):
    """Pictures at the sharpness of a stage, whose newest block is faded in over a share `fade` of its images."""

    pictures: ImageDataset
    stage: Stage
    fade: float

    @property
    def length(self) -> int | None:
        return self.pictures.length

    @property
    def decodes(self) -> bool:
        return self.pictures.decodes

    def batch(self, keys: Sequence[SampleKey]) -> GrowingBatch:
        """Return the pictures of the keys of one step, and the block's fade-in share."""
        share = fade_in_share(keys[0].step * self.stage.batch, self.stage.images, self.fade)
        return GrowingBatch(blend_resolutions(self.pictures.batch(keys), share), torch.tensor(share))


def fade_in_share(seen: int, images: int, fade: float) -> float:
    """Return the fade-in share, in [0,1], of a stage's block after `seen` of its images."""
    return 1.0 if fade == 0 else min(1.0, seen / (fade * images))


def blend_resolutions(image: Tensor, share: float) -> Tensor:
    """Blend pictures with their half-resolution version, as a network does whose last block is faded in by `share`."""
    if share >= 1:
        return image
    side = image.shape[-1]
    return torch.lerp(resize(resize(image, side // 2), side), image, share)


def averaged_networks(
    setup: AutomodulatorSetup, average: Mapping[str, Tensor]
) -> tuple[Automodulator, AutomodulatorEncoder]:
    """Return decoder and encoder with averaged weights and without stand-ins, frozen, in eval mode."""
    generator = build_decoder(setup.recipe, setup.stage.side)
    encoder = encoders.for_generator(generator)
    for network, prefix in ((generator, "G.generator."), (encoder, "E.encoder.")):
        own = {key.removeprefix(prefix): value for key, value in average.items() if key.startswith(prefix)}
        network.load_state_dict({key: value for key, value in own.items() if not key.startswith("before")})
        network.eval().requires_grad_(False)
    return generator, encoder
