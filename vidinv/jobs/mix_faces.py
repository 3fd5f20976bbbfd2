"""Mix the faces of two pictures, or morph one into the other: `vidinv mix` and `vidinv interpolate`."""

from __future__ import annotations

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
from vidinv.jobs.exclusive_outputs import publish_files
from vidinv.jobs.job_folder import fresh_job
from vidinv.jobs.request import CheckedRequest, Request
from vidinv.jobs.request_files import RequestFiles
from vidinv.jobs.timing import Clock
from vidinv.media import photo, picture, remux
from vidinv.media.codecs import EncoderOptions
from vidinv.media.writer import SEGMENT_SUFFIX, SegmentWriter
from vidinv.stages import reencode, synthesize
from vidinv.terminal import escape_surrogates

RATE = 25  # frames a second
Rows = tuple[int, int]  # first <= l < last of w+
FILMS = (".mp4", ".mkv", ".mov")


@dataclass(frozen=True)
class CheckedPair:
    """The first picture, and the other one, whose largest face is used."""

    one: CheckedRequest
    other: CheckedRequest


def check_mix(request: Request, other: Path, backend: Backend) -> CheckedPair:
    """Check a mix of the faces in the request's picture and in `other`. Raises what `check_picture` raises."""
    photo.check_suffix(request.output)
    return _checked(request, request.files(), other, backend)


def check_film(request: Request, other: Path, backend: Backend) -> CheckedPair:
    """Check a video that morphs the request's face into that of `other`. Raises what `check_picture` raises."""
    if request.output.suffix.lower() not in FILMS:
        raise UsageError(
            f"{request.output.name} is not the name of a video", remedy=f"use one of the suffixes {', '.join(FILMS)}"
        )
    return _checked(request, RequestFiles(output=request.output), other, backend)


def _checked(request: Request, files: RequestFiles, other: Path, backend: Backend) -> CheckedPair:
    of_other = replace(request, source=other, config=replace(request.config, faces="largest"))
    one, two = (image_job.check_source(each, files, backend) for each in (request, of_other))
    return CheckedPair(one, two)


def mix(pair: CheckedPair, rows: Rows | None, share: float, region: str) -> dict[str, Any]:
    """Replace rows of w+ of the first face by the second's, blend it into the first picture, and return the report.

    `rows` None takes the rows behind the layer that F replaces: the paper's mixing (F of one face, w of the other).
    """
    clock, other = Clock.now(), pair.other.request.source
    with fresh_job(pair.one.request.output) as folder:
        one, two = image_job.open_picture(pair.one, folder), image_job.open_picture(pair.other, folder)
        models, a, b = one.job.models, image_job.codes_of(one.work), image_job.codes_of(two.work)
        assert models is not None
        taken = rows or mixing.rows_behind(models.generator, a.at)
        with torch.no_grad():
            mixed = mixing.mix(models.generator, a[:1], b[:1], taken, share)
        work = replace(_first(one.work), layers=(EditLayer(region, mixed, (1.0,)),))
        work = image_job.run_stages(render.draw_stages(one.job, models, "replace"), work)
        how = f"rows {taken[0]}-{taken[1] - 1} of w+ by {share:g} from {escape_surrogates(other.name)}"
        made = finalize.output_metadata(one.job) | {"vidinv_edits": f"mix: {how}"}
        edits = [{"name": "mix", "from": other.name, "layers": list(taken), "strength": share, "region": region}]
        report = finalize.build_report(one.job, 1, image_job.measured_faces(work), edits)
        return image_job.publish_edited(one.job, replace(one, work=work), made, report, clock, [])


def interpolate(pair: CheckedPair, seconds: float, done: Callable[[int], None] = lambda frames: None) -> None:
    """Write a video that morphs the first aligned face into the second, at the size of the job's crops.

    `done(n)` is called after every n frames.
    """
    source, other = pair.one.request.source, pair.other.request.source
    with fresh_job(pair.one.request.output) as folder:
        one, two = image_job.open_picture(pair.one, folder), image_job.open_picture(pair.other, folder)
        models, a, b = one.job.models, image_job.codes_of(one.work)[:1], image_job.codes_of(two.work)[:1]
        assert models is not None
        count, size = frame_count(seconds), one.job.config.crop
        info = replace(
            reencode.preview_info(one.job.info, size, size), time_base=Fraction(1, RATE), rate=Fraction(RATE)
        )
        made, film = folder.start_making(pair.one.files), folder.scratch(f"film{SEGMENT_SUFFIX}")
        assert made.output is not None
        writer = SegmentWriter(film, info, EncoderOptions("h264"))
        try:
            for index in range(count):
                with torch.no_grad():
                    code = mixing.between(models.generator, a, b, index / (count - 1))
                    drawn = synthesize.render_whole(models.generator, code, size)[0]
                writer.write(reencode.yuv420(picture.pixels(drawn)), index)
                done(1)
        finally:
            writer.close()
        names = escape_surrogates(f"from {source.name} to {other.name}")
        told = finalize.output_metadata(one.job) | {"vidinv_edits": names}
        remux.assemble([film], film, made.output, metadata=told)
        publish_files(folder, pair.one.files, made, overwrite=pair.one.request.overwrite)


def frame_count(seconds: float) -> int:
    """Number of frames of a video of this length."""
    return max(2, round(seconds * RATE))


def _first(work: Work) -> Work:
    """The Work with only its first face."""
    assert work.faces is not None and work.codes is not None
    faces = work.faces
    kept = replace(
        faces, image=faces.image[:1], frame=faces.frame[:1], track=faces.track[:1], to_frame=faces.to_frame[:1]
    )
    return replace(work, faces=kept, codes=work.codes[:1])
