"""Reencode: write segments of closed GOPs, each listed in the journal only when it is whole and on the disk."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from vidinv import fileio
from vidinv.errors import OutputUnwritable, VidinvError
from vidinv.frames import Array, Display, Evidence, Planes, Work
from vidinv.media.mastering import Mastering
from vidinv.media.writer import SEGMENT_SUFFIX
from vidinv.report import identity_evidence
from vidinv.report.face_rows import FaceRow


class Writer(Protocol):
    """What `vidinv.media.writer.SegmentWriter` offers."""

    def write(self, planes: Planes, pts: int) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class SegmentRecord:
    """A finished segment: what the journal keeps of it."""

    segment: int  # its number, counted from 0
    first: int  # frame index of its first frame
    last: int  # frame index of its last frame, inclusive
    files: Mapping[str, str]  # file name in the job folder -> sha256
    faces: tuple[FaceRow, ...]  # of the faces that were measured, in order of frame
    gaps: tuple[tuple[float, float], ...] = ()  # damaged spans of the source, in seconds


class SegmentJournal(Protocol):
    """What `vidinv.jobs.journal.Journal` offers: the folder of the segments, and a way to list a finished one."""

    folder: Path

    def append(self, record: SegmentRecord) -> None: ...


class Recorder:
    """The sink of the render graph: writes frames into segments and closes each at its last frame.

    `open_segment(path)` gives the writer of the main video, `open_preview(path)` that of the side-by-side one; either
    may be None. `done(frames)` hears how many frames went by.
    """

    def __init__(
        self,
        journal: SegmentJournal,
        segments: list[tuple[int, int]],
        open_segment: Callable[[Path], Writer] | None,
        open_preview: Callable[[Path], Writer] | None,
        panel: int,
        done: Callable[[int], None],
    ) -> None:
        self.journal = journal
        self.number_of = {first: number for number, (first, _) in enumerate(segments)}
        self.segments = segments
        self.kinds = {"segment": open_segment, "preview": open_preview}
        self.panel = panel
        self.done = done
        self.number = -1
        self.writers: dict[str, tuple[Path, Writer]] = {}
        self.faces: list[FaceRow] = []
        self.evidence: list[Evidence] = []
        self.gaps: list[tuple[float, float]] = []

    def __call__(self, work: Work) -> None:
        """Write one Work's frames."""
        try:
            self._write(work)
        except OSError as error:
            where = f"{self.journal.folder} (frame {work.frames.index[0]})"
            raise OutputUnwritable(
                f"writing {where} failed: {error.strerror or error}", remedy="free some disk space and run it again"
            ) from error

    def abandon(self) -> None:
        """Close what is open after an error; the unfinished segment is not journaled."""
        for path, writer in self.writers.values():
            with contextlib.suppress(VidinvError, OSError):  # the first error is the one to show
                writer.close()
            path.unlink(missing_ok=True)
        self.writers.clear()

    def _write(self, work: Work) -> None:
        output = work.output or work.frames.native
        for position, index in enumerate(work.frames.index):
            if index in self.number_of:
                self._open(self.number_of[index])
            pts = work.frames.pts[position]
            if "segment" in self.writers:
                self.writers["segment"][1].write(output[position], pts)
            if "preview" in self.writers:
                panels = side_by_side(work, position, self.panel)
                self.writers["preview"][1].write(panels, pts)
            self.faces += face_rows(work, position)
            self.evidence += [each for each in work.evidence if each.frame == index]
            self.gaps += [(begin, end) for beside, begin, end in work.frames.gaps if beside == index]
            if index == self.segments[self.number][1] - 1:
                self._close()
        self.done(len(work.frames))

    def _open(self, number: int) -> None:
        self.number = number
        self.faces, self.evidence, self.gaps = [], [], []
        for kind, opener in self.kinds.items():
            if opener is not None:
                path = self.journal.folder / f"{kind}-{number:05d}{SEGMENT_SUFFIX}"
                self.writers[kind] = (path, opener(path))

    def _close(self) -> None:
        files: dict[str, str] = {}
        for path, writer in self.writers.values():
            writer.close()
            files[path.name] = fileio.synced_sha256(path)
        self.writers.clear()
        if self.evidence:
            path = self.journal.folder / identity_evidence.name(self.number)
            identity_evidence.save_evidence(path, identity_evidence.thinned(self.evidence))
            files[path.name] = fileio.synced_sha256(path)
        first, end = self.segments[self.number]
        self.journal.append(SegmentRecord(self.number, first, end - 1, files, tuple(self.faces), tuple(self.gaps)))


def side_by_side(work: Work, position: int, panel: int) -> Planes:
    """Source, inversion and edit of the frame's face that is edited most, 4:2:0 8-bit planes [panel, 3*panel].

    The first one where several are, or none is; black where there is no face.
    """
    faces = work.faces
    picture: Array = np.zeros((panel, 3 * panel, 3), np.float32)
    if faces is not None and work.inversion is not None and work.edit is not None:
        here = (faces.frame == position).nonzero().flatten().tolist()
        if here:
            n = max(here, key=work.presence)  # the first of equals
            row = [faces.image[n], work.inversion[n], work.edit[n]]
            small = [cv2.resize(x.permute(1, 2, 0).numpy(), (panel, panel), interpolation=cv2.INTER_AREA) for x in row]
            picture = (np.concatenate(small, axis=1) + 1) / 2
    return yuv420(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))


def yuv420(rgb: Array) -> Planes:
    """BT.601 limited-range planes of an 8-bit RGB picture [H,W,3] with even sides."""
    height, width = rgb.shape[:2]
    packed = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)  # [H*3/2, W]
    chroma = packed[height:].reshape(2, height // 2, width // 2)
    return Planes((packed[:height], chroma[0], chroma[1]), pix_fmt="yuv420p", sub_x=1, sub_y=1, depth=8)


def preview_info(info: Any, panel: int) -> Any:
    """The VideoInfo of the side-by-side video: the source's times, its own size and colour."""
    colour = replace(info.colour, matrix="bt601", full_range=False, primaries_tag=2, transfer_tag=2)
    colour = replace(colour, matrix_tag=6, range_tag=1)
    info = replace(info, width=3 * panel, height=panel, display=Display(), fields="", mastering=Mastering())
    return replace(info, pix_fmt="yuv420p", depth=8, sub_x=1, sub_y=1, colour=colour)


def face_rows(work: Work, position: int) -> list[FaceRow]:
    """The measured faces of the frame at `position` of the Work."""
    if work.faces is None:
        return []
    faces = zip(work.faces.frame.tolist(), work.faces.track.tolist(), work.metrics, strict=False)
    index = work.frames.index[position]
    return [
        FaceRow(index, track, metrics) for frame, track, metrics in faces if frame == position and metrics is not None
    ]
