"""Synthesize: the pictures of the inversion and of the edit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch

from stages.graph import Stage
from vidinv.frames import Code, Work
from vidinv.generators.base import Generator


def build(generator: Generator, size: int) -> Stage:
    """A stage that adds `inversion` and `edit`, [N,3,S,S] in [-1,1]; S = `size`, or the generator's nearest resized.

    Every frame is synthesized for itself.
    """
    at_size = size if size in generator.sizes else max(generator.sizes)

    def picture(code: Code) -> torch.Tensor:
        image = generator.synthesize(code.ws, feature=code.feature, at=code.at, size=at_size)
        if at_size != size:
            image = torch.nn.functional.interpolate(image, size=(size, size), mode="bilinear", antialias=True)
        return image.clamp(-1, 1)

    def synthesize(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.codes is None or work.edited is None:
                yield work
                continue
            with torch.no_grad():
                images = [
                    (picture(work.codes[n : n + 1]), picture(work.edited[n : n + 1])) for n in range(len(work.codes))
                ]
            inversion, edit = zip(*images, strict=True)
            yield replace(work, inversion=torch.cat(inversion), edit=torch.cat(edit))

    return synthesize
