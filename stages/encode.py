"""Encode: invert every face, in batches over the frames and faces of a Work, then refine from the neighbour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from stages.graph import Stage
from vidinv.encoders.base import Encoder
from vidinv.frames import Code, FaceBatch, Work, concatenate

Refine = Callable[[Code, torch.Tensor, Any, int], tuple[Code, Any]]  # code, image, offset, steps -> code, offset


class Offsets:
    """The last frame's refinement of each track; stored at a segment's start so that a resumed run is equal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last: dict[int, Any] = {}  # track -> (d_ws [L,D], d_feature [C,h,w])

    def forget(self) -> None:
        """Nothing crosses a cut."""
        self.last.clear()

    def save(self, frame: int) -> None:
        """Write the state before `frame`, whole or not at all."""
        arrays: dict[str, np.ndarray] = {}
        for track, offset in self.last.items():
            for k, part in enumerate(offset):
                arrays[f"{track}.{k}"] = part.detach().cpu().numpy()
        partial = self.folder / f"offsets-{frame}.tmp.npz"
        np.savez(partial, **arrays)  # type: ignore[arg-type]
        partial.replace(self.folder / f"offsets-{frame}.npz")

    def restore(self, frame: int) -> None:
        """Read back the state before `frame`; nothing where none was written."""
        path = self.folder / f"offsets-{frame}.npz"
        self.last.clear()
        if not path.exists():
            return
        with np.load(path) as arrays:
            for track in {int(name.split(".")[0]) for name in arrays.files}:
                self.last[track] = tuple(torch.from_numpy(arrays[f"{track}.{k}"]) for k in range(2))


def build(
    encoder: Encoder,
    refine: Refine | None,
    *,
    steps: int,
    first_steps: int,
    offsets: Offsets,
) -> Stage:
    """A stage that adds `codes` to each Work with faces.

    Without `refine` the encoder's codes are used as they are. With it, each track's frames are refined in order,
    `steps` from the neighbour's offset, `first_steps` where there is no neighbour (start, cut, the face was away).
    """

    def encode(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.new_shot:
                offsets.forget()
            if refine is not None and work.nth(0) == 0:
                offsets.save(work.frames.index[0])
            if work.faces is None:
                offsets.forget()
                yield work
                continue
            with torch.no_grad():
                codes = encoder(work.faces.image)  # [N,3,S,S] -> ws [N,L,D], feature [N,C,h,w]
            if refine is not None:
                codes = _refine_in_order(codes, work.faces, refine, offsets, steps, first_steps)
            yield replace(work, codes=codes)

    return encode


def _refine_in_order(
    codes: Code, faces: FaceBatch, refine: Refine, offsets: Offsets, steps: int, first_steps: int
) -> Code:
    refined: list[Code] = []
    for n in range(len(faces)):
        track = int(faces.track[n])
        before = offsets.last.get(track)
        count = steps if before is not None else first_steps
        code, offsets.last[track] = refine(codes[n : n + 1], faces.image[n : n + 1], before, count)
        refined.append(code)
    return concatenate(refined)
