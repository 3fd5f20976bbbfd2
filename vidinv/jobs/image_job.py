"""A picture edited by the stages that edit a video's frames: found, inverted, edited, blended, measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidinv.analysis import face_tracks, first_pass, given_boxes
from vidinv.analysis.first_pass import Detections
from vidinv.backends.interface import Backend
from vidinv.editing.plan import ResolvedEdits
from vidinv.errors import UsageError
from vidinv.frames import Array, Code, Colour, Display, Edit, FrameBatch, Planes, Shot, Work
from vidinv.generators.ops import resize
from vidinv.jobs import check, engine_autotune, finalize, render, sign_output, target_strength
from vidinv.jobs.job import AnalyzedJob, open_checked
from vidinv.jobs.job_folder import JobFolder, preview_path
from vidinv.jobs.quality_summary import MeasuredFaces
from vidinv.jobs.request import CheckedRequest, Request
from vidinv.jobs.timing import Clock
from vidinv.media import photo, picture
from vidinv.media.image_grid import image_grid
from vidinv.media.photo import Photo
from vidinv.media.probe import VideoInfo
from vidinv.stages import reencode
from vidinv.stages.graph import Stage

BASE = Fraction(1, 25)  # of a picture's only time, which is 0


@dataclass(frozen=True)
class OpenPicture:
    """A picture whose faces were inverted: the job that edits them, and the one frame with its codes."""

    job: AnalyzedJob
    photo: Photo
    work: Work


def check_picture(request: Request, backend: Backend | None = None) -> CheckedRequest:
    """Check a job on a picture. `backend` is the one that the request names, where it is resolved already.

    Raises UsageError, InputUnreadable or OutputUnwritable; nothing is fetched or written.
    """
    photo.check_suffix(request.output)
    return check_source(request, backend)


def check_source(request: Request, backend: Backend | None = None) -> CheckedRequest:
    """The same, whatever kind of file the output is."""
    backend, moves = check.check_common(request, backend)
    for move in moves:
        if move.edit.span != Edit.span:
            raise UsageError(f"a picture has no time for {move.edit.name} to come and go", remedy="leave the time out")
    given_boxes.boxes_of_run(request.config, backend)
    info = _info(request.source, photo.read_photo(request.source))
    check.check_outputs([request.output], request.source, request.overwrite)
    return CheckedRequest(request, backend, moves, info, touches_faces=True)


def edit(checked: CheckedRequest) -> dict[str, Any]:
    """Edit the faces of a picture into its output, and write the report beside it; returns the report.

    Every pixel outside the faces' masks is the source's, as a PNG holds it (JPEG and WebP lose a little). With
    `preview` a row for every face shows source, inversion and edit. Raises VidinvError children as the design's exit
    codes say.
    """
    clock = Clock.now()
    with JobFolder(checked.request.output) as folder:
        folder.empty()
        try:
            opened = open_picture(checked, folder)
            moves, warnings = _aimed(opened)
            job = replace(opened.job, moves=moves)
            assert job.models is not None
            work = through(render.editing(job, job.models), opened.work)
            write_edited(job, opened.photo, work, finalize.made_by(job))
            report = finalize.document(job, 1, measured(work))
            return finalize.write_report(job, report, clock.spent(), warnings)
        finally:
            folder.delete()


def write_edited(job: AnalyzedJob, known: Photo, work: Work, made: dict[str, str]) -> None:
    """Write the edited picture, signed where that is asked for, and its preview likewise. Raises OutputUnwritable."""
    request, folder = job.request, job.folder
    if request.preview and work.edit is not None:
        partial = folder.path / "preview.png"
        picture.write_picture(partial, sheet(work))
        partial.replace(preview_path(request.output))
    edited = replace(known, rgb=rgb_of(work))
    sign_output.sealed(request, folder, finalize.claim(job), lambda path: photo.write_photo(path, edited, made))


def open_picture(checked: CheckedRequest, folder: JobFolder) -> OpenPicture:
    """Find and invert the faces of the checked picture. Raises NoFaceFound where there is none."""
    config = replace(checked.request.config, tune="none")  # one face is too few to tune on
    opened = open_checked(replace(checked, request=replace(checked.request, config=config)), folder)
    config, backend, source = opened.config, opened.backend, opened.request.source
    torch.set_num_threads(config.threads)
    if checked.request.config.engine != "auto":
        engine_autotune.check_engine(config, backend)
    known = photo.read_photo(source)
    found = first_pass.locate_in_frame(backend.locator(config.landmarks), opened.given, 0, known.rgb, 0)
    seen = Detections((0,), BASE, (Shot(0, 1),), (found,))
    analysis, moves = face_tracks.link_tracks(seen, config, backend, source, checked.moves)
    models = backend.models(config.device, config.encoder)
    job = AnalyzedJob(opened, analysis, moves, models, segments=[(0, 1)])
    work = Work(_frame(known), new_shot=True)
    return OpenPicture(job, known, through(render.inverting(job, models, 0), work))


def through(stages: Sequence[tuple[str, Stage]], work: Work) -> Work:
    """One frame through stages."""
    works: Iterator[Work] = iter([work])
    for _, stage in stages:
        works = stage(works)
    (done,) = works
    return done


def sheet(work: Work) -> Tensor:
    """[3,H,W] in [-1,1]: of every face a row of source, inversion and edit, as drawn before blending."""
    assert work.faces is not None and work.inversion is not None and work.edit is not None
    size = work.faces.image.shape[-1]
    columns = [resize(images, size) for images in (work.faces.image, work.inversion, work.edit)]  # [N,3,S,S] each
    return image_grid(list(zip(*columns, strict=True)))


def codes_of(work: Work) -> Code:
    """The codes of the picture's faces."""
    assert work.codes is not None
    return work.codes


def _aimed(opened: OpenPicture) -> tuple[ResolvedEdits, list[str]]:
    """The moves with a strength where one named a value, and what could not be reached."""
    job, work = opened.job, opened.work
    if not target_strength.is_due(job.moves):
        return job.moves, []
    assert work.faces is not None and job.models is not None
    codes = codes_of(work)
    samples = [
        target_strength.AimedFace(person, work.faces.image[n : n + 1], codes[n : n + 1])
        for n, person in enumerate(work.faces.track.tolist())
    ]
    return target_strength.aimed(
        job.moves, samples, target_strength.attribute_measure(job.backend, job.models, job.moves, job.config)
    )


def measured(work: Work) -> MeasuredFaces:
    """What was measured of every face that was edited."""
    assert work.faces is not None
    return MeasuredFaces(reencode.face_rows(work, 0), lambda: work.evidence)


def _planes(known: Photo) -> Planes:
    green, blue, red = (np.ascontiguousarray(known.rgb[:, :, channel]) for channel in (1, 2, 0))
    return Planes((green, blue, red), "gbrp", 0, 0, 8)


def rgb_of(work: Work) -> Array:
    """RGB uint8 [H,W,3] of the picture's frame: the edited one, or the source's where nothing was edited."""
    green, blue, red = (work.output or work.frames.native)[0].planes
    return np.ascontiguousarray(np.stack([red, green, blue], 2))


def _frame(known: Photo) -> FrameBatch:
    """The picture as the only frame of a clip."""
    return FrameBatch((_planes(known),), Colour("bt709", True), (0,), BASE, (0,))


def _info(source: Path, known: Photo) -> VideoInfo:
    """The facts of the picture as of a clip of one frame."""
    frame = _frame(known)
    planes = frame.native[0]
    return VideoInfo(
        source,
        planes.width,
        planes.height,
        Display(),
        planes.pix_fmt,
        frame.colour,
        BASE,
        1 / BASE,
        0.0,
        "",
        1,
        0,
        0,
        0,
        0,
        8,
    )
