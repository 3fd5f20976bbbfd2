"""Generate images with BigGAN-deep (Brock et al., "Large Scale GAN Training for ...", appendix B).

The state's keys are those of the common PyTorch checkpoints (`embeddings`, `generator.gen_z`,
`generator.layers.{i}`), with the spectral norm folded into the weights. There is one row of w+, [z | e(c)]: the latent
and the embedded class, so that both can be inverted and edited. The batch statistics depend on the truncation of z:
`truncation` in [0, 1] selects them.

Feature 0 is the linear layer's output at 4x4, feature k that of `generator.layers.{k-1}`, a residual block or the
self-attention.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.generators.base import LayerSpec, Noise
from vidinv.generators.chain import Chain

Blocks = tuple[tuple[bool, int, int], ...]  # doubles the side, channels in and out in units of the width

_TO_32 = ((False, 16, 16), (True, 16, 16), (False, 16, 16), (True, 16, 8), (False, 8, 8))
_AT_64 = ((True, 8, 8), (False, 8, 8), (True, 8, 4))
BLOCKS: dict[int, Blocks] = {  # by resolution: the paper's tables 7 to 9
    128: (*_TO_32, (True, 8, 4), (False, 4, 4), (True, 4, 2), (False, 2, 2), (True, 2, 1)),
    256: (*_TO_32, *_AT_64, (False, 4, 4), (True, 4, 2), (False, 2, 2), (True, 2, 1)),
    512: (*_TO_32, *_AT_64, (False, 4, 4), (True, 4, 2), (False, 2, 2), (True, 2, 1), (False, 1, 1), (True, 1, 1)),
}
ATTENTION_BEFORE = 8  # this block
STATISTICS = 51  # batch statistics are stored for truncation 0, 0.02, ... 1
EPS = 1e-4
REDUCTION = 4  # of the channels inside a residual block
Z_CUT = 2.0  # z beyond this is drawn again, then scaled by the truncation


class BatchNorm(nn.Module):
    """Normalisation by stored statistics, one set [T,C] for each of T truncations from 0 to 1."""

    running_means: Tensor  # [T,C], buffers
    running_vars: Tensor

    def __init__(self, channels: int, statistics: int) -> None:
        super().__init__()
        self.register_buffer("running_means", torch.zeros(statistics, channels))
        self.register_buffer("running_vars", torch.ones(statistics, channels))

    def normalize(self, x: Tensor, scale: Tensor, shift: Tensor, truncation: float) -> Tensor:
        """scale (x - mean) / sqrt(var + eps) + shift for x [N,C,h,w]; scale and shift are [N,C] or [1,C]."""
        mean, variance = (self._at(stored, truncation) for stored in (self.running_means, self.running_vars))
        factor = scale * (variance + EPS).rsqrt()
        return torch.addcmul((shift - mean * factor)[:, :, None, None], x, factor[:, :, None, None])

    @staticmethod
    def _at(stored: Tensor, truncation: float) -> Tensor:
        """Interpolate between the two stored sets [C] that are nearest to a truncation."""
        place = truncation * (len(stored) - 1)
        below = min(int(place), max(len(stored) - 2, 0))
        return stored[below].lerp(stored[min(below + 1, len(stored) - 1)], place - below)


class ConditionalBatchNorm(BatchNorm):
    """Its scale 1 + s and shift o are linear in the row of w+."""

    def __init__(self, channels: int, w_dim: int, statistics: int) -> None:
        super().__init__(channels, statistics)
        self.scale = nn.Linear(w_dim, channels, bias=False)
        self.offset = nn.Linear(w_dim, channels, bias=False)

    def style(self, w: Tensor) -> Tensor:
        """w [N,D] -> [N,2C], s and o."""
        return torch.cat([self.scale(w), self.offset(w)], 1)

    def forward(self, x: Tensor, style: Tensor, truncation: float) -> Tensor:
        scale, shift = style.chunk(2, 1)
        return self.normalize(x, 1 + scale, shift, truncation)


class FinalBatchNorm(BatchNorm):
    """With a scale and shift of its own."""

    def __init__(self, channels: int, statistics: int) -> None:
        super().__init__(channels, statistics)
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, truncation: float) -> Tensor:
        return self.normalize(x, self.weight[None], self.bias[None], truncation)


class ResBlock(nn.Module):
    """Four times batch norm, ReLU, convolution (1x1, 3x3, 3x3, 1x1), plus the input, whose last channels are dropped.

    The side is doubled by nearest neighbours after the second ReLU, and in the input.
    """

    def __init__(self, c_in: int, c_out: int, w_dim: int, statistics: int, *, up: bool) -> None:
        super().__init__()
        self.up, self.c_out = up, c_out
        inner = c_in // REDUCTION
        sizes = ((c_in, inner, 1), (inner, inner, 3), (inner, inner, 3), (inner, c_out, 1))
        for index, (read, made, side) in enumerate(sizes):
            self.add_module(f"bn_{index}", ConditionalBatchNorm(read, w_dim, statistics))
            self.add_module(f"conv_{index}", nn.Conv2d(read, made, side, padding=side // 2))

    def norms(self) -> list[ConditionalBatchNorm]:
        """Return its four batch norms in order."""
        return [norm for norm in self.children() if isinstance(norm, ConditionalBatchNorm)]

    def forward(self, x: Tensor, rows: list[Tensor], truncation: float) -> Tensor:
        """x [N,I,h,w], rows: the styles of its batch norms -> [N,O,h,w] or the doubled side."""
        y = x
        for index, norm in enumerate(self.norms()):
            y = functional.relu(norm(y, rows[index], truncation))
            if index == 1 and self.up:
                y = functional.interpolate(y, scale_factor=2, mode="nearest")
            y = self.get_submodule(f"conv_{index}")(y)
        kept = x[:, : self.c_out]
        return y + (functional.interpolate(kept, scale_factor=2, mode="nearest") if self.up else kept)


class SelfAttention(nn.Module):
    """x + gamma * o(g softmax(theta phi)): every pixel looks at all 2x2 cells (Zhang et al., "SAGAN")."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.snconv1x1_theta = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.snconv1x1_phi = nn.Conv2d(channels, channels // 8, 1, bias=False)
        self.snconv1x1_g = nn.Conv2d(channels, channels // 2, 1, bias=False)
        self.snconv1x1_o_conv = nn.Conv2d(channels // 2, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        queries = self.snconv1x1_theta(x).flatten(2)  # [N,C/8,h*w]
        keys = functional.max_pool2d(self.snconv1x1_phi(x), 2).flatten(2)  # [N,C/8,h*w/4]
        values = functional.max_pool2d(self.snconv1x1_g(x), 2).flatten(2)  # [N,C/2,h*w/4]
        weights = torch.bmm(queries.transpose(1, 2), keys).softmax(2)  # [N,h*w,h*w/4]
        seen = torch.bmm(values, weights.transpose(1, 2)).unflatten(2, x.shape[2:])
        return x + self.gamma * self.snconv1x1_o_conv(seen)


class Synthesis(nn.Module):
    """The parts that the checkpoints keep under `generator`."""

    def __init__(self, w_dim: int, first: int, layers: list[nn.Module], last: int, statistics: int) -> None:
        super().__init__()
        self.gen_z = nn.Linear(w_dim, 16 * first)
        self.layers = nn.ModuleList(layers)
        self.bn = FinalBatchNorm(last, statistics)
        self.conv_to_rgb = nn.Conv2d(last, last, 3, padding=1)  # of its channels three are the picture


class BigGAN(Chain):
    """See the module docstring. `width`: channels of the last block; `blocks`, `attention_before` as in the tables."""

    def __init__(
        self,
        name: str,
        space: str,
        resolution: int = 512,
        *,
        width: int = 128,
        blocks: Blocks | None = None,
        attention_before: int = ATTENTION_BEFORE,
        z_dim: int = 128,
        class_dim: int = 128,
        classes: int = 1000,
        statistics: int = STATISTICS,
    ) -> None:
        super().__init__()
        self.name, self.space, self.resolution = name, space, resolution
        if blocks is None and resolution not in BLOCKS:
            raise ValueError(f"BigGAN-deep is published at {', '.join(map(str, BLOCKS))}, not at {resolution}")
        blocks = BLOCKS[resolution] if blocks is None else blocks
        self.z_dim, self.c_dim, self.w_dim, self.num_ws = z_dim, classes, z_dim + class_dim, 1
        self.truncation = 1.0
        self.embeddings = nn.Linear(classes, class_dim, bias=False)
        layers: list[nn.Module] = []
        side, first = 4, blocks[0][1] * width
        specs = [LayerSpec("gen_z", first, side, (0,))]
        for index, (up, c_in, c_out) in enumerate(blocks):
            if index == attention_before:
                layers.append(SelfAttention(c_in * width))
                specs.append(LayerSpec("attention", c_in * width, side, ()))
            layers.append(ResBlock(c_in * width, c_out * width, self.w_dim, statistics, up=up))
            side *= 2 if up else 1
            specs.append(LayerSpec(f"block{index}", c_out * width, side, (0,)))
        if side != resolution:
            raise ValueError(f"these blocks give {side} pixels, not {resolution}")
        self.generator = Synthesis(self.w_dim, first, layers, width, statistics)
        self.layers = tuple(specs)

    @property
    def w_avg(self) -> Tensor:  # type: ignore[override]
        """Return zeros, followed by the mean of the classes' embeddings: [D]."""
        mean = self.embeddings.weight.mean(1)
        return torch.cat([mean.new_zeros(self.z_dim), mean])

    def map(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Return w = [z | e(c)]."""
        self._check_latent(z, c)
        assert c is not None
        return torch.cat([z, self.embeddings(c)], 1)

    def latents(self, count: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Return `count` seeded z, normal within +-2 and scaled by `truncation`, and uniform classes."""
        random = torch.Generator().manual_seed(seed)
        z = torch.empty(count, self.z_dim)
        nn.init.trunc_normal_(z, a=-Z_CUT, b=Z_CUT, generator=random)
        return z.to(self.embeddings.weight) * self.truncation, self._classes(count, random)

    def truncate(self, w: Tensor, psi: float) -> Tensor:
        """Scale z by psi and keep the class; the batch statistics follow `truncation`, which is set separately."""
        return torch.cat([w[..., : self.z_dim] * psi, w[..., self.z_dim :]], -1)

    def styles(self, ws: Tensor) -> list[Tensor]:
        """Return four [N,2C] per residual block: the scale offsets and shifts of its batch norms."""
        self._check(ws)
        return [norm.style(ws[:, 0]) for block in self._blocks() for norm in block.norms()]

    def _layer(self, k: int, x: Tensor | None, ws: Tensor, rows: list[Tensor], noise: Noise) -> Tensor:
        if x is None:
            spec = self.layers[0]
            made: Tensor = self.generator.gen_z(ws[:, 0]).unflatten(1, (4, 4, spec.channels))  # [N,4,4,C]
            return made.permute(0, 3, 1, 2)
        layer = self.generator.layers[k - 1]
        if isinstance(layer, SelfAttention):
            return layer(x)
        assert isinstance(layer, ResBlock)
        place = 4 * self._blocks().index(layer)
        return layer(x.contiguous(memory_format=torch.channels_last), rows[place : place + 4], self.truncation)

    def _image(self, x: Tensor, picture: Tensor | None, rows: list[Tensor], size: int | None) -> Tensor:
        x = functional.relu(self.generator.bn(x, self.truncation))
        convolution = self.generator.conv_to_rgb
        assert convolution.bias is not None
        return torch.tanh(functional.conv2d(x, convolution.weight[:3], convolution.bias[:3], padding=1)).contiguous()

    def _blocks(self) -> list[ResBlock]:
        return [layer for layer in self.generator.layers if isinstance(layer, ResBlock)]


def tiny(name: str = "biggan-tiny") -> BigGAN:
    """A seeded random network of 32x32 with three classes, for tests."""
    blocks = ((True, 4, 4), (True, 4, 2), (False, 2, 2), (True, 2, 1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = BigGAN(
            name,
            f"{name}-z",
            32,
            width=8,
            blocks=blocks,
            attention_before=2,
            z_dim=12,
            class_dim=8,
            classes=3,
            statistics=5,
        )
        for norm in network.modules():
            if isinstance(norm, BatchNorm):
                norm.running_means.normal_(std=0.1)
                norm.running_vars.uniform_(0.1, 1.0)
            if isinstance(norm, SelfAttention):
                nn.init.constant_(norm.gamma, 0.5)
    return network.eval().requires_grad_(False)
