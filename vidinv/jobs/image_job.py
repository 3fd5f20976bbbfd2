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

from vidinv import fileio
from vidinv.analysis import face_tracks, first_pass, given_boxes
from vidinv.analysis.first_pass import Sightings
from vidinv.backends import registry as backends
from vidinv.editing.plan import ResolvedEdits
from vidinv.errors import UsageError
from vidinv.frames import Array, Code, Colour, Display, Edit, FrameBatch, Planes, Shot, Work
from vidinv.generators.ops import resize
from vidinv.jobs import finalize, render, sign_output, target_strength
from vidinv.jobs import request as requests
from vidinv.jobs.job_folder import JobFolder, check_output, preview_path
from vidinv.jobs.quality_summary import MeasuredFaces
from vidinv.jobs.request import Request
from vidinv.jobs.timing import Clock
from vidinv.media import photo, picture
from vidinv.media.image_grid import image_grid
from vidinv.media.photo import Photo
from vidinv.media.probe import VideoInfo
from vidinv.stages import codes as stored_codes
from vidinv.stages import reencode
from vidinv.stages.graph import Stage

BASE = Fraction(1, 25)  # of a picture's only time, which is 0


@dataclass(frozen=True)
class OpenPicture:
    """A picture whose faces were inverted: the job that edits them, and the one frame with its codes."""

    job: render.RenderJob
    photo: Photo
    work: Work


def check_picture(request: Request) -> ResolvedEdits:
    """Everything that can be refused before work begins; returns the edits.

    Raises UsageError, InputUnreadable or OutputUnwritable; nothing is fetched or written.
    """
    moves = requests.resolve_edits(request.config.edits, request.config.backend)
    for move in moves:
        if move.edit.span != Edit.span:
            raise UsageError(f"a picture has no time for {move.edit.name} to come and go", remedy="leave the time out")
    photo.check_suffix(request.output)
    photo.read_photo(request.source)
    check_output(request.output, request.source, request.overwrite)
    requests.check_networks(request.config)
    requests.check_signing(request)
    return moves


def edit(request: Request) -> dict[str, Any]:
    """Edit the faces of a picture into `request.output`, and write the report beside it; returns the report.

    Every pixel outside the faces' masks is the source's, as a PNG holds it (JPEG and WebP lose a little). With
    `preview` a row for every face shows source, inversion and edit. Raises VidinvError children as the design's exit
    codes say.
    """
    clock, moves = Clock.now(), check_picture(request)
    with JobFolder(request.output) as folder:
        folder.empty()
        try:
            opened = open_picture(request, moves, folder)
            moves, warnings = _aimed(opened)
            job = replace(opened.job, moves=moves)
            assert job.models is not None
            work = through(render.editing(job, job.models), opened.work)
            write_edited(job, opened.photo, work, finalize.made_by(job))
            report = finalize.document(job, 1, measured(work))
            return finalize.write_report(job, report, clock.spent(), warnings)
        finally:
            folder.delete()


def write_edited(job: render.RenderJob, known: Photo, work: Work, made: dict[str, str]) -> None:
    """Write the edited picture, signed where that is asked for, and its preview likewise. Raises OutputUnwritable."""
    request, folder = job.request, job.folder
    if request.preview and work.edit is not None:
        partial = folder.path / "preview.png"
        picture.write_picture(partial, sheet(work))
        partial.replace(preview_path(request.output))
    edited = replace(known, rgb=rgb_of(work))
    sign_output.sealed(request, folder, finalize.claim(job), lambda path: photo.write_photo(path, edited, made))


def open_picture(request: Request, moves: ResolvedEdits, folder: JobFolder) -> OpenPicture:
    """Find and invert the faces of `request.source`. Raises NoFaceFound where there is none."""
    config = replace(requests.settle(request.config, folder.config), tune="none")  # one face is too few to tune on
    torch.set_num_threads(config.threads)
    known, backend = photo.read_photo(request.source), backends.choose_backend(config.backend)
    found = first_pass.seen(backend.locator(config.landmarks), given_boxes.of(config, backend), 0, known.rgb, 0)
    seen = Sightings((0,), BASE, (Shot(0, 1),), (found,))
    analysis, moves = face_tracks.link(seen, config, backend, request.source, moves)
    models = backend.models(config.device, config.encoder)
    frame = FrameBatch((_planes(known),), Colour("bt709", True), (0,), BASE, (0,))
    job = render.RenderJob(
        request=replace(request, config=config),
        info=_info(request.source, frame),
        analysis=analysis,
        moves=moves,
        models=models,
        codes=None,
        encoder=stored_codes.encoder_digest(config),
        folder=folder,
        segments=[(0, 1)],
        content=fileio.content_sha256(request.source),
    )
    return OpenPicture(job, known, through(render.inverting(job, models, 0), Work(frame, new_shot=True)))


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
        job.moves, samples, target_strength.attribute_measure(job.models, job.moves, job.request.config)
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


def _info(source: Path, frame: FrameBatch) -> VideoInfo:
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
