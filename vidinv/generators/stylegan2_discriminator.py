"""Classify images with StyleGAN2's residual discriminator (Karras et al., "Analyzing and Improving ...").

Keys and shapes of the state are those of the `d` in the common PyTorch checkpoints. Double backward is supported, which
R1 needs.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vidinv.generators.equalized import Activation, EqualConv, EqualLinear
from vidinv.generators.fir import Blur
from vidinv.generators.stylegan2 import widths

GROUP = 4  # maximum number of images per group of the minibatch deviation


def deviations(x: Tensor) -> Tensor:
    """Return the minibatch deviation of each image's group: x [N,C,h,w] -> [N].

    The standard deviation over the group, averaged over channels and pixels ("Progressive Growing of GANs", section
    3). A group has up to 4 images, evenly spaced in the batch; as many as divide it.
    """
    size = max(g for g in range(1, GROUP + 1) if len(x) % g == 0)
    groups = x.unflatten(0, (size, -1))  # [g,N/g,C,h,w]
    return (groups.var(0, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3)).repeat(size)


def with_deviation(x: Tensor, deviation: Tensor) -> Tensor:
    """Append the `deviation` [N] as a channel to x [N,C,h,w] -> [N,C+1,h,w]."""
    n, _, height, width = x.shape
    return torch.cat([x, deviation.view(n, 1, 1, 1).expand(n, 1, height, width)], 1)


def conv(c_in: int, c_out: int, side: int, *, down: bool = False, activate: bool = True) -> nn.Sequential:
    """Build a blur (if `down`), an equalised convolution, and bias and leaky ReLU (if `activate`)."""
    if down:
        halving = EqualConv(c_in, c_out, side, stride=2, bias=False)
        layers = [Blur(padding=1 + side // 2), halving]
    else:
        layers = [EqualConv(c_in, c_out, side, padding=side // 2, bias=False)]
    return nn.Sequential(*layers, *([Activation(c_out)] if activate else []))


class ResBlock(nn.Module):
    """(convolutions + skip) / sqrt(2), at half the side: [N,I,h,w] -> [N,O,h/2,w/2]."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv1 = conv(c_in, c_in, 3)
        self.conv2 = conv(c_in, c_out, 3, down=True)
        self.skip = conv(c_in, c_out, 1, down=True, activate=False)

    def forward(self, x: Tensor) -> Tensor:
        return (self.conv2(self.conv1(x)) + self.skip(x)) / 2**0.5


def trunk(channels: dict[int, int]) -> nn.Sequential:
    """Build the trunk from RGB to 4x4 pixels: 1x1 convolution, then a block per halving; `channels` by side."""
    down = sorted(channels, reverse=True)
    blocks = [ResBlock(channels[side], channels[side // 2]) for side in down[:-1]]
    return nn.Sequential(conv(3, channels[down[0]], 1), *blocks)


class Discriminator(nn.Module):
    """RGB images [N,3,S,S] in [-1,1] -> logits [N,1]; high is real.

    An image's logit depends on the rest of the batch, by `deviation`. A batch must hold only real or only generated
    images: in a mixed group the deviation cannot distinguish them.
    """

    def __init__(
        self,
        resolution: int = 1024,
        *,
        channel_multiplier: float = 2,
        channel_max: int = 512,
        deviation: Callable[[Tensor], Tensor] = deviations,
    ) -> None:
        super().__init__()
        self.resolution, self.deviation = resolution, deviation
        channels = widths(resolution, channel_multiplier, channel_max)
        self.convs = trunk(channels)
        self.final_conv = conv(channels[4] + 1, channels[4], 3)
        self.final_linear = nn.Sequential(
            EqualLinear(channels[4] * 16, channels[4], activate=True), EqualLinear(channels[4], 1)
        )

    def forward(self, image: Tensor) -> Tensor:
        if image.shape[1:] != (3, self.resolution, self.resolution):
            raise ValueError(f"images must be [N,3,{self.resolution},{self.resolution}], got {tuple(image.shape)}")
        x = self.convs(image.contiguous(memory_format=torch.channels_last))
        x = self.final_conv(with_deviation(x, self.deviation(x)))
        return self.final_linear(x.flatten(1))  # channel-major
