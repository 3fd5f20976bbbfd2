"""Measure: how well the person is kept, per face, on the blended frame before the video encoder (Eq. 9's R)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from stages.align import crop
from stages.graph import Stage
from vidinv.frames import Array, Work

Embed = Callable[[torch.Tensor], Array]  # [N,3,S,S] in [-1,1] -> [N,D], L2-normalised
PICTURES = ("source", "inversion", "edit")


class Anchors:
    """R(x_0) of each track, network and picture, kept in the job folder so that a resumed run has the same."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "anchors.npz"
        self.known: dict[str, Array] = {}
        if self.path.exists():
            with np.load(self.path) as stored:
                self.known = dict(stored)

    def similarity(self, key: str, embedding: Array) -> float | None:
        """<R(x_i), R(x_0)>; None for x_0 itself, which is stored."""
        if key not in self.known:
            self.known[key] = embedding
            return None
        return float(self.known[key] @ embedding)

    def save(self) -> None:
        """Write the anchors, whole or not at all."""
        partial = self.path.with_suffix(".tmp.npz")
        np.savez(partial, **self.known)  # type: ignore[arg-type]
        partial.replace(self.path)


def build(networks: dict[str, Embed], every: int, anchors: Anchors) -> Stage:
    """A stage that adds, per face and network, the similarity of inversion and edit to the source, and to frame 0.

    Measured on every `every`-th frame of a segment. Keys: `NETWORK_inversion`, `NETWORK_edit`, `NETWORK_ic_PICTURE`.
    """

    def measure(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.faces is None or work.inversion is None or not work.measures:
                yield work
                continue
            chosen = [n for n in range(len(work.faces)) if work.measures[n] and is_due(work, n, every)]
            yield _measured(work, chosen, networks, anchors) if chosen else work

    return measure


def is_due(work: Work, n: int, every: int) -> bool:
    """Whether face `n` of a Work with faces lies on a frame that is measured."""
    assert work.faces is not None
    return work.nth(int(work.faces.frame[n])) % every == 0


def _measured(work: Work, chosen: list[int], networks: dict[str, Embed], anchors: Anchors) -> Work:
    assert work.faces is not None and work.inversion is not None
    size = work.faces.image.shape[-1]
    again = [
        crop(work.output[int(work.faces.frame[n])], work.frames.colour, work.faces.to_frame[n].numpy(), size)
        for n in chosen
    ]
    edit = torch.from_numpy(np.stack(again)).permute(0, 3, 1, 2) * 2 - 1
    images = torch.cat([work.faces.image[chosen], work.inversion[chosen], edit])
    measures = [dict(entry) for entry in work.measures]
    fresh = False
    for name, embed in networks.items():
        source, inversion, edited = np.asarray(embed(images)).reshape(3, len(chosen), -1)
        for k, n in enumerate(chosen):
            measures[n][f"{name}_inversion"] = float(source[k] @ inversion[k])
            measures[n][f"{name}_edit"] = float(source[k] @ edited[k])
            track = int(work.faces.track[n])
            for picture, embedding in zip(PICTURES, (source[k], inversion[k], edited[k]), strict=True):
                value = anchors.similarity(f"{track}.{name}.{picture}", embedding)
                fresh |= value is None
                if value is not None:
                    measures[n][f"{name}_ic_{picture}"] = value
    if fresh:
        anchors.save()
    return replace(work, measures=tuple(measures))
