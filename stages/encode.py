"""Encode: invert every face of a Work in one batch, then refine the codes, each frame starting from its neighbour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from safetensors.torch import load, save

from vidinv import fileio
from vidinv.config import RefineConfig
from vidinv.editing.refine import Part, Refine, Trace, between
from vidinv.encoders.base import Encoder
from vidinv.engines.export_modules import EncodingModule
from vidinv.engines.runner import Runner
from vidinv.engines.transfer import to_device
from vidinv.frames import Code, FaceBatch, Work, concatenate
from vidinv.stages.graph import Stage

KEPT = 8  # states kept on disk; the video encoder is at most a few batches behind, and a batch is within a segment


@dataclass(frozen=True)
class LastRefined:
    """A track's last refined frame: the state that the next refinement starts from, and the frame's time."""

    trace: Trace
    seconds: float


class Traces:
    """The refinement state of each track's last frame.

    It is stored at the start of every segment, so that a resumed run gives the same frames.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.last: dict[int, LastRefined] = {}

    def forget(self) -> None:
        """Clear the state of every track, as at a cut."""
        self.last.clear()

    def save(self, frame: int) -> None:
        """Write the state before `frame` atomically, and delete all but the newest KEPT states."""
        tensors = {
            f"{track}.{name}": value.contiguous()
            for track, last in self.last.items()
            for name, value in _flat(last).items()
        }
        fileio.write_sealed(self._path(frame), save(tensors))
        written = sorted(self.folder.glob("traces-*.sealed"), key=lambda path: int(path.stem.split("-")[1]))
        for old in written[:-KEPT]:
            old.unlink()

    def has(self, frame: int) -> bool:
        """Whether the state before `frame` can be restored."""
        return fileio.read_sealed(self._path(frame)) is not None

    def restore(self, frame: int, device: str) -> None:
        """Load the state before `frame` onto `device`; the state is empty where none was written."""
        self.last.clear()
        kept = fileio.read_sealed(self._path(frame))
        if kept is None:
            return
        tensors = {name: value.to(device) for name, value in load(kept).items()}
        for track in {name.split(".")[0] for name in tensors}:
            latent, feature = (
                Part(*(tensors[f"{track}.{part}.{entry.name}"] for entry in fields(Part)))
                for part in ("latent", "feature")
            )
            trace = Trace(latent, feature, tensors[f"{track}.person"])
            self.last[int(track)] = LastRefined(trace, float(tensors[f"{track}.seconds"]))

    def _path(self, frame: int) -> Path:
        return self.folder / f"traces-{frame}.sealed"


def _flat(last: LastRefined) -> dict[str, torch.Tensor]:
    """The tensors of a track's state by name: `latent.*`, `feature.*`, `person`, `seconds`."""
    parts = {
        f"{part}.{name}": value
        for part in ("latent", "feature")
        for name, value in vars(getattr(last.trace, part)).items()
    }
    return {**parts, "person": last.trace.person, "seconds": torch.tensor(last.seconds, dtype=torch.float64)}


def build_encode_stage(
    encoder: Encoder,
    refine: Refine | None,
    steps: RefineConfig,
    traces: Traces,
    device: str,
    runner: Runner | None = None,
) -> Stage:
    """A stage that adds `codes` to each Work with faces: ws [N,L,D] and feature [N,C,h,w].

    Without `refine` the encoder's codes are used directly, and `runner` is the encoder's engine (torch in float32 by
    default). With `refine`, each track's key frames are refined in order, each starting from the result of its
    neighbour, with more steps where there is no neighbour (at the start, after a cut, after the face was absent). The
    refinements of the frames between are interpolated from the key frames around them. The networks are on `device`,
    and so are the codes.
    """

    run = runner if runner is not None and refine is None else Runner()
    graph = EncodingModule(encoder)

    def inverted(images: torch.Tensor) -> Code:
        ws, *feature = run(graph, images)
        if not feature:
            return Code(ws, space=encoder.space)
        return Code(ws, feature[0], encoder.at, space=encoder.space)

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
            images = to_device(work.faces.image, device)
            codes = inverted(images)  # [N,3,S,S] -> ws [N,L,D], feature [N,C,h,w]
            if refine is not None:
                codes = _refined(codes, images, work, refine, traces, steps)
            yield replace(work, codes=codes)

    return encode


def keys(seconds: Sequence[float], gap: float, since: float | None) -> list[int]:
    """Positions of key frames among ascending times: the last, and the fewest before it at most `gap` seconds apart.

    `since` is the time in seconds at which the face was last refined, on the frame just before; with None the first
    position is a key frame as well.
    """
    before = [-math.inf if since is None else since, *seconds]  # of each position, the time of the frame before it
    chosen = [len(seconds) - 1]
    for position in range(len(seconds) - 2, -1, -1):
        if seconds[chosen[-1]] - before[position] > gap * 1.01:  # 1 %: a gap is rarely a whole number of frames
            chosen.append(position)
    return chosen[::-1]


def _refined(
    codes: Code, images: torch.Tensor, work: Work, refine: Refine, traces: Traces, steps: RefineConfig
) -> Code:
    """Refine the codes of a Work's faces, track by track in the order of the frames.

    A track continues from its trace only where its face is on the preceding frame.
    """
    assert work.faces is not None
    found: dict[int, Code] = {}
    kept: dict[int, LastRefined] = {}
    for track in work.faces.track.unique().tolist():
        for run in _runs(work.faces, track):
            positions = [int(work.faces.frame[n]) for n in run]
            seconds = [float(work.frames.pts[position] * work.frames.time_base) for position in positions]
            given = [(codes[n : n + 1], images[n : n + 1]) for n in run]
            before = traces.last.get(track) if positions[0] == 0 else None
            refined, last = _refine_run(given, seconds, before, refine, steps, track)
            found |= dict(zip(run, refined, strict=True))
            if positions[-1] == len(work.frames) - 1:
                kept[track] = last
    traces.last = kept
    return concatenate([found[n] for n in range(len(codes))])


def _runs(faces: FaceBatch, track: int) -> list[list[int]]:
    """The track's faces as runs [n, ...] of consecutive frames, in order of time."""
    runs: list[list[int]] = []
    before = None
    for n in (faces.track == track).nonzero().flatten().tolist():
        position = int(faces.frame[n])
        if before is None or position != before + 1:
            runs.append([])
        runs[-1].append(n)
        before = position
    return runs


def _refine_run(
    given: Sequence[tuple[Code, torch.Tensor]],
    seconds: Sequence[float],
    last: LastRefined | None,
    refine: Refine,
    steps: RefineConfig,
    person: int,
) -> tuple[list[Code], LastRefined]:
    """Refine the key frames among the codes and images of one face on consecutive frames, and interpolate the others.

    Returns the codes in order and the state of the last one.
    """
    wanted = set(keys(seconds, steps.gap, None if last is None else last.seconds))
    done: list[Code] = []
    for k, (code, image) in enumerate(given):
        if k not in wanted:
            continue
        before, effort = (None, steps.first) if last is None else (last.trace, steps.following)
        refined, after = refine(code, image, before, effort, person)
        for w in range(len(done), k):  # frames since the previous key frame
            assert last is not None
            share = (seconds[w] - last.seconds) / (seconds[k] - last.seconds)
            done.append(between(given[w][0], last.trace, after, share))
        done.append(refined)
        last = LastRefined(after, seconds[k])
    assert last is not None
    return done, last
