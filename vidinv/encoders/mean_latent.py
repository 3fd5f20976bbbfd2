"""Return the average latent as the code of any image, the start of refinement for a generator without an encoder."""

from __future__ import annotations

from torch import Tensor

from vidinv.encoders import class_conditional
from vidinv.encoders.base import Encoder
from vidinv.frames import Code
from vidinv.generators.base import Generator

SIDE = 16  # pixels, side of the published encoder's feature code


class Mean(Encoder):
    """Give any image the latent `start` [D] in every row, and the generator's own feature of it at layer `at`."""

    start: Tensor

    def __init__(self, generator: Generator, at: int, start: Tensor) -> None:
        super().__init__()
        self.register_buffer("start", start.clone(), persistent=False)
        self.space, self.at, self.input_size = generator.space, at, generator.resolution
        self._drawer = (
            generator,
        )  # in a tuple it is not registered as a submodule, so its weights are not part of the state

    def forward(self, image: Tensor, c: Tensor | None = None) -> Code:
        (generator,) = self._drawer
        ws = generator.broadcast(self.start[None]).repeat(len(image), 1, 1)  # [N,L,D]
        return Code(ws, generator.synthesize(ws, stop=self.at), self.at, space=self.space)


def for_generator(generator: Generator, label: int | None = None) -> Mean:
    """Build the encoder for a generator; F replaces the last layer with the side nearest to SIDE (36 in StyleGAN3).

    `label` is the pictures' class for a class-conditional generator.
    """
    sides = [abs(spec.resolution - SIDE) for spec in generator.layers]
    at = max(k for k, far in enumerate(sides) if far == min(sides))
    return Mean(generator, at, class_conditional.typical(generator, label))
