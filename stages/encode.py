"""Encode: invert every face, in batches over the frames and faces of a Work, then refine from the neighbour."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from stages.graph import Stage
from vidinv.config import RefineConfig
from vidinv.editing.refine import Effort, Trace
from vidinv.encoders.base import Encoder
from vidinv.frames import Code, FaceBatch, Work, concatenate

Refine = Callable[[Code, torch.Tensor, Trace | None, Effort], tuple[Code, Trace]]  # code, image, neighbour's, steps


class Traces:
    """The last frame's refinement of each track; stored at a segment's start so that a resumed run is equal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last: dict[int, Trace] = {}

    def forget(self) -> None:
        """Nothing crosses a cut."""
        self.last.clear()

    def save(self, frame: int) -> None:
        """Write the state before `frame`, whole or not at all."""
        tensors = {
            f"{track}.{name}": value.contiguous()
            for track, trace in self.last.items()
            for name, value in vars(trace).items()
        }
        partial = self.folder / f"traces-{frame}.tmp"
        save_file(tensors, partial)
        partial.replace(self._path(frame))

    def restore(self, frame: int) -> None:
        """Read back the state before `frame`; nothing where none was written."""
        self.last.clear()
        if not self._path(frame).exists():
            return
        tensors = load_file(self._path(frame))
        for track in {name.split(".")[0] for name in tensors}:
            self.last[int(track)] = Trace(**{f.name: tensors[f"{track}.{f.name}"] for f in fields(Trace)})

    def _path(self, frame: int) -> Path:
        return self.folder / f"traces-{frame}.safetensors"


def build(encoder: Encoder, refine: Refine | None, steps: RefineConfig, traces: Traces) -> Stage:
    """A stage that adds `codes` to each Work with faces.

    Without `refine` the encoder's codes are used as they are. With it, each track's frames are refined in order, each
    from its neighbour's result, with more steps where there is no neighbour (start, cut, the face was away).
    """

    def encode(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.new_shot:
                traces.forget()
            if refine is not None and work.nth(0) == 0:
                traces.save(work.frames.index[0])
            if work.faces is None:
                traces.forget()
                yield work
                continue
            with torch.no_grad():
                codes = encoder(work.faces.image)  # [N,3,S,S] -> ws [N,L,D], feature [N,C,h,w]
            if refine is not None:
                codes = _refine_in_order(codes, work.faces, refine, traces, steps)
            yield replace(work, codes=codes)

    return encode


def _refine_in_order(codes: Code, faces: FaceBatch, refine: Refine, traces: Traces, steps: RefineConfig) -> Code:
    first, following = Effort(steps.first_latent, steps.first_feature), Effort(steps.latent, steps.feature)
    refined: list[Code] = []
    for n in range(len(faces)):
        track = int(faces.track[n])
        before = traces.last.get(track)
        effort = first if before is None else following
        code, traces.last[track] = refine(codes[n : n + 1], faces.image[n : n + 1], before, effort)
        refined.append(code)
    return concatenate(refined)
