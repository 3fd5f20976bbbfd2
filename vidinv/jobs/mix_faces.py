"""Two pictures' faces mixed, or one turned into the other: `vidinv mix` and `vidinv interpolate`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch

from vidinv.backends.interface import Backend
from vidinv.editing import mixing
from vidinv.errors import UsageError
from vidinv.frames import EditLayer, Work
from vidinv.jobs import finalize, image_job, render
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.request import CheckedRequest, Request
from vidinv.jobs.timing import Clock
from vidinv.media import photo, picture, remux
from vidinv.media.codecs import EncoderOptions
from vidinv.media.writer import SEGMENT_SUFFIX, SegmentWriter
from vidinv.stages import reencode, synthesize

RATE = 25  # frames a second
Rows = tuple[int, int]  # first <= l < last of w+
FILMS = (".mp4", ".mkv", ".mov")


@dataclass(frozen=True)
class CheckedPair:
    """The picture whose face is kept or comes first, and the other one, of which the largest face is taken."""

    one: CheckedRequest
    other: CheckedRequest


def check_mix(request: Request, other: Path, backend: Backend) -> CheckedPair:
    """Check a mixture, a picture, of the faces in the request's and in `other`; raises as `check_picture` does."""
    photo.check_suffix(request.output)
    return _checked(request, other, backend)


def check_film(request: Request, other: Path, backend: Backend) -> CheckedPair:
    """Check a film of the face in the request's picture becoming that in `other`; raises as `check_picture` does."""
    if request.output.suffix.lower() not in FILMS:
        raise UsageError(f"{request.output.name} does not name a film", remedy=f"end it with {', '.join(FILMS)}")
    return _checked(request, other, backend)


def _checked(request: Request, other: Path, backend: Backend) -> CheckedPair:
    of_other = replace(request, source=other, config=replace(request.config, faces="largest"))
    return CheckedPair(image_job.check_source(request, backend), image_job.check_source(of_other, backend))


def mix(pair: CheckedPair, rows: Rows | None, share: float, region: str) -> dict[str, Any]:
    """The face of the first picture with rows of w+ of the second's face, blended into the first; the report.

    `rows` None: those behind the layer that F replaces, the paper's mixing (F of one, w of the other).
    """
    clock, other = Clock.now(), pair.other.request.source
    with JobFolder(pair.one.request.output) as folder:
        folder.empty()
        try:
            one, two = image_job.open_picture(pair.one, folder), image_job.open_picture(pair.other, folder)
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


def interpolate(pair: CheckedPair, seconds: float, done: Callable[[int], None] = lambda frames: None) -> None:
    """A film of the aligned face of the first picture becoming that of the second, at the size of the job's crops."""
    source, other, output = pair.one.request.source, pair.other.request.source, pair.one.request.output
    with JobFolder(output) as folder:
        folder.empty()
        try:
            one, two = image_job.open_picture(pair.one, folder), image_job.open_picture(pair.other, folder)
            models, a, b = one.job.models, image_job.codes_of(one.work)[:1], image_job.codes_of(two.work)[:1]
            assert models is not None
            count, size = frames(seconds), one.job.config.crop
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
                            drawn = synthesize.render_whole(models.generator, code, size)[0]
                        writer.write(reencode.yuv420(picture.pixels(drawn)), index)
                        done(1)
                finally:
                    writer.close()
                made = finalize.made_by(one.job) | {"vidinv_edits": f"from {source.name} to {other.name}"}
                remux.assemble([partial], partial, output, metadata=made)
        finally:
            folder.delete()


def frames(seconds: float) -> int:
    """How many frames a film of so many seconds has."""
    return max(2, round(seconds * RATE))


def _first(work: Work) -> Work:
    """The Work with its first face alone."""
    assert work.faces is not None and work.codes is not None
    faces = work.faces
    kept = replace(
        faces, image=faces.image[:1], frame=faces.frame[:1], track=faces.track[:1], to_frame=faces.to_frame[:1]
    )
    return replace(work, faces=kept, codes=work.codes[:1])
