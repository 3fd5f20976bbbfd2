"""What draws codes, by the engine of the job: the proxy head, the generator, or both at once."""

from __future__ import annotations

from functools import lru_cache

from torch import Tensor, nn

from vidinv.engines.export_modules import PictureModule, SketchAndPicture, SketchModule
from vidinv.engines.runner import Runner
from vidinv.frames import Code
from vidinv.generators.base import Generator
from vidinv.generators.proxy import ImageDecoder


class Renderer:
    """Pictures in [-1,1] of codes on any device, without gradients, through a `runner`.

    A code that moves single style channels, or has no feature, is drawn by torch whatever the engine.
    """

    def __init__(self, generator: Generator, proxy: ImageDecoder, runner: Runner) -> None:
        self.generator, self.proxy, self.runner = generator, proxy, runner
        self.eager = Runner("eager", runner.precision)
        self.graph = lru_cache(maxsize=8)(self._graph)

    def sketch(self, code: Code) -> Tensor:
        """By the proxy head, at its own size."""
        return self._run(self.graph("sketch", code.at, 0), code)[0]

    def whole(self, code: Code, size: int) -> Tensor:
        """By the generator, at one of its sizes."""
        return self._run(self.graph("whole", code.at, size), code)[0]

    def both(self, code: Code, size: int) -> tuple[Tensor, Tensor]:
        """By both, of a code without style channels; what they share is done once."""
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
