"""One job, growing by what is known of it: request, checked, opened, analysed. Each stage holds the one before."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vidinv import fileio, fingerprint
from vidinv.analysis import given_boxes
from vidinv.backends.interface import Backend, Models
from vidinv.config import RunConfig
from vidinv.editing.plan import ResolvedEdits
from vidinv.frames import Analysis, Track
from vidinv.jobs import request as requests
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.request import CheckedRequest, Request
from vidinv.jobs.source_check import SourceState
from vidinv.jobs.timing import Clock
from vidinv.media.probe import VideoInfo
from vidinv.stages import codes as stored_codes

FORMAT = 2  # of a job folder; one of another format is refused


@dataclass(frozen=True)
class OpenJob:
    """A job whose request is checked and settled, and whose folder is held.

    `encoder` is the digest of the user's own (empty: the backend's), `given` the boxes that stand for a detector.
    """

    checked: CheckedRequest
    source: SourceState
    encoder: str
    given: given_boxes.Boxes | None
    folder: JobFolder
    clock: Clock

    @property
    def request(self) -> Request:
        return self.checked.request

    @property
    def config(self) -> RunConfig:
        return self.checked.request.config

    @property
    def backend(self) -> Backend:
        return self.checked.backend

    def fingerprint(self) -> str:
        """One digest of all that decides what the job writes: equal where an unfinished job may be resumed.

        What is in the files of the source, the encoder, the generator and the boxes counts, wherever they are.
        """
        generator = fileio.content_sha256(Path(self.config.generator)) if self.config.generator else ""
        return fingerprint.digest(
            {
                "format": FORMAT,
                "request": fingerprint.deciding(self.request, fingerprint.JOB),
                "keeps_strips": self.request.keeps_strips,
                "source": self.source.content,
                "encoder": self.encoder,
                "generator": generator,
                "boxes": self.given.digest if self.given else "",
                "backend": self.backend.digest,
                "directions": [move.direction.digest for move in self.checked.moves],
            }
        )


@dataclass(frozen=True)
class AnalyzedJob:
    """A job after its first pass: what is rendered, and with what.

    `moves` are the edits with their persons and strengths; `models` is None where no face is touched; `segments` are
    [(first, end), ...] of frames; `people` are the whole tracks of those whom the job is about; `tuning` is what the
    report says of a tuning, `busy` the seconds of the steps so far by name.
    """

    opened: OpenJob
    analysis: Analysis
    moves: ResolvedEdits
    models: Models | None
    segments: list[tuple[int, int]]
    people: tuple[Track, ...] = ()
    codes: stored_codes.Codes | None = None
    tuning: dict[str, Any] | None = None
    busy: dict[str, dict[str, float]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def request(self) -> Request:
        return self.opened.request

    @property
    def config(self) -> RunConfig:
        return self.opened.config

    @property
    def backend(self) -> Backend:
        return self.opened.backend

    @property
    def info(self) -> VideoInfo:
        return self.opened.checked.info

    @property
    def folder(self) -> JobFolder:
        return self.opened.folder

    def below_gate(self) -> AnalyzedJob:
        """The same job with its output under the name that says that the gate was missed."""
        checked = replace(self.opened.checked, request=self.request.below_gate())
        return replace(self, opened=replace(self.opened, checked=checked))


def open_checked(checked: CheckedRequest, folder: JobFolder) -> OpenJob:
    """The job of a checked request in a `folder` that is held, its settings settled.

    Raises InputUnreadable, and UsageError for a device or boxes that are not there.
    """
    request = checked.request
    config = request.config
    if not checked.touches_faces:
        config = replace(config, engine="eager")  # nothing is drawn that would be worth a choice
    config = requests.settle(config, checked.backend, folder.config if folder.is_begun else None)
    given = given_boxes.boxes_of_run(config, checked.backend) if checked.touches_faces else None
    checked = replace(checked, request=replace(request, config=config))
    source, encoder = SourceState.of(request.source), stored_codes.encoder_digest(config)
    return OpenJob(checked, source, encoder, given, folder, Clock.now())
