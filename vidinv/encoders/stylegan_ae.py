"""Encode images with AE-StyleGAN's encoder: a discriminator trunk of the generator's widths, and two linear layers.

It is trained together with its generator (`trainers/ae_stylegan/train.py`) and gives no feature code.
"""

from __future__ import annotations

from torch import Tensor, nn

from vidinv.encoders.base import Encoder
from vidinv.frames import Code
from vidinv.generators.base import Generator
from vidinv.generators.equalized import EqualLinear
from vidinv.generators.ops import resize
from vidinv.generators.stylegan2_discriminator import conv, trunk


class TrunkEncoder(Encoder):
    """Encode images [N,3,S,S] to w+ [N,L,D]; `tied` (the space W) gives one w [N,D] for all rows.

    `channels` by side are those of the discriminator. There is no minibatch deviation, so that an image's code does not
    depend on the rest of the batch.
    """

    gives_feature = False

    def __init__(self, channels: dict[int, int], slots: int, w_dim: int, *, tied: bool, space: str, at: int) -> None:
        super().__init__()
        self.input_size, self.space, self.at = max(channels), space, at
        self.slots, self.tied = slots, tied
        width = channels[4]
        self.convs = trunk(channels)
        self.final_conv = conv(width, width, 3)
        self.final_linear = nn.Sequential(
            EqualLinear(width * 16, width, activate=True), EqualLinear(width, w_dim if tied else slots * w_dim)
        )

    def forward(self, image: Tensor, c: Tensor | None = None) -> Code:
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"faces must be [N,3,S,S], got {tuple(image.shape)}")
        x = self.final_conv(self.convs(resize(image, self.input_size)))
        w = self.final_linear(x.flatten(1))
        ws = w[:, None].expand(-1, self.slots, -1) if self.tied else w.unflatten(1, (self.slots, -1))
        return Code(ws, space=self.space)


def for_generator(generator: Generator, *, tied: bool, feature_side: int = 16) -> TrunkEncoder:
    """Build an untrained encoder with the generator's widths and space."""
    channels = {spec.resolution: spec.channels for spec in generator.layers}
    at = generator.layer_at(feature_side)
    return TrunkEncoder(channels, generator.num_ws, generator.w_dim, tied=tied, space=generator.space, at=at)
