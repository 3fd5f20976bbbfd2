"""How a deep automodulator grows: a block more at either end, which first learns what it comes in for.

A new block and a new way to RGB draw noise, whose variance is twenty times a picture's. While they come in over
millions of pictures the rest has the time to teach them; over some ten thousand it is undone first. `settling` is the
loss that teaches them alone, on fixed networks, to do what stands in for them; then the picture and the code hardly
depend on how far they have come in. It is not in the paper.
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

RATE = 1e-2  # at the beginning; it falls to 0 along a line


@torch.no_grad()
def grow(wide: nn.Module, small: nn.Module, rgb: str) -> None:
    """Copy what both have; the small one's way from or to RGB becomes what the wide one's block comes in from."""
    known = wide.state_dict()
    for key, value in small.state_dict().items():
        name = key.replace(rgb, "before", 1) if key.startswith(rgb) else key
        if not key.startswith("before"):  # of the stage before that
            known[name].copy_(value)


def newest(generator: Automodulator, encoder: AutomodulatorEncoder) -> nn.ModuleList:
    """The parts that the networks of half the side do not have."""
    assert generator.before_at is not None
    blocks = list(generator.blocks)[(generator.before_at + 1) // 2 :]
    return nn.ModuleList([*blocks, generator.to_rgb, encoder.from_rgb, next(iter(encoder.blocks.values()))])


def settling(networks: loop.Networks, batch: GrowingBatch, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
    """How far the new parts are from what stands in for them: mean squared errors, of picture and of feature.

    G and E are those of `automodulator.set_up`. Codes are mixtures, and the encoder is shown pictures as sharp as they
    are and drawn ones.
    """
    generator, encoder, image = networks["G"].generator, networks["E"].encoder, batch.image
    assert isinstance(generator, Automodulator) and isinstance(encoder, AutomodulatorEncoder)
    assert generator.before is not None and generator.before_at is not None
    a, b = (generator.map(random.normal(len(image), generator.z_dim)) for _ in range(2))
    block = int(torch.randint(1, generator.num_ws // 2 + 1, (), generator=random.shared()))
    ws = mixture(a, b, generator.num_ws, block)
    styles = generator.styles(ws)  # the new layers' have to be taught
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
