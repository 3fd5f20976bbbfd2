"""Export modules: wrap the encoder, the proxy head and the generator as modules of tensors alone, for the engines.

The inputs of a code are ws [N,L,D], its feature [N,C,h,w] or None, and an offset [N,S] of style channels or None.
"""

from __future__ import annotations

from torch import Tensor, nn

from vidinv.encoders.base import Encoder
from vidinv.generators.base import Generator
from vidinv.generators.proxy import ImageDecoder


class EncodingModule(nn.Module):
    """image [N,3,S,S] -> ws [N,L,D], and the feature [N,C,h,w] where the encoder has a feature branch.

    The other parts of an encoder's code (z, a class, a constant input) follow from these, and no stage reads them.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        code = self.encoder(image)
        return (code.ws,) if code.feature is None else (code.ws, code.feature)


class SketchModule(nn.Module):
    """Code -> the picture [N,3,s,s] of the proxy head; `at` is the layer of the feature."""

    def __init__(self, proxy: ImageDecoder, at: int | None) -> None:
        super().__init__()
        self.proxy, self.at = proxy, at

    def forward(self, ws: Tensor, feature: Tensor | None = None, styles: Tensor | None = None) -> tuple[Tensor]:
        return (self.proxy(ws, feature, self.at, styles),)


class PictureModule(nn.Module):
    """Code -> the picture [N,3,size,size] of the generator; `at` is the layer of the feature."""

    def __init__(self, generator: Generator, at: int | None, size: int) -> None:
        super().__init__()
        self.generator, self.at, self.size = generator, at, size

    def forward(self, ws: Tensor, feature: Tensor | None = None, styles: Tensor | None = None) -> tuple[Tensor]:
        rows = self.generator.restyled(ws, styles)
        return (self.generator.synthesize(ws, feature=feature, at=self.at, styles=rows, size=self.size),)


class SketchAndPicture(nn.Module):
    """Code without styles -> the pictures of the proxy head and of the generator; their shared layers run once."""

    def __init__(self, proxy: ImageDecoder, at: int | None, size: int) -> None:
        super().__init__()
        self.proxy, self.at, self.size = proxy, at, size

    def forward(self, ws: Tensor, feature: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.proxy.with_whole(ws, feature, self.at, self.size)
