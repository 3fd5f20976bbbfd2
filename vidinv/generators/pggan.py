"""Generate images with the fully grown generator of "Progressive Growing of GANs" (Karras et al.).

The state's keys are those of the PyTorch conversions with `lod`, `layer{i}` and `output{i}`; weights are unscaled.
There is one row of w+: the latent z itself, followed by the class c if there are classes. Feature k is what
`layer{k}` gives: convolution (from the second resolution on, even k doubles the side first), bias, leaky ReLU and
pixelwise normalisation.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from vidinv.generators.base import LayerSpec, Noise
from vidinv.generators.chain import Chain
from vidinv.generators.equalized import GAIN, SLOPE, EqualConv, normalized
from vidinv.generators.stylegan2 import widths


class PGGAN(Chain):
    """See the module docstring. `channel_multiplier` and `channel_max` as in `stylegan2.widths`; 1 is as published."""

    lod: Tensor  # the level of detail that was reached; 0 is fully grown

    def __init__(
        self,
        name: str,
        space: str,
        resolution: int = 1024,
        *,
        channel_multiplier: float = 1,
        channel_max: int = 512,
        z_dim: int = 512,
        c_dim: int = 0,
    ) -> None:
        super().__init__()
        self.name, self.space, self.resolution = name, space, resolution
        self.z_dim, self.c_dim, self.w_dim, self.num_ws = z_dim, c_dim, z_dim + c_dim, 1
        channels = widths(resolution, channel_multiplier, channel_max)
        self.register_buffer("lod", torch.zeros(()))
        specs = []
        for index, (side, width) in enumerate(channels.items()):
            below = channels[side // 2] if index else self.w_dim
            first = EqualConv(below, width, 3, padding=1, gain=GAIN)
            if index == 0:  # the 1x1 latent becomes 4x4
                first = EqualConv(below, width, 4, padding=3, gain=GAIN)
            self.add_module(f"layer{2 * index}", first)
            self.add_module(f"layer{2 * index + 1}", EqualConv(width, width, 3, padding=1, gain=GAIN))
            self.add_module(f"output{index}", EqualConv(width, 3, 1))  # only the last draws
            specs += [LayerSpec(f"layer{k}", width, side, (0,) if k == 0 else ()) for k in (2 * index, 2 * index + 1)]
        self.layers = tuple(specs)
        self.register_buffer("w_avg", torch.zeros(self.w_dim), persistent=False)
        self.w_avg[z_dim:] = 1 / max(c_dim, 1)

    def map(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Return w: z, followed by c if there are classes."""
        self._check_latent(z, c)
        return z if c is None or not self.c_dim else torch.cat([z, c], 1)

    @property
    def typical(self) -> Tensor:
        """Return a sample: latents lie on a sphere, and their average is not a valid latent."""
        return self.sample(1, seed=0)[0]

    def styles(self, ws: Tensor) -> list[Tensor]:
        """Return no styles: this generator has no modulation."""
        self._check(ws)
        return []

    def first_weights(self, rows: tuple[int, int]) -> Tensor:
        """A [C,D]: the kernel by which the first layer makes 4x4 features of the latent, C = 16 O (SeFa, Sec. 3.2)."""
        first = self.get_submodule("layer0")
        assert isinstance(first, EqualConv)
        return first.weight.detach().permute(0, 2, 3, 1).flatten(0, 2)  # [O,D,4,4] -> [16 O,D]

    def _layer(self, k: int, x: Tensor | None, ws: Tensor, rows: list[Tensor], noise: Noise) -> Tensor:
        if x is None:
            x = normalized(ws[:, 0])[:, :, None, None]
        elif k % 2 == 0:
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
        x = x.contiguous(memory_format=torch.channels_last)
        return normalized(functional.leaky_relu(self.get_submodule(f"layer{k}")(x), SLOPE))

    def _image(self, x: Tensor, picture: Tensor | None, rows: list[Tensor], size: int | None) -> Tensor:
        return self.get_submodule(f"output{len(self.layers) // 2 - 1}")(x).contiguous()


def tiny(name: str = "pggan-tiny", c_dim: int = 0) -> PGGAN:
    """A seeded random network of 32x32, for tests."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = PGGAN(name, space=f"{name}-z", resolution=32, channel_max=16, z_dim=32, c_dim=c_dim)
    return network.eval().requires_grad_(False)
