"""Grow a deep automodulator by one block at either end, and train the new block to imitate its stand-in.

An untrained block and RGB layer output noise with twenty times the variance of a picture. Faded in over millions of
pictures, they have time to learn; over some ten thousand they first destroy what the other layers learned.
`new_block_loss` trains them alone, with all other layers frozen, to imitate the layers that stand in for them, so that
picture and code hardly depend on the fade-in share. This step is not in the paper.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.encoders.automodulator import AutomodulatorEncoder
from vidinv.generators.automodulator import Automodulator
from vidinv.generators.ops import resize
from vidinv.trainers.automodulator.losses import GrowingBatch, mixture
from vidinv.trainers.core import loop
from vidinv.trainers.core.step_random import StepRandom

RATE = 1e-2  # initial learning rate; it falls linearly to 0


@torch.no_grad()
def grow(wide: nn.Module, small: nn.Module, rgb: str) -> None:
    """Copy all shared weights; the small network's RGB layer becomes the stand-in for the wide one's new block."""
    known = wide.state_dict()
    for key, value in small.state_dict().items():
        name = key.replace(rgb, "before", 1) if key.startswith(rgb) else key
        if not key.startswith("before"):  # stand-ins of the previous stage are dropped
            known[name].copy_(value)


def new_parts(generator: Automodulator, encoder: AutomodulatorEncoder) -> nn.ModuleList:
    """Return the layers that the networks of half the side do not have."""
    assert generator.before_at is not None
    blocks = list(generator.blocks)[(generator.before_at + 1) // 2 :]
    return nn.ModuleList([*blocks, generator.to_rgb, encoder.from_rgb, next(iter(encoder.blocks.values()))])


def new_block_loss(
    networks: loop.Networks, batch: GrowingBatch, random: StepRandom
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the mean squared errors of picture and feature between the new layers and their stand-ins.

    G and E are those of `automodulator.set_up`. Codes are mixtures; the encoder gets real and generated pictures.
    """
    generator, encoder, image = networks["G"].generator, networks["E"].encoder, batch.image
    assert isinstance(generator, Automodulator) and isinstance(encoder, AutomodulatorEncoder)
    assert generator.before is not None and generator.before_at is not None
    a, b = (generator.map(random.normal(len(image), generator.z_dim)) for _ in range(2))
    block = int(torch.randint(1, generator.num_ws // 2 + 1, (), generator=random.shared()))
    ws = mixture(a, b, generator.num_ws, block)
    styles = generator.styles(ws)  # the styles of the new layers are trained too
    with torch.no_grad():
        canvas = generator.synthesize(ws, styles=styles, stop=generator.before_at, noise=random.noise)
        wanted = resize(generator.before(canvas), generator.resolution).float()
    drawn = generator.synthesize(ws, styles=styles, canvas=canvas, start=generator.before_at + 1, noise=random.noise)
    shown = torch.cat([image, wanted]).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        known = encoder.stand_in(shown).float()
    parts = {
        "picture": functional.mse_loss(drawn.float(), wanted),
        "feature": functional.mse_loss(encoder.first(shown).float(), known),
    }
    return parts["picture"] + parts["feature"], parts
