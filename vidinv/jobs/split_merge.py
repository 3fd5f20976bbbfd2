"""One job shared out: the analysis in one place, parts of the clip rendered anywhere, and put together again.

A part begins at a cut. There nothing is handed on (refinement, masks, fading and flicker all begin anew) and a segment
begins, so that its frames are those of a job that one process does. Inside a shot a frame is refined from its
neighbour's result, and a part could not be equal: a shot is never split.
"""

from __future__ import annotations

import fnmatch
import re
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from vidinv.errors import OutputUnwritable, UsageError
from vidinv.frames import Analysis
from vidinv.jobs import video_job
from vidinv.jobs.journal import Journal
from vidinv.jobs.render import render
from vidinv.jobs.request import Request
from vidinv.progress import Progress
from vidinv.stages import decode
from vidinv.stages.reencode import SegmentRecord

BEGUN = ("job.json", "config.yaml", "analysis-*.sealed", "aim.json", "tuned.*")  # of a job folder
Part = tuple[int, int]  # numbers of its segments, first <= n < end


def plan(request: Request, progress: Progress, seconds: float) -> list[Part]:
    """Analyse the clip and say which parts of at least `seconds` it can be rendered in; the job folder stays.

    Raises what `job.run` raises before a frame is rendered.
    """
    if request.codes is not None:
        raise UsageError("codes are kept in one file, and cannot be made in parts", remedy="leave --codes out")
    with video_job.open_job(request) as opened:
        job = video_job.analyze_job(opened, progress)
        return parts(job.segments, job.analysis, seconds)


def parts(segments: list[decode.Segment], analysis: Analysis, seconds: float) -> list[Part]:
    """Runs of `segments` of at least `seconds` each, the last perhaps shorter, that all begin at a cut."""
    cuts = {shot.start for shot in analysis.shots}
    begins = [0]
    for number, (first, _) in enumerate(segments):
        since = analysis.pts[first] - analysis.pts[segments[begins[-1]][0]]
        if number and first in cuts and since * analysis.time_base >= seconds:
            begins.append(number)
    return list(zip(begins, [*begins[1:], len(segments)], strict=True))


def begun_files(folder: Path) -> list[Path]:
    """The files of a planned job's folder with which another machine goes on."""
    return sorted(path for path in folder.iterdir() if any(fnmatch.fnmatch(path.name, name) for name in BEGUN))


def made_files(folder: Path) -> list[Path]:
    """The files of a rendered part's folder that `gather` needs: its segments, and the journal that lists them."""
    made = [folder / name for record in Journal(folder).finished() for name in record.files]
    return [*made, Journal(folder).path]


def render_part(request: Request, part: Part, progress: Progress) -> Path:
    """Render the segments of one part of a planned job, whose files lie in this request's job folder; returns that."""
    with video_job.open_job(request) as opened:
        job = video_job.analyze_job(opened, progress)
        render(replace(job, segments=job.segments[slice(*part)]), progress)
        opened.source.check()
        return opened.folder.path


def gather(request: Request, made: Iterable[tuple[Part, Path]], progress: Progress) -> dict[str, Any]:
    """Put the parts, each with the folder that holds what was made of it, together; returns the report of the job."""
    with video_job.open_job(request) as opened:
        records = []
        for (first, end), folder in sorted(made):
            found = Journal(folder).finished()
            if len(found) != end - first:
                raise OutputUnwritable(f"the part from segment {first} on was damaged", remedy="run it again")
            records += [_moved(record, first, folder, opened.folder.path) for record in found]
        Journal(opened.folder.path).keep(records)
    return video_job.run(request, progress, opened.backend)


def _moved(record: SegmentRecord, by: int, folder: Path, target: Path) -> SegmentRecord:
    """A part's record as it is in the whole job's journal, its files copied there."""
    number, files = record.segment + by, {}
    for name, digest in record.files.items():
        renamed = re.sub(r"-\d{5}\.", f"-{number:05d}.", name)
        shutil.copyfile(folder / name, target / renamed)
        files[renamed] = digest
    return replace(record, segment=number, files=files)
