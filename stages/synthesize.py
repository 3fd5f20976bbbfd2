"""Synthesize: the pictures of the inversion and of the edit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType

import torch

from stages.graph import Stage
from vidinv.frames import Code, Layer, Work
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.generators.proxy import Painter

Reads = Callable[[Work, int], bool]  # does anything read the detail of this face's inversion?
Drawer = tuple[Generator, Painter]
NOBODY: Mapping[int, Drawer] = MappingProxyType({})


def build(
    generator: Generator, proxy: Painter, size: int, reads_inversion: Reads, people: Mapping[int, Drawer] = NOBODY
) -> Stage:
    """A stage that adds `inversion` and `edit`, [N,3,size,size] in [-1,1], and `check` at the proxy head's own size.

    The codes may lie on any device; the pictures come back to the CPU, where the planes are.

    Every edit is synthesized for itself. `check` is the inversion through the proxy head: how far a frame can be
    trusted is judged by it alone, whatever else is drawn. An inversion whose detail nothing reads is `check` resized.
    See `source` for what draws the rest. The `people` with a generator of their own, by track, are drawn by that.
    """
    drawn_at = at_size(generator, size)

    def coarse(proxy: Painter, code: Code) -> torch.Tensor:
        return proxy(code.ws, code.feature, code.at, code.styles).clamp(-1, 1)

    def both(proxy: Painter, code: Code) -> tuple[torch.Tensor, torch.Tensor]:
        check, image = proxy.with_whole(code.ws, code.feature, code.at, drawn_at)
        return check.clamp(-1, 1), resize(image, size).clamp(-1, 1)

    def synthesize(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.codes is None:
                yield work
                continue
            assert work.faces is not None
            drawers = [people.get(person, (generator, proxy)) for person in work.faces.track.tolist()]
            checks, inversions = [], []
            with torch.no_grad():
                for n in range(len(work.codes)):
                    code, (_, head) = work.codes[n : n + 1], drawers[n]
                    if reads_inversion(work, n) and not _drawn_by_proxy(*drawers[n], size):
                        check, inversion = both(head, code)
                    else:
                        check = coarse(head, code)
                        inversion = resize(check, size)
                    checks.append(check.cpu())
                    inversions.append(inversion.cpu())
                below = torch.cat(inversions)
                layers = []
                for layer in work.layers:
                    shown = [
                        drawer(*drawers[n], size)(layer.codes[n : n + 1]) if p > 0 else below[n : n + 1]
                        for n, p in enumerate(layer.presence)
                    ]
                    below = torch.cat(shown)
                    layers.append(replace(layer, picture=below))
            checked, inverted = torch.cat(checks), torch.cat(inversions)
            yield replace(work, check=checked, inversion=inverted, layers=tuple(layers), edit=below)

    return synthesize


def drawn(layer: Layer) -> torch.Tensor:
    """The picture [N,3,S,S] of a layer that was drawn."""
    assert layer.picture is not None
    return layer.picture


def source(generator: Generator, proxy: Painter, size: int) -> str:
    """What draws the pictures of `size` pixels, for the report."""
    if _drawn_by_proxy(generator, proxy, size):
        return f"proxy head at {proxy.size}"
    return f"{generator.name} at {at_size(generator, size)}"


def _drawn_by_proxy(generator: Generator, proxy: Painter, size: int) -> bool:
    """A distilled head draws what is no size of the generator and not above the head's own."""
    return proxy.is_quick and size not in generator.sizes and size <= proxy.size


def drawer(generator: Generator, proxy: Painter, size: int) -> Callable[[Code], torch.Tensor]:
    """What draws a code's picture [N,3,size,size] in [-1,1] on the CPU, as an edit is drawn."""
    if _drawn_by_proxy(generator, proxy, size):
        return lambda code: resize(proxy(code.ws, code.feature, code.at, code.styles).clamp(-1, 1), size).cpu()
    return lambda code: whole(generator, code, size).cpu()


def whole(generator: Generator, code: Code, size: int) -> torch.Tensor:
    """The picture [N,3,size,size] in [-1,1] of a code, through the whole synthesis."""
    return resize(generator.picture(code, at_size(generator, size)), size)


def at_size(generator: Generator, size: int) -> int:
    """The side at which the generator draws what is shown at `size`."""
    return size if size in generator.sizes else max(generator.sizes)
