"""One job as it grows: request, checked request, open job, analyzed job. Each state holds the one before."""

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
from vidinv.jobs.request_files import RequestFiles
from vidinv.jobs.source_check import SourceState
from vidinv.jobs.timing import Clock
from vidinv.media.probe import VideoInfo
from vidinv.stages import codes as stored_codes

FORMAT = 2  # of a job folder; a folder of another format is refused


@dataclass(frozen=True)
class OpenJob:
    """A job whose request is checked and settled and whose folder is locked.

    `encoder` is the digest of the user's encoder file (empty: the backend's encoder), `given` holds the boxes that
    replace a detector.
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
        """One digest of everything that decides the output: an unfinished job is resumed only if it is equal.

        The contents of the source, encoder, generator and boxes files count, not their paths.
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
                "directions": [resolved.direction.digest for resolved in self.checked.edits],
            }
        )


@dataclass(frozen=True)
class AnalyzedJob:
    """A job after its first pass: everything that the render needs.

    `edits` have persons and strengths; `models` is None if no face is touched; `segments` are [(first, end), ...] of
    frames; `people` are the full tracks of the persons that the job edits; `tuning` is the report's entry on a tuning;
    `busy` maps each finished step to its seconds.
    """

    opened: OpenJob
    analysis: Analysis
    edits: ResolvedEdits
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

    @property
    def files(self) -> RequestFiles:
        return self.opened.checked.files

    def below_gate(self) -> AnalyzedJob:
        """The same job with the output name of a missed gate."""
        return replace(self, opened=replace(self.opened, checked=self.opened.checked.below_gate()))


def open_checked(checked: CheckedRequest, folder: JobFolder) -> OpenJob:
    """Settle the settings of a checked request whose `folder` is locked, and read the state of its source.

    Raises InputUnreadable, and UsageError for a missing device or missing boxes.
    """
    request = checked.request
    config = request.config
    if not checked.touches_faces:
        config = replace(config, engine="eager")  # no network runs, so no engine is chosen
    config = requests.settle(config, checked.backend, folder.config if folder.is_begun else None)
    given = given_boxes.boxes_of_run(config, checked.backend) if checked.touches_faces else None
    checked = replace(checked, request=replace(request, config=config))
    source, encoder = SourceState.of(request.source), stored_codes.encoder_digest(config)
    return OpenJob(checked, source, encoder, given, folder, Clock.now())
