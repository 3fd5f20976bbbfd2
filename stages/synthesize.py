"""Synthesize: decode the codes and the edited codes of every face into pictures, the inversion and the edit."""

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

NeedsInversion = Callable[[Work, int], bool]  # whether a later stage needs the full detail of the inversion of face n
OwnGenerator = tuple[Generator, ImageDecoder]
NO_OWN_GENERATORS: Mapping[int, OwnGenerator] = MappingProxyType({})


def build_synthesize_stage(
    generator: Generator,
    proxy: ImageDecoder,
    size: int,
    reads_inversion: NeedsInversion,
    runner: Runner | None = None,
    people: Mapping[int, OwnGenerator] = NO_OWN_GENERATORS,
) -> Stage:
    """A stage that adds `inversion` and `edit`, [N,3,size,size] in [-1,1], and `check` at the proxy head's own size.

    The stage also adds the picture of each layer to `layers`; `edit` is that of the highest. The codes may be on any
    device; the pictures of a Work are copied to the CPU together. `runner` is the engine (torch in float32 by default).

    `check` is the inversion drawn by the proxy head; the confidence of a frame is computed from it alone, whichever
    network draws the other pictures. An inversion whose detail no later stage needs (`reads_inversion`) is `check`
    resized. `describe_renderer` says which network draws the rest. `people` maps a track to the generator and proxy
    head that were tuned to that person.
    """
    drawn_at, runner = at_size(generator, size), runner or Runner()
    usual = Renderer(generator, proxy, runner)
    own = {person: Renderer(*drawer, runner) for person, drawer in people.items()}

    def draw(work: Work, n: int) -> tuple[torch.Tensor, ...]:
        """`check`, the inversion, and the picture of every layer of face n, from the lowest to the highest."""
        assert work.codes is not None and work.faces is not None
        renderer, code = own.get(int(work.faces.track[n]), usual), work.codes[n : n + 1]
        if reads_inversion(work, n) and not is_drawn_by_proxy(renderer.generator, renderer.proxy, size):
            check, image = renderer.both(code, drawn_at)
        else:
            check = image = renderer.sketch(code)
        shown = [resize(image, size)]
        for layer in work.layers:
            is_there = layer.presence[n] > 0
            shown.append(_render(renderer, layer.codes[n : n + 1], size) if is_there else shown[-1])
        return check, *shown

    def synthesize(works: Iterator[Work]) -> Iterator[Work]:
        with _face_pool(generator, runner) as mapped:
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
def _face_pool(generator: Generator, runner: Runner) -> Iterator[Callable[..., Iterable[tuple[torch.Tensor, ...]]]]:
    """A function like `map` that draws two faces at once, each with half of torch's threads, with torch on a CPU.

    Two pictures at once use two cores better than one picture in two threads does, because its operations are small.
    With any other engine or device, or with one thread, it is `map`.
    """
    if runner.threads < 2 or runner.engine != "eager" or generator.w_avg.device.type != "cpu":
        yield map
        return
    begin = partial(use_threads, runner.threads // 2)
    with restored_threads(), ThreadPoolExecutor(2, thread_name_prefix="synthesize", initializer=begin) as pool:
        yield pool.map


def describe_renderer(generator: Generator, proxy: ImageDecoder, size: int) -> str:
    """The name of the network that draws pictures of `size` pixels and its size, for the report."""
    if is_drawn_by_proxy(generator, proxy, size):
        return f"proxy head at {proxy.size}"
    return f"{generator.name} at {at_size(generator, size)}"


def is_drawn_by_proxy(generator: Generator, proxy: ImageDecoder, size: int) -> bool:
    """Whether the proxy head draws pictures of `size` pixels.

    It does where `size` is not one of the generator's output sizes and is at most the head's own.
    """
    return proxy.is_quick and size not in generator.sizes and size <= proxy.size


def build_drawer(generator: Generator, proxy: ImageDecoder, size: int) -> Callable[[Code], torch.Tensor]:
    """A function that draws a code's picture [N,3,size,size] in [-1,1], as the edit is drawn: float32, on the CPU."""
    renderer = Renderer(generator, proxy, Runner())
    return lambda code: _render(renderer, code, size).cpu()


def _render(renderer: Renderer, code: Code, size: int) -> torch.Tensor:
    """The picture [N,3,size,size] of a code, on the networks' device."""
    if is_drawn_by_proxy(renderer.generator, renderer.proxy, size):
        return resize(renderer.sketch(code), size)
    return resize(renderer.whole(code, at_size(renderer.generator, size)), size)


def render_whole(generator: Generator, code: Code, size: int) -> torch.Tensor:
    """The picture [N,3,size,size] in [-1,1] of a code, drawn by the whole generator and resized."""
    return resize(generator.picture(code, at_size(generator, size)), size)


def at_size(generator: Generator, size: int) -> int:
    """The output size at which the generator draws a picture of `size` pixels: `size` itself, else its largest."""
    return size if size in generator.sizes else max(generator.sizes)
