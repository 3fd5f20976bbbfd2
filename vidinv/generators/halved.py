"""Run the last block of a MobileStyleGAN at half its side, which gives the picture at a quarter of the full side.

The picture [N,3,s,s], averaged over the 2x2 cells of the exact one of 2s pixels, needs the last feature's mean over
each cell alone, for the map to RGB is linear and pointwise. So the block is run on means, of s pixels:

- Its first depthwise convolution follows an inverse Haar transform. The mean of both over a cell is a depthwise
  convolution of the four bands, 3x3 each, and exact.
- The activation is applied to the mean instead of averaging the activation: the only approximation.
- Its second depthwise convolution is the mean over a cell of what it gives of a feature that is constant in each.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.generators.haar import inverse_haar
from vidinv.generators.mobile_stylegan import Block, MobileStyleGAN, StyledConv, goes_in_one_pass


class HalvedBlock(nn.Module):
    """A head (`proxy.Proxy`): the feature before the last [N,C,s,s] and ws [N,L,D] -> image [N,3,s,s].

    `rows`, the generator's styles, replace those of ws if given. The head is built from the generator's current
    weights; nothing is trained.
    """

    def __init__(self, generator: MobileStyleGAN) -> None:
        super().__init__()
        layer = generator.layers[-2]
        self.channels, self.side, self.size = layer.channels, layer.resolution, layer.resolution
        block = generator.blocks[-1]
        assert isinstance(block, Block)
        wide, count = block.conv2.weight.shape[0], layer.channels // 4
        self.bands = [*range(count), *(c for c in range(count) for _ in range(3))]  # as `inverse_haar` reads them
        self.up, self.to_image = copy.deepcopy(block.up), copy.deepcopy(generator.to_image)
        self.conv1 = StyledConv(generator.w_dim, layer.channels, wide, self.side, separable=True)
        self.conv2 = StyledConv(generator.w_dim, wide, wide, self.side, separable=True)
        _take_means(self.conv1, block.conv1, inverse_haar, self.bands)
        _take_means(self.conv2, block.conv2, _repeated, range(wide))
        self.eval().requires_grad_(False)

    def forward(self, feature: Tensor, ws: Tensor, rows: Sequence[Tensor] | None = None) -> Tensor:
        if feature.shape[1:] != (self.channels, self.side, self.side):
            wanted = f"[N,{self.channels},{self.side},{self.side}]"
            raise ValueError(f"this head reads {wanted} features, got {tuple(feature.shape)}")
        up, first, second, last = rows[-4:] if rows is not None else self._styles(ws)
        style = up * first[:, self.bands]  # both scale the bands: a depthwise convolution lies between, which commutes
        if goes_in_one_pass(feature, self):
            x = self.conv1.in_one_pass(feature.contiguous(memory_format=torch.channels_last), style)
            x = self.conv2.in_one_pass(x, second)
        else:
            x = self.conv2(self.conv1(feature, style), second)
        return self.to_image(x, last, bands=3) * 0.5

    def _styles(self, ws: Tensor) -> tuple[Tensor, ...]:
        before, own, last = ws[:, -3], ws[:, -2], ws[:, -1]
        return self.up(before), self.conv1.style(before), self.conv2.style(own), self.to_image.style(last)


@torch.no_grad()
def _take_means(own: StyledConv, source: StyledConv, rise: Callable[[Tensor], Tensor], of: Sequence[int]) -> None:
    """Make `own` the mean over 2x2 cells of `source` after `rise`, which doubles the side.

    Channel k of what `own` reads is one of those that become channel `of[k]` of what `source` reads.
    """
    assert own.depthwise is not None and source.depthwise is not None
    count, kernel = len(of), source.depthwise.detach().cpu().float()
    impulse = torch.zeros(count, count, 5, 5)  # one a channel: what its middle gives around it is the kernel, turned
    impulse[range(count), range(count), 2, 2] = 1
    around = functional.conv2d(rise(impulse), kernel, padding=1, groups=len(kernel))
    mean = functional.avg_pool2d(around, 2)[range(count), of, 1:4, 1:4]  # [count,3,3]
    own.depthwise.copy_(mean.flip(1, 2)[:, None])
    own.style = copy.deepcopy(source.style)
    own.weight.copy_(source.weight[:, of])
    own.bias.copy_(source.bias)
    own.noise.copy_(functional.avg_pool2d(source.noise, 2))


def _repeated(x: Tensor) -> Tensor:
    """Double the side by repeating each value in its cell of 2x2."""
    return functional.interpolate(x, scale_factor=2, mode="nearest")
