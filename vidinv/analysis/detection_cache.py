"""Detection cache: store the detections of the first pass on disk, in checksummed shards of up to FRAMES frames.

A killed pass resumes after the last complete shard. A shard also ends where a shot may begin. Shards hold biometric
data: they are in the job folder and are deleted with it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import overload

import numpy as np

from vidinv import fileio
from vidinv.analysis.shot_detection import Change
from vidinv.backends.interface import LocatedFaces
from vidinv.frames import Array

FRAMES = 256  # frames in a shard at most
_FACES = ("boxes", "scores", "landmarks", "embeddings")
_NOBODY = LocatedFaces(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 106, 2)), np.zeros((0, 1)))
Shard = Mapping[str, Array]


class DetectionShards:
    """The shards in `folder`, read when it is opened and written as frames are added.

    `next_frame` is the first frame that no shard in the folder contains.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.starts: list[int] = []  # the first frame of each shard
        self.next_frame = 0
        self.pts: list[int] = []
        self.changes: list[Array] = []  # per shard [n,3], the fields of `shot_detection.Change`
        self.time_base, self.to_coded = Fraction(1), np.eye(2, 3)
        self.last: LocatedFaces | None = None  # the faces of the last stored frame
        while (shard := load_shard(folder, self.next_frame)) is not None:
            self._note(shard)
            self.last = faces_of_frame(shard, self.starts[-1], self.next_frame - 1)
        self._begin()

    def add(
        self,
        index: int,
        pts: int,
        time_base: Fraction,
        change: Change,
        is_new: bool,
        found: LocatedFaces | None,
        to_coded: Array,
    ) -> None:
        """Add the next frame, `index`, with its detections (None: not searched); if `is_new`, it begins a shard."""
        if self.held and (is_new or len(self.held) >= FRAMES):
            self.flush()
        self.time_base, self.to_coded = time_base, to_coded
        self.held.append(pts)
        self.searched.append(found is not None)
        self.held_changes.append(change)
        if found is not None and len(found.scores):
            self.frame += [index] * len(found.scores)
            self.found.append(found)

    def flush(self) -> None:
        """Write the frames that were added since the last shard."""
        if not self.held:
            return
        base = np.array([self.time_base.numerator, self.time_base.denominator])
        shard = {"pts": np.array(self.held), "changes": np.array(self.held_changes, np.float32), "time_base": base}
        shard |= {"frame": np.array(self.frame, int), "searched": np.array(self.searched), "to_coded": self.to_coded}
        shard |= {name: np.concatenate([getattr(f, name) for f in self.found]) for name in _FACES if self.found}
        data = BytesIO()
        np.savez(data, **shard)  # type: ignore[arg-type]
        fileio.write_sealed(_path(self.folder, self.next_frame), data.getvalue())
        self._note(shard)
        self._begin()

    def _begin(self) -> None:
        self.held: list[int] = []
        self.held_changes: list[Change] = []
        self.searched: list[bool] = []
        self.frame: list[int] = []
        self.found: list[LocatedFaces] = []

    def _note(self, shard: Shard) -> None:
        """Keep the shard's times and changes in memory; its faces stay on disk."""
        self.starts.append(self.next_frame)
        self.next_frame += len(shard["pts"])
        self.pts += shard["pts"].tolist()
        self.changes.append(shard["changes"])
        self.time_base, self.to_coded = Fraction(*shard["time_base"].tolist()), shard["to_coded"]


class CachedFaces(Sequence[LocatedFaces | None]):
    """The faces of every frame as a sequence [T]; None for a frame that was not searched.

    One shard at a time is in memory, so sequential access is fast and random access is slow. Raises OSError where a
    shard was damaged after the pass.
    """

    def __init__(self, shards: DetectionShards) -> None:
        self.folder, self.starts, self.frames = shards.folder, list(shards.starts), shards.next_frame
        self.number, self.shard = -1, dict[str, Array]()

    def __len__(self) -> int:
        return self.frames

    @overload
    def __getitem__(self, frame: int) -> LocatedFaces | None: ...

    @overload
    def __getitem__(self, frame: slice) -> Sequence[LocatedFaces | None]: ...

    def __getitem__(self, frame: int | slice) -> LocatedFaces | Sequence[LocatedFaces | None] | None:
        if isinstance(frame, slice):
            return [self[k] for k in range(*frame.indices(self.frames))]
        if not 0 <= frame < self.frames:
            raise IndexError(frame)
        number = bisect_right(self.starts, frame) - 1
        if number != self.number:
            shard = load_shard(self.folder, self.starts[number])
            if shard is None:
                raise OSError(f"the analysis in {self.folder} was damaged while the job ran")
            self.number, self.shard = number, shard
        return faces_of_frame(self.shard, self.starts[number], frame)


def load_shard(folder: Path, first: int) -> dict[str, Array] | None:
    """Load the shard that begins at frame `first`; None where it is missing or damaged."""
    data = fileio.read_sealed(_path(folder, first))
    try:
        shard = None if data is None else fileio.load_arrays(data)
    except fileio.BadArrays:
        return None
    return shard if shard is not None and _is_whole(shard, first) else None


def _is_whole(shard: Shard, first: int) -> bool:
    """Whether the arrays have the types and lengths that `DetectionShards` writes, for frames from `first` on."""
    if not {"pts", "changes", "time_base", "frame", "searched", "to_coded"} <= shard.keys():
        return False
    frames, faces = shard["pts"].shape[:1], shard["frame"].shape[:1]
    shapes = {"pts": frames, "searched": frames, "frame": faces, "time_base": (2,), "to_coded": (2, 3)}
    kinds = {"pts": "i", "searched": "b", "frame": "i", "time_base": "i", "to_coded": "f", "changes": "f"}
    fits = frames != (0,) and all(shard[name].shape == shape for name, shape in shapes.items())
    fits = fits and all(shard[name].dtype.kind == kind for name, kind in kinds.items())
    fits = fits and shard["changes"].ndim == 2 and shard["changes"].shape[:1] == frames and shard["time_base"][1] > 0
    if not fits or faces == (0,):
        return fits
    inside = first <= shard["frame"].min() and shard["frame"].max() < first + frames[0]
    ordered = bool((np.diff(shard["frame"]) >= 0).all())
    held = all(name in shard and shard[name].shape[:1] == faces and shard[name].dtype.kind == "f" for name in _FACES)
    return inside and ordered and held


def faces_of_frame(shard: Shard, first: int, index: int) -> LocatedFaces | None:
    """The faces of frame `index` in the shard that begins at `first`; None where the frame was not searched."""
    if not shard["searched"][index - first]:
        return None
    begin, end = np.searchsorted(shard["frame"], (index, index + 1))
    return _NOBODY if begin == end else LocatedFaces(*(shard[name][begin:end].copy() for name in _FACES))


def _path(folder: Path, first: int) -> Path:
    return folder / f"analysis-{first:07d}.sealed"
