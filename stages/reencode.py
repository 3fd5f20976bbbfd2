"""Reencode: write the blended frames as segments of video, and record each finished segment in the job's journal."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import cv2

from vidinv import fileio
from vidinv.errors import OutputUnwritable, VidinvError
from vidinv.frames import Array, Display, Evidence, Planes, Work
from vidinv.media.mastering import Mastering
from vidinv.media.writer import SEGMENT_SUFFIX
from vidinv.report import identity_evidence
from vidinv.report.face_rows import FaceRow


class Writer(Protocol):
    """The part of `vidinv.media.writer.SegmentWriter` that the recorder uses."""

    def write(self, planes: Planes, pts: int) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class SegmentRecord:
    """The journal's record of a finished segment."""

    segment: int  # its number, counted from 0
    first: int  # frame index of its first frame
    last: int  # frame index of its last frame, inclusive
    files: Mapping[str, str]  # file name in the job folder -> sha256
    faces: tuple[FaceRow, ...]  # the measured faces, in order of frame
    gaps: tuple[tuple[float, float], ...] = ()  # damaged spans of the source, in seconds


class SegmentJournal(Protocol):
    """The part of `vidinv.jobs.journal.Journal` that the recorder uses: the segments' folder, and `append`."""

    folder: Path

    def append(self, record: SegmentRecord) -> None: ...


class Recorder:
    """The sink of the render graph: writes frames into segments of closed GOPs and closes each at its last frame.

    A segment is recorded in `journal` only once its files are complete and synced to disk. `open_segment(path)` returns
    the writer of the main video, `open_preview(path)` that of the side-by-side video, whose RGB pictures
    `draw_preview(work, position)` draws; either writer may be None. `done(frames)` is called with the number of frames
    of each Work. Raises OutputUnwritable where a file cannot be written.
    """

    def __init__(
        self,
        journal: SegmentJournal,
        segments: list[tuple[int, int]],
        open_segment: Callable[[Path], Writer] | None,
        open_preview: Callable[[Path], Writer] | None,
        draw_preview: Callable[[Work, int], Array] | None,
        done: Callable[[int], None],
    ) -> None:
        self.journal = journal
        self.number_of = {first: number for number, (first, _) in enumerate(segments)}
        self.segments = segments
        self.kinds = {"segment": open_segment, "preview": open_preview}
        self.draw_preview = draw_preview
        self.done = done
        self.number = -1
        self.writers: dict[str, tuple[Path, Writer]] = {}
        self.faces: list[FaceRow] = []
        self.evidence: list[Evidence] = []
        self.gaps: list[tuple[float, float]] = []

    def __call__(self, work: Work) -> None:
        """Write the frames of one Work."""
        try:
            self._write(work)
        except OSError as error:
            where = f"{self.journal.folder} (frame {work.frames.index[0]})"
            raise OutputUnwritable(
                f"writing {where} failed: {error.strerror or error}",
                remedy="free disk space and run the same command again",
            ) from error

    def abandon(self) -> None:
        """Close and delete the files of the unfinished segment after an error; the journal does not record it."""
        for path, writer in self.writers.values():
            with contextlib.suppress(VidinvError, OSError):  # the caller shows the first error
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
                assert self.draw_preview is not None
                self.writers["preview"][1].write(yuv420(self.draw_preview(work, position)), pts)
            self.faces += face_rows(work, position)
            self.evidence += [each for each in work.evidence if each.frame == index]
            self.gaps += [(begin, end) for gap_index, begin, end in work.frames.gaps if gap_index == index]
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
            path = self.journal.folder / identity_evidence.file_name(self.number)
            identity_evidence.save_evidence(path, identity_evidence.thin_strips(self.evidence))
            files[path.name] = fileio.synced_sha256(path)
        first, end = self.segments[self.number]
        self.journal.append(SegmentRecord(self.number, first, end - 1, files, tuple(self.faces), tuple(self.gaps)))


def yuv420(rgb: Array) -> Planes:
    """Convert an 8-bit RGB picture [H,W,3] with even sides to BT.601 limited-range 4:2:0 planes."""
    height, width = rgb.shape[:2]
    packed = cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)  # [H*3/2, W]
    chroma = packed[height:].reshape(2, height // 2, width // 2)
    return Planes((packed[:height], chroma[0], chroma[1]), pix_fmt="yuv420p", sub_x=1, sub_y=1, depth=8)


def preview_info(info: Any, width: int, height: int) -> Any:
    """The VideoInfo of a video of RGB pictures: the source's timing with another size and its own colour."""
    colour = replace(info.colour, matrix="bt601", full_range=False, primaries_tag=2, transfer_tag=2)
    colour = replace(colour, matrix_tag=6, range_tag=1)
    info = replace(info, width=width, height=height, display=Display(), fields="", mastering=Mastering())
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
