"""Synthesize: the pictures of the inversion and of the edit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import torch

from vidinv.engines.renderer import Renderer
from vidinv.engines.runner import Runner
from vidinv.engines.transfer import to_host
from vidinv.frames import Code, Work
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.generators.proxy import ImageDecoder
from vidinv.process import restored_threads, use_threads
from vidinv.stages.graph import Stage

Reads = Callable[[Work, int], bool]  # does anything read the detail of this face's inversion?
Drawer = tuple[Generator, ImageDecoder]
NOBODY: Mapping[int, Drawer] = MappingProxyType({})


def build_synthesize_stage(
    generator: Generator,
    proxy: ImageDecoder,
    size: int,
    reads_inversion: Reads,
    runner: Runner | None = None,
    people: Mapping[int, Drawer] = NOBODY,
) -> Stage:
    """A stage that adds `inversion` and `edit`, [N,3,size,size] in [-1,1], and `check` at the proxy head's own size.

    The codes may lie on any device; the pictures come back to the CPU, where the planes are, all of a Work at once.
    `runner` is the engine; torch in float32 if none is given.

    Every edit is synthesized for itself. `check` is the inversion through the proxy head: how far a frame can be
    trusted is judged by it alone, whatever else is drawn. An inversion whose detail nothing reads is `check` resized.
    See `source` for what draws the rest. The `people` with a generator of their own, by track, are drawn by that.
    """
    drawn_at, runner = at_size(generator, size), runner or Runner()
    usual = Renderer(generator, proxy, runner)
    own = {person: Renderer(*drawer, runner) for person, drawer in people.items()}

    def draw(work: Work, n: int) -> tuple[torch.Tensor, ...]:
        """`check`, and what is shown of face n: the inversion, and over it layer by layer."""
        assert work.codes is not None and work.faces is not None
        painting, code = own.get(int(work.faces.track[n]), usual), work.codes[n : n + 1]
        if reads_inversion(work, n) and not is_drawn_by_proxy(painting.generator, painting.proxy, size):
            check, image = painting.both(code, drawn_at)
        else:
            check = image = painting.sketch(code)
        shown = [resize(image, size)]
        for layer in work.layers:
            is_there = layer.presence[n] > 0
            shown.append(_drawn(painting, layer.codes[n : n + 1], size) if is_there else shown[-1])
        return check, *shown

    def synthesize(works: Iterator[Work]) -> Iterator[Work]:
        with _painters(generator, runner) as mapped:
            for work in works:
                if work.codes is None:
                    yield work
                    continue
                each = mapped if len(work.codes) > 1 else map
                faces = each(partial(draw, work), range(len(work.codes)))
                check, *shown = to_host([torch.cat(pictures) for pictures in zip(*faces, strict=True)])
                pairs = zip(work.layers, shown[1:], strict=True)
                layers = tuple(replace(layer, picture=above) for layer, above in pairs)
                yield replace(work, check=check, inversion=shown[0], layers=layers, edit=shown[-1])

    return synthesize


@contextmanager
def _painters(generator: Generator, runner: Runner) -> Iterator[Callable[..., Iterable[tuple[torch.Tensor, ...]]]]:
    """What draws faces: two at once, each with half of torch's threads, where torch draws them on a CPU.

    Two pictures keep two cores busier than two threads keep with one, whose operations are small.
    """
    if runner.threads < 2 or runner.engine != "eager" or generator.w_avg.device.type != "cpu":
        yield map
        return
    begin = partial(use_threads, runner.threads // 2)
    with restored_threads(), ThreadPoolExecutor(2, thread_name_prefix="paint", initializer=begin) as pool:
        yield pool.map


def source(generator: Generator, proxy: ImageDecoder, size: int) -> str:
    """What draws the pictures of `size` pixels, for the report."""
    if is_drawn_by_proxy(generator, proxy, size):
        return f"proxy head at {proxy.size}"
    return f"{generator.name} at {at_size(generator, size)}"


def is_drawn_by_proxy(generator: Generator, proxy: ImageDecoder, size: int) -> bool:
    """A head draws what is no size of the generator and not above the head's own."""
    return proxy.is_quick and size not in generator.sizes and size <= proxy.size


def drawer(generator: Generator, proxy: ImageDecoder, size: int) -> Callable[[Code], torch.Tensor]:
    """What draws a code's picture [N,3,size,size] in [-1,1] on the CPU, as an edit is drawn, in float32."""
    painting = Renderer(generator, proxy, Runner())
    return lambda code: _drawn(painting, code, size).cpu()


def _drawn(painting: Renderer, code: Code, size: int) -> torch.Tensor:
    """The picture [N,3,size,size] of a code, where the networks are."""
    if is_drawn_by_proxy(painting.generator, painting.proxy, size):
        return resize(painting.sketch(code), size)
    return resize(painting.whole(code, at_size(painting.generator, size)), size)


def whole(generator: Generator, code: Code, size: int) -> torch.Tensor:
    """The picture [N,3,size,size] in [-1,1] of a code, through the whole synthesis."""
    return resize(generator.picture(code, at_size(generator, size)), size)


def at_size(generator: Generator, size: int) -> int:
    """The side at which the generator draws what is shown at `size`."""
    return size if size in generator.sizes else max(generator.sizes)
