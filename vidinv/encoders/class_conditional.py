"""Bind the encoder of a class-conditional generator to one class."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vidinv.encoders import adaptive
from vidinv.encoders.base import Encoder
from vidinv.encoders.encoder_file import GeneratorFeature
from vidinv.errors import UsageError
from vidinv.frames import Code
from vidinv.generators.base import Generator

SAMPLES = 1000


class OfClass(Encoder):
    """Encoder that uses the class `c` [1,classes] for every picture unless another class is given."""

    c: Tensor

    def __init__(self, encoder: Encoder, c: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.input_size, self.space, self.at = encoder.input_size, encoder.space, encoder.at
        self.gives_feature = encoder.gives_feature
        self.register_buffer("c", c, persistent=False)

    def forward(self, image: Tensor, c: Tensor | None = None) -> Code:
        return self.encoder(image, self.c.expand(len(image), -1) if c is None else c)


def one_hot(generator: Generator, label: int) -> Tensor:
    """Return the one-hot c [1,classes] of a class index. Raises UsageError if the generator has no such class."""
    if not 0 <= label < generator.c_dim:
        known = (
            f"its classes are 0 to {generator.c_dim - 1}" if generator.c_dim else "it has no classes: remove the label"
        )
        raise UsageError(f"{generator.name} has no class {label}", remedy=known)
    return functional.one_hot(torch.tensor([label], device=generator.w_avg.device), generator.c_dim).to(generator.w_avg)


def bind_class(encoder: Encoder, generator: Generator, label: int | None) -> Encoder:
    """Return the encoder for one class; unchanged without a label. Raises UsageError if it needs a label."""
    if isinstance(encoder, GeneratorFeature):
        return GeneratorFeature(bind_class(encoder.encoder, generator, label), generator)
    if label is not None:
        return OfClass(encoder, one_hot(generator, label))
    if isinstance(encoder, adaptive.ClassEncoder):
        raise UsageError(
            f"the encoder of {generator.name} needs the class of the pictures",
            remedy=f"set the backend's label, 0 to {generator.c_dim - 1}",
        )
    return encoder


@torch.no_grad()
def typical(generator: Generator, label: int | None) -> Tensor:
    """Return a start latent [D] for optimisation: the sample of the class that is nearest to the samples' mean."""
    if label is None:
        return generator.typical
    random = torch.Generator().manual_seed(0)
    z = torch.randn(SAMPLES, generator.z_dim, generator=random).to(generator.w_avg)
    w = generator.map(z, one_hot(generator, label).expand(SAMPLES, -1))
    return w[int((w - w.mean(0)).norm(dim=1).argmin())]
