"""Run a synthesis network as a chain of layers that can be cut, continued and given features at any layer."""

from __future__ import annotations

import torch
from torch import Tensor

from vidinv.generators.base import Generator, Noise


class Chain(Generator):
    """Base of generators whose layer k maps the output of layer k - 1 to feature k; a family defines the layers.

    A given feature replaces the output of its layer after that layer has contributed to the image. In a family whose
    image is a sum over the layers (`sums_pictures`), the contributions of the layers below still come from ws, so these
    layers run whenever an image is requested; in other families nothing below a replaced layer runs.
    """

    noise_modes: tuple[str, ...] = ("const", "random", "none")
    sums_pictures = False

    def synthesize(
        self,
        ws: Tensor,
        *,
        feature: Tensor | None = None,
        at: int | None = None,
        styles: list[Tensor] | None = None,
        start: int = 0,
        stop: int | None = None,
        canvas: Tensor | None = None,
        noise: Noise = "const",
        size: int | None = None,
    ) -> Tensor:
        if (noise if isinstance(noise, str) else "random") not in self.noise_modes:
            raise ValueError(f"{self.name} supports noise {' and '.join(self.noise_modes)}, got noise={noise!r}")
        if size is not None and size not in self.sizes:
            raise ValueError(f"{self.name} gives images of {self.sizes}, asked for {size}")
        self._check(ws)
        rows = self.styles(ws) if styles is None else styles
        given = self._given(feature, at, start, canvas)
        last = len(self.layers) - 1 if stop is None else stop
        draws = stop is None
        begin = 0
        if not (draws and self.sums_pictures):  # layers below a replaced layer do not affect the output
            begin = 1 + max((k for k in given if draws or k < last), default=-1)
        x = given[begin - 1] if begin else self._own_input(start, canvas)
        picture = None
        for k in range(begin, last + 1):
            x = self._layer(k, x, ws, rows, noise)
            if draws:
                picture = self._draw(k, x, picture, rows)
                x = given.get(k, x)
            elif k < last:
                x = given.get(k, x)
        assert x is not None
        return self._image(x, picture, rows, size) if draws else x

    def _layer(self, k: int, x: Tensor | None, ws: Tensor, rows: list[Tensor], noise: Noise) -> Tensor:
        """Compute feature k from feature k - 1; for k = 0 `x` replaces the constant input, or is None."""
        raise NotImplementedError("abstract: a family defines its layers")

    def _draw(self, k: int, x: Tensor, picture: Tensor | None, rows: list[Tensor]) -> Tensor | None:
        """Add the contribution of layer k, whose own output is `x`, to the image so far."""
        return picture

    def _image(self, x: Tensor, picture: Tensor | None, rows: list[Tensor], size: int | None) -> Tensor:
        """Return the image from the last feature and the accumulated image."""
        raise NotImplementedError("abstract: a family defines how an image is made")

    def _given(self, feature: Tensor | None, at: int | None, start: int, canvas: Tensor | None) -> dict[int, Tensor]:
        """Return given features by the layer whose output they replace: the start canvas, and the feature code."""
        if (feature is None) != (at is None):
            raise ValueError("give a feature code and the layer it replaces together")
        if start and canvas is None:
            raise ValueError(f"starting at layer {start} needs the canvas of layer {start - 1}")
        given = {}
        if start and canvas is not None:
            given[start - 1] = self._checked(canvas, start - 1)
        if feature is not None and at is not None:
            given[at] = self._checked(feature, at)
        return given

    def _own_input(self, start: int, canvas: Tensor | None) -> Tensor | None:
        """Return the canvas that replaces the constant input of layer 0; None for the network's own."""
        if start or canvas is None:
            return None
        constant = self.constant
        if constant is None:
            raise ValueError(f"{self.name} has no constant input that a canvas could replace")
        if canvas.shape[1:] != constant.shape[1:]:
            raise ValueError(f"the constant input is {tuple(constant.shape)}, got {tuple(canvas.shape)}")
        return canvas

    def _check(self, ws: Tensor) -> None:
        if ws.ndim != 3 or ws.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(f"ws must be [N,{self.num_ws},{self.w_dim}], got {tuple(ws.shape)}")

    def _checked(self, feature: Tensor, layer: int) -> Tensor:
        if not 0 <= layer < len(self.layers):
            raise ValueError(f"{self.name} has layers 0 to {len(self.layers) - 1}, not {layer}")
        spec = self.layers[layer]
        if feature.shape[1:] != (spec.channels, spec.resolution, spec.resolution):
            raise ValueError(
                f"layer {layer} is [N,{spec.channels},{spec.resolution},{spec.resolution}], got {tuple(feature.shape)}"
            )
        return feature


def noise_map(fixed: Tensor, count: int, mode: Noise) -> Tensor | None:
    """Return a layer's noise by mode: the fixed map [1,1,h,w], `count` random maps [N,1,h,w], or None."""
    if not isinstance(mode, str):
        return mode(fixed, count)
    if mode == "none":
        return None
    return fixed if mode == "const" else torch.randn(count, *fixed.shape[1:], dtype=fixed.dtype, device=fixed.device)
