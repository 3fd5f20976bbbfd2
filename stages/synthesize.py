"""Synthesize: the pictures of the inversion and of the edit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from stages.graph import Stage
from vidinv.frames import Code, Work
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.generators.proxy import Proxy

Reads = Callable[[Work, int], bool]  # does anything read the detail of this face's inversion?


def build(generator: Generator, proxy: Proxy, size: int, reads_inversion: Reads) -> Stage:
    """A stage that adds `inversion` and `edit`, [N,3,size,size] in [-1,1], and `check` at the proxy head's own size.

    Every edit is synthesized for itself. `check` is the inversion through the proxy head: how far a frame can be
    trusted is judged by it alone, whatever else is drawn. An inversion whose detail nothing reads is `check` resized.
    See `source` for what draws the rest.
    """
    at_size = size if size in generator.sizes else max(generator.sizes)

    def coarse(code: Code) -> torch.Tensor:
        return proxy(code.ws, code.feature, code.at).clamp(-1, 1)

    def whole(code: Code) -> torch.Tensor:
        image = generator.synthesize(code.ws, feature=code.feature, at=code.at, size=at_size)
        return resize(image, size).clamp(-1, 1)

    by_proxy = source(generator, proxy, size).startswith("proxy")

    def synthesize(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.codes is None or work.edited is None:
                yield work
                continue
            checks, inversions, edits = [], [], []
            with torch.no_grad():
                for n in range(len(work.codes)):
                    code, edited = work.codes[n : n + 1], work.edited[n : n + 1]
                    checks.append(coarse(code))
                    read = reads_inversion(work, n) and not by_proxy
                    inversions.append(whole(code) if read else resize(checks[-1], size))
                    edits.append(resize(coarse(edited), size) if by_proxy else whole(edited))
            yield replace(work, check=torch.cat(checks), inversion=torch.cat(inversions), edit=torch.cat(edits))

    return synthesize


def source(generator: Generator, proxy: Proxy, size: int) -> str:
    """What draws the pictures of `size` pixels: the generator, or the proxy head for a size only the head has."""
    if size not in generator.sizes and size <= proxy.head.spec.size:
        return f"proxy head at {proxy.head.spec.size}"
    return f"{generator.name} at {size if size in generator.sizes else max(generator.sizes)}"
