"""Renderer: draw codes with the proxy head, the generator, or both at once, by the engine of the job."""

from __future__ import annotations

from functools import lru_cache

from torch import Tensor, nn

from vidinv.engines.export_modules import PictureModule, SketchAndPicture, SketchModule
from vidinv.engines.runner import Runner
from vidinv.frames import Code
from vidinv.generators.base import Generator
from vidinv.generators.proxy import ImageDecoder


class Renderer:
    """Draws the pictures of codes in [-1,1], on the codes' device and without gradients, by the engine of `runner`.

    A code with offsets of style channels, or without a feature, is drawn by eager torch with every engine.
    """

    def __init__(self, generator: Generator, proxy: ImageDecoder, runner: Runner) -> None:
        self.generator, self.proxy, self.runner = generator, proxy, runner
        self.eager = Runner("eager", runner.precision)
        self.graph = lru_cache(maxsize=8)(self._graph)

    def sketch(self, code: Code) -> Tensor:
        """The picture [N,3,s,s] by the proxy head, at its own size s."""
        return self._run(self.graph("sketch", code.at, 0), code)[0]

    def whole(self, code: Code, size: int) -> Tensor:
        """The picture [N,3,size,size] by the generator; `size` is one of its output sizes."""
        return self._run(self.graph("whole", code.at, size), code)[0]

    def both(self, code: Code, size: int) -> tuple[Tensor, Tensor]:
        """The pictures by the proxy head and by the generator, of a code without style offsets.

        The layers that both share run once.
        """
        sketch, whole = self._run(self.graph("both", code.at, size), code)
        return sketch, whole

    def _run(self, graph: nn.Module, code: Code) -> tuple[Tensor, ...]:
        if code.styles is not None:
            drawn = self.eager(graph, code.ws, code.feature, code.styles)
        else:
            drawn = (self.runner if code.feature is not None else self.eager)(graph, code.ws, code.feature)
        return tuple(image.clamp(-1, 1) for image in drawn)

    def _graph(self, kind: str, at: int | None, size: int) -> nn.Module:
        if kind == "sketch":
            return SketchModule(self.proxy, at)
        return PictureModule(self.generator, at, size) if kind == "whole" else SketchAndPicture(self.proxy, at, size)
