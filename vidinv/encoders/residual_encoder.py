"""Encode images in several looks: a first encoder, then corrections from what the generator drew of its codes.

The first encoder (frozen) sees only the picture x. Each further look sees x, the picture y = G(w, F) of the codes so
far, F, and the generator's own feature G^K(w), and adds a correction to w+ and to F (ReStyle, arXiv:2104.02699, for the
repeated residual look; StyleFeatureEditor, arXiv:2406.10601, for the two features side by side). The weights of all
looks are shared. It replaces most steps of `vidinv/editing/refine.py` by forward passes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.encoders import feature_style_light
from vidinv.encoders.base import Encoder
from vidinv.encoders.feature_style_light import SHIPPED, FeatureStyleLight, StyleHead
from vidinv.frames import Code
from vidinv.generators import proxy
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.generators.proxy import ImageDecoder

LOOKS = 2  # corrections of a trained encoder
GROUPS = 8  # of group normalisation: looks differ in scale, so batch statistics of one would be wrong for another


class CorrectionSizes(TypedDict):
    """Channels of a correction at 64, 32, 16, 8 and 4 pixels, and residual blocks at 16."""

    widths: tuple[int, int, int, int, int]
    blocks: int


SIZES = CorrectionSizes(widths=(64, 128, 192, 256, 256), blocks=5)
TINY = CorrectionSizes(widths=(8, 8, 8, 8, 8), blocks=1)


class NormalisedBlock(nn.Module):
    """skip(x) + conv3x3(SiLU(GN(conv3x3(SiLU(GN(x)))))); the second convolution carries the stride."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(GROUPS, c_in),
            nn.SiLU(),
            nn.Conv2d(c_in, c_out, 3, padding=1),
            nn.GroupNorm(GROUPS, c_out),
            nn.SiLU(),
            nn.Conv2d(c_out, c_out, 3, stride, 1),
        )
        is_same = stride == 1 and c_in == c_out
        self.skip = nn.Identity() if is_same else nn.Conv2d(c_in, c_out, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return self.skip(x) + self.body(x)


class Correction(nn.Module):
    """One look: (x, y [N,3,S,S], F, G^K(w) [N,C,s,s], w+ [N,L,D]) -> changes of w+ and of F, zero when untrained.

    Features are given, and the change of F is returned, in units of the generator's own spread.
    """

    def __init__(
        self, channels: int, slots: int, w_dim: int, fold: int, sizes: CorrectionSizes, rank: int = 32
    ) -> None:
        super().__init__()
        c64, c32, c16, c8, c4 = sizes["widths"]
        self.fold = fold
        self.look = nn.Conv2d(6 * fold**2, c64, 3, padding=1)
        self.to32 = nn.Sequential(NormalisedBlock(c64, c64), NormalisedBlock(c64, c32, 2))
        self.to16 = nn.Sequential(NormalisedBlock(c32, c32), NormalisedBlock(c32, c16, 2))
        self.features = nn.Conv2d(2 * channels, c16, 1)
        self.blocks16 = nn.Sequential(*(NormalisedBlock(c16, c16) for _ in range(sizes["blocks"])))
        self.to_feature = nn.Conv2d(c16, channels, 3, padding=1)
        self.to4 = nn.Sequential(NormalisedBlock(c16, c8, 2), NormalisedBlock(c8, c4, 2))
        self.from_ws = nn.Linear(w_dim, c4)
        self.vector = nn.Sequential(nn.Linear(c4 * 16 + c4, 512), nn.SiLU())
        self.style = StyleHead(512, slots, w_dim, rank)
        for last in (self.to_feature, self.style.shared, self.style.rank):
            nn.init.zeros_(last.weight)
            assert last.bias is not None
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, y: Tensor, feature: Tensor, own: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        """`offset` is w+ minus the average latent."""
        folded = functional.pixel_unshuffle(torch.cat([x, x - y], 1), self.fold)  # [N,6*fold^2,64,64]
        x16 = self.to16(self.to32(self.look(folded)))
        x16 = self.blocks16(x16 + self.features(torch.cat([feature, own - feature], 1)))
        pooled = functional.adaptive_avg_pool2d(self.to4(x16), 4)
        vector = self.vector(torch.cat([pooled.flatten(1), self.from_ws(offset.mean(1))], 1))
        return self.style(vector).float(), self.to_feature(x16).float()


@dataclass(frozen=True)
class Drawing:
    """What the looks need of the generator: its feature G^K(w), and quick pictures of codes.

    Copies of an encoder share it, since its networks are frozen.
    """

    generator: Generator
    decoder: ImageDecoder

    def __deepcopy__(self, memo: dict[int, Any]) -> Drawing:
        return self

    def picture(self, ws: Tensor, feature: Tensor, at: int, size: int) -> Tensor:
        return resize(self.decoder(ws, feature, at).float(), size).clamp(-1.5, 1.5)


class ResidualEncoder(Encoder):
    """Encode images [N,3,S,S] in [-1,1] by a frozen first encoder and `looks` corrections with shared weights.

    While it trains, each batch draws how many looks it gets, 1 to `looks`; only the last one has gradients.
    """

    w_avg: Tensor
    f_mean: Tensor
    f_std: Tensor

    def __init__(
        self, first: FeatureStyleLight, generator: Generator, sizes: CorrectionSizes = SIZES, looks: int = LOOKS
    ) -> None:
        super().__init__()
        self.space, self.at, self.input_size = first.space, first.at, first.input_size
        self.looks = looks
        self.first = first.eval().requires_grad_(False)
        self.correction = Correction(first.f_mean.shape[1], generator.num_ws, generator.w_dim, first.fold, sizes)
        self.register_buffer("w_avg", first.w_avg.clone())
        self.register_buffer("f_mean", first.f_mean.clone())
        self.register_buffer("f_std", first.f_std.clone())
        # In a tuple it is not registered as a submodule, so the generator's weights are not part of the state.
        self._drawing = (Drawing(generator, proxy.image_decoder(generator, min(256, generator.resolution))),)

    def train(self, mode: bool = True) -> ResidualEncoder:
        """Set the mode of the correction; the first encoder keeps its trained statistics."""
        super().train(mode)
        self.first.eval()
        return self

    def forward(self, image: Tensor, c: Tensor | None = None) -> Code:
        with torch.no_grad():
            code = self.first(image)
        looks = self.looks
        if self.training:
            looks = 1 + int(torch.randint(self.looks, ()))
        x = resize(image, self.input_size)
        for _ in range(looks - 1):
            with torch.no_grad():
                code = self._corrected(code, x)
        return self._corrected(code, x)

    def _corrected(self, code: Code, x: Tensor) -> Code:
        assert code.feature is not None and self.at is not None
        ws, feature = code.ws.float(), code.feature.float()
        drawing = self._drawing[0]
        with torch.no_grad():
            y = drawing.picture(ws, feature, self.at, self.input_size)
            own = drawing.generator.synthesize(ws, stop=self.at).float()
        change, feature_change = self.correction(
            x, y, self._normalised(feature), self._normalised(own), ws - self.w_avg
        )
        return replace(code, ws=ws + change, feature=feature + self.f_std * feature_change)

    def _normalised(self, feature: Tensor) -> Tensor:
        return (feature - self.f_mean) / self.f_std


def for_generator(generator: Generator) -> ResidualEncoder:
    """Build an untrained residual encoder: it gives the codes of its first encoder.

    The first encoder is the shipped one for the default generator, and an untrained one for others.
    """
    if generator.space == "mobile-stylegan-ffhq-w":
        first = feature_style_light.load_shipped(SHIPPED, generator.space, generator.layer_at(16))
        return ResidualEncoder(first, generator)
    first = feature_style_light.for_generator(generator, **feature_style_light.TINY_SIZES)
    return ResidualEncoder(first, generator, TINY)
