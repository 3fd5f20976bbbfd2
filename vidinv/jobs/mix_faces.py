"""Two pictures' faces mixed, or one turned into the other: `vidinv mix` and `vidinv interpolate`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from vidinv.editing import mixing
from vidinv.frames import EditLayer, Work
from vidinv.jobs import finalize, image_job, render
from vidinv.jobs.image_job import OpenPicture
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.request import Request
from vidinv.jobs.timing import Clock
from vidinv.media import picture, remux
from vidinv.media.codecs import EncoderOptions
from vidinv.media.writer import SEGMENT_SUFFIX, SegmentWriter
from vidinv.stages import reencode, synthesize

RATE = 25  # frames a second
Rows = tuple[int, int]  # first <= l < last of w+


def mix(request: Request, other: Path, rows: Rows | None, share: float, region: str) -> dict[str, Any]:
    """The face of `request.source` with rows of w+ of the face in `other`, blended into the source; the report.

    `rows` None: those behind the layer that F replaces, the paper's mixing (F of one, w of the other).
    """
    clock = Clock.now()
    with JobFolder(request.output) as folder:
        folder.empty()
        try:
            one, two = _opened(request, folder), _opened(_of(request, other), folder)
            models, a, b = one.job.models, image_job.codes_of(one.work), image_job.codes_of(two.work)
            assert models is not None
            taken = rows or mixing.rows_behind(models.generator, a.at)
            with torch.no_grad():
                mixed = mixing.mix(models.generator, a[:1], b[:1], taken, share)
            work = replace(_first(one.work), layers=(EditLayer(region, mixed, (1.0,)),))
            work = image_job.through(render.drawing(one.job, models, "replace"), work)
            how = f"rows {taken[0]}-{taken[1] - 1} of w+ by {share:g} from {other.name}"
            made = finalize.made_by(one.job) | {"vidinv_edits": f"mix: {how}"}
            image_job.write_edited(one.job, one.photo, work, made)
            edits = [{"name": "mix", "from": other.name, "layers": list(taken), "strength": share, "region": region}]
            report = finalize.document(one.job, 1, image_job.measured(work), edits)
            return finalize.write_report(one.job, report, clock.spent(), [])
        finally:
            folder.delete()


def interpolate(
    request: Request, other: Path, seconds: float, done: Callable[[int], None] = lambda frames: None
) -> None:
    """A film of the aligned face of `request.source` becoming that of `other`, at the size of the job's crops."""
    with JobFolder(request.output) as folder:
        folder.empty()
        try:
            one, two = _opened(request, folder), _opened(_of(request, other), folder)
            models, a, b = one.job.models, image_job.codes_of(one.work)[:1], image_job.codes_of(two.work)[:1]
            assert models is not None
            count, size = frames(seconds), one.job.request.config.crop
            info = replace(
                reencode.preview_info(one.job.info, size), width=size, time_base=Fraction(1, RATE), rate=Fraction(RATE)
            )
            with tempfile.TemporaryDirectory(dir=folder.path) as place:
                partial = Path(place) / f"film{SEGMENT_SUFFIX}"
                writer = SegmentWriter(partial, info, EncoderOptions("h264"))
                try:
                    for index in range(count):
                        with torch.no_grad():
                            code = mixing.between(models.generator, a, b, index / (count - 1))
                            drawn = synthesize.whole(models.generator, code, size)[0]
                        writer.write(reencode.yuv420(picture.pixels(drawn)), index)
                        done(1)
                finally:
                    writer.close()
                made = finalize.made_by(one.job) | {"vidinv_edits": f"from {request.source.name} to {other.name}"}
                remux.assemble([partial], partial, request.output, metadata=made)
        finally:
            folder.delete()


def frames(seconds: float) -> int:
    """How many frames a film of so many seconds has."""
    return max(2, round(seconds * RATE))


def _of(request: Request, other: Path) -> Request:
    """The request for the other picture: its largest face, whoever was chosen of the first."""
    return replace(request, source=other, config=replace(request.config, faces="largest"))


def _opened(request: Request, folder: JobFolder) -> OpenPicture:
    return image_job.open_picture(request, [], folder)


def _first(work: Work) -> Work:
    """The Work with its first face alone."""
    assert work.faces is not None and work.codes is not None
    faces = work.faces
    kept = replace(
        faces, image=faces.image[:1], frame=faces.frame[:1], track=faces.track[:1], to_frame=faces.to_frame[:1]
    )
    return replace(work, faces=kept, codes=work.codes[:1])
