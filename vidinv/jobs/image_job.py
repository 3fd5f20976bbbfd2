"""Edit a picture with the stages of a video: find, invert, edit, blend and measure its faces."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidinv.analysis import face_tracks, first_pass, given_boxes, turned_faces
from vidinv.analysis.first_pass import Detections
from vidinv.backends.interface import Backend
from vidinv.editing import strength_range
from vidinv.editing.plan import ResolvedEdits
from vidinv.errors import UsageError
from vidinv.frames import Array, Code, Colour, Display, Edit, FrameBatch, Shot, Work
from vidinv.jobs import check, engine_autotune, finalize, preview_panels, render, sign_output, target_strength
from vidinv.jobs.exclusive_outputs import check_files, publish_files
from vidinv.jobs.job import AnalyzedJob, open_checked
from vidinv.jobs.job_folder import JobFolder, fresh_job
from vidinv.jobs.quality_summary import MeasuredFaces
from vidinv.jobs.request import CheckedRequest, Request
from vidinv.jobs.request_files import RequestFiles
from vidinv.jobs.timing import Clock
from vidinv.media import photo, picture
from vidinv.media.image_grid import image_grid
from vidinv.media.photo import Photo
from vidinv.media.probe import VideoInfo
from vidinv.stages import reencode
from vidinv.stages.graph import Stage

TIME_BASE = Fraction(1, 25)  # of the only frame, whose pts is 0


@dataclass(frozen=True)
class OpenPicture:
    """A picture whose faces are inverted: its job, its pixels and its one frame with codes."""

    job: AnalyzedJob
    photo: Photo
    work: Work


def check_picture(request: Request, backend: Backend | None = None) -> CheckedRequest:
    """Check a job on a picture. `backend` is the backend that the request names, if it is resolved already.

    Raises UsageError, InputUnreadable or OutputUnwritable; nothing is fetched or written.
    """
    check.check_names(request)
    photo.check_suffix(request.output)
    return check_source(request, request.files(), backend)


def check_source(request: Request, files: RequestFiles, backend: Backend | None = None) -> CheckedRequest:
    """Check a job on a picture that writes `files`, of any type, like `check_picture`."""
    backend, edits = check.check_common(request, backend)
    for resolved in edits:
        if resolved.edit.span != Edit.span:
            raise UsageError(
                f"{resolved.edit.name} has a time span, but a picture has only one frame",
                remedy="leave out the time span",
            )
    given_boxes.boxes_of_run(request.config, backend)
    info = _info(request.source, photo.read_photo(request.source))
    check_files(files, request.source, JobFolder(request.output), overwrite=request.overwrite)
    return CheckedRequest(request, files, backend, edits, info, touches_faces=True)


def edit(checked: CheckedRequest) -> dict[str, Any]:
    """Edit the faces of a picture, write the output and its report, and return the report.

    Every pixel outside the faces' masks equals the source's in a PNG (JPEG and WebP are lossy). `preview` also writes a
    picture with a row for every face: source, result and change. Raises VidinvError children with the exit codes of
    `vidinv/errors.py`.
    """
    clock = Clock.now()
    with fresh_job(checked.request.output) as folder:
        opened = open_picture(checked, folder)
        warnings = face_tracks.people_warnings(opened.job.analysis, checked.request.config.faces)
        warnings += strength_range.range_warnings(checked.edits)
        edits, unreached = _solve_targets(opened)
        job = replace(opened.job, edits=edits)
        assert job.models is not None
        work = run_stages(render.edit_stages(job, job.models), opened.work)
        report, made = finalize.build_report(job, 1, measured_faces(work)), finalize.output_metadata(job)
        return publish_edited(job, replace(opened, work=work), made, report, clock, warnings + unreached)


def publish_edited(
    job: AnalyzedJob,
    edited: OpenPicture,
    metadata: dict[str, str],
    report: dict[str, Any],
    clock: Clock,
    warnings: list[str],
) -> dict[str, Any]:
    """Make every file of the request from the `edited` picture, publish them, and return the completed report.

    The output carries the `metadata`; what its format cannot hold is added to the warnings. Raises OutputUnwritable.
    """
    work, kept = edited.work, edited.photo.metadata
    kept = kept.without_location() if job.request.strip_location else kept
    known = replace(edited.photo, samples=samples_of(work), metadata=kept)
    made = job.folder.start_making(job.files)
    assert made.output is not None
    if made.preview is not None and work.edit is not None:
        side = preview_panels.panel_side(job.analysis.tracks, job.config.preview_size)
        picture.write_picture(made.preview, build_sheet(work, side))
    claim = finalize.build_claim(job)
    lost = sign_output.write_signed(
        job.request, job.folder, claim, made.output, lambda path: photo.write_photo(path, known, metadata)
    )
    finalize.write_report(made, report, clock.spent(), warnings + lost)
    publish_files(job.folder, job.files, made, overwrite=job.request.overwrite)
    return report


def open_picture(checked: CheckedRequest, folder: JobFolder) -> OpenPicture:
    """Find and invert the faces of the checked picture. Raises NoFaceFound if there is none."""
    config = replace(checked.request.config, tune="none")  # one face is too few to tune on
    opened = open_checked(replace(checked, request=replace(checked.request, config=config)), folder)
    config, backend, source = opened.config, opened.backend, opened.request.source
    torch.set_num_threads(config.threads)
    if checked.request.config.engine != "auto":
        engine_autotune.check_engine(config, backend)
    known = photo.read_photo(source)
    locate = backend.locator(config.landmarks)
    if opened.given is None and backend.subject == "face":
        found = turned_faces.locate_turned(locate, backend.framing, known.rgb)
    else:
        found = first_pass.locate_in_frame(locate, opened.given, 0, known.rgb, 0)
    seen = Detections((0,), TIME_BASE, (Shot(0, 1),), (found,))
    analysis, edits = face_tracks.link_tracks(seen, config, backend, source, checked.edits)
    models = backend.models(config.device, config.encoder)
    check.check_styles(edits, models.generator)
    job = AnalyzedJob(opened, analysis, edits, models, segments=[(0, 1)])
    work = Work(_frame(known), new_shot=True)
    return OpenPicture(job, known, run_stages(render.inversion_stages(job, models, 0), work))


def run_stages(stages: Sequence[tuple[str, Stage]], work: Work) -> Work:
    """Pass one frame through stages."""
    works: Iterator[Work] = iter([work])
    for _, stage in stages:
        works = stage(works)
    (done,) = works
    return done


def build_sheet(work: Work, side: int) -> Tensor:
    """Return [3,H,W] in [-1,1]: for every face a labelled row of the source, the finished picture and what changed."""
    assert work.faces is not None
    rows = [preview_panels.face_panels(work, n, side, edited=True) for n in range(len(work.faces.image))]
    labels = [f"person {number}" for number in work.faces.track.tolist()] if len(rows) > 1 else []
    return image_grid(rows, row_labels=labels, column_labels=preview_panels.EDITED)


def codes_of(work: Work) -> Code:
    """The codes of the picture's faces."""
    assert work.codes is not None
    return work.codes


def _solve_targets(opened: OpenPicture) -> tuple[ResolvedEdits, list[str]]:
    """Solve the strength of every edit that names a value; also returns warnings on values out of reach."""
    job, work = opened.job, opened.work
    if not target_strength.has_target(job.edits):
        return job.edits, []
    assert work.faces is not None and job.models is not None
    codes = codes_of(work)
    samples = [
        target_strength.SampleFace(person, work.faces.image[n : n + 1], codes[n : n + 1])
        for n, person in enumerate(work.faces.track.tolist())
    ]
    return target_strength.solve_targets(
        job.edits, samples, target_strength.build_evaluator(job.backend, job.models, job.edits, job.config)
    )


def measured_faces(work: Work) -> MeasuredFaces:
    """The measurements of every edited face."""
    assert work.faces is not None
    return MeasuredFaces(reencode.face_rows(work, 0), lambda: work.evidence)


def samples_of(work: Work) -> Array:
    """Samples [H,W,3] or [H,W] of the picture: the edited frame, or the source if nothing was edited."""
    return photo.samples_of((work.output or work.frames.native)[0])


def _frame(known: Photo) -> FrameBatch:
    """The picture as the only frame of a clip."""
    return FrameBatch((known.planes(),), Colour("bt709", True), (0,), TIME_BASE, (0,))


def _info(source: Path, known: Photo) -> VideoInfo:
    """Describe the picture as a clip of one frame."""
    frame = _frame(known)
    planes = frame.native[0]
    return VideoInfo(
        source,
        planes.width,
        planes.height,
        Display(),
        planes.pix_fmt,
        frame.colour,
        TIME_BASE,
        1 / TIME_BASE,
        0.0,
        "",
        1,
        0,
        0,
        0,
        0,
        planes.depth,
    )
