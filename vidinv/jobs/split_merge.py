"""Split one job into parts that are rendered anywhere, and merge them into the output.

A part starts at a cut and at a segment. No state crosses a cut (refinement, masks, fading and flicker all restart), so
the frames equal those of an unsplit job. A shot is never split: inside it each frame is refined from its neighbour.
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

PLANNED_FILES = ("job.json", "config.yaml", "analysis-*.sealed", "aim.json", "tuned.*")  # in a job folder
Part = tuple[int, int]  # numbers of its segments, first <= n < end


def plan_parts(request: Request, progress: Progress, seconds: float) -> list[Part]:
    """Analyse the clip and return its parts of at least `seconds` each; the job folder is kept.

    Raises what `video_job.run` raises before the render.
    """
    if request.codes is not None:
        raise UsageError("--codes writes one file, which a split job cannot do in parts", remedy="leave out --codes")
    with video_job.open_job(request) as opened:
        job = video_job.analyze_job(opened, progress)
        return parts(job.segments, job.analysis, seconds)


def parts(segments: list[decode.Segment], analysis: Analysis, seconds: float) -> list[Part]:
    """Split `segments` into runs of at least `seconds` that start at cuts; the last may be shorter."""
    cuts = {shot.start for shot in analysis.shots}
    begins = [0]
    for number, (first, _) in enumerate(segments):
        since = analysis.pts[first] - analysis.pts[segments[begins[-1]][0]]
        if number and first in cuts and since * analysis.time_base >= seconds:
            begins.append(number)
    return list(zip(begins, [*begins[1:], len(segments)], strict=True))


def planned_files(folder: Path) -> list[Path]:
    """The files of a planned job's folder that another machine needs to render a part."""
    return sorted(path for path in folder.iterdir() if any(fnmatch.fnmatch(path.name, name) for name in PLANNED_FILES))


def rendered_files(folder: Path) -> list[Path]:
    """The files of a rendered part's folder that `gather` needs: its segments and its journal."""
    made = [folder / name for record in Journal(folder).finished() for name in record.files]
    return [*made, Journal(folder).path]


def render_part(request: Request, part: Part, progress: Progress) -> Path:
    """Render one part of a planned job whose files are in the request's job folder; returns the folder."""
    with video_job.open_job(request) as opened:
        job = video_job.analyze_job(opened, progress)
        render(replace(job, segments=job.segments[slice(*part)]), progress)
        opened.source.check()
        return opened.folder.path


def gather(request: Request, made: Iterable[tuple[Part, Path]], progress: Progress) -> dict[str, Any]:
    """Merge the parts, each given with the folder of its segments, and return the report of the job."""
    with video_job.open_job(request) as opened:
        records = []
        for (first, end), folder in sorted(made):
            found = Journal(folder).finished()
            if len(found) != end - first:
                raise OutputUnwritable(
                    f"the part that starts at segment {first} is incomplete", remedy="run the command again"
                )
            records += [_moved(record, first, folder, opened.folder.path) for record in found]
        Journal(opened.folder.path).keep(records)
    return video_job.run(request, progress, opened.backend)


def _moved(record: SegmentRecord, by: int, folder: Path, target: Path) -> SegmentRecord:
    """Copy the files of a part's record into the job folder `target`, and return the record renumbered by `by`."""
    number, files = record.segment + by, {}
    for name, digest in record.files.items():
        renamed = re.sub(r"-\d{5}\.", f"-{number:05d}.", name)
        shutil.copyfile(folder / name, target / renamed)
        files[renamed] = digest
    return replace(record, segment=number, files=files)
