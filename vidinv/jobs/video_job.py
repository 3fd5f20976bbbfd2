"""Run a job on a video: check the request, analyse the clip, render it, assemble the output, write the report."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch

from vidinv import config as configs
from vidinv import fileio
from vidinv.analysis import face_tracks, first_pass
from vidinv.backends.interface import Backend, Models
from vidinv.editing import strength_range
from vidinv.editing.plan import ResolvedEdits
from vidinv.errors import NoFaceFound, OutputUnwritable, UsageError, VidinvError
from vidinv.frames import Analysis
from vidinv.jobs import check, cost_estimate, engine_autotune, finalize, render, target_strength
from vidinv.jobs import request as requests
from vidinv.jobs.job import AnalyzedJob, OpenJob, open_checked
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.request import Request
from vidinv.jobs.timing import Clock
from vidinv.jobs.tuning import encoder as encoder_tuning
from vidinv.jobs.tuning import generator as generator_tuning
from vidinv.jobs.tuning.common import TuningClip
from vidinv.media import read_timeout, reader
from vidinv.media.read_timeout import Stalled
from vidinv.progress import PhaseProgress, Progress, SilentProgress
from vidinv.stages import codes as stored_codes
from vidinv.stages import decode


def run(request: Request, progress: Progress | None = None, backend: Backend | None = None) -> dict[str, Any]:
    """Do the whole job and return its report, which is also written next to the output.

    `progress` receives the job's lines, phases and frames (SilentProgress if None). `backend` is the
    backend that the request names, if it is resolved already. Raises VidinvError children with the exit codes of
    `vidinv/errors.py`. An interrupted job keeps its folder and is resumed by the same request; a request that cannot
    succeed leaves nothing.
    """
    progress = progress or SilentProgress()
    with open_job(request, backend) as job:
        report = _render_and_report(analyze_job(job, progress), progress)
        if not request.keep_job:
            job.folder.delete()
    return report


@contextmanager
def open_job(request: Request, backend: Backend | None = None) -> Iterator[OpenJob]:
    """Yield the checked job in its folder, new or resumed. On an error the folder is kept only if it is resumable."""
    checked = check.check_request(request, backend)
    with JobFolder(request.output) as folder:
        job = open_checked(checked, folder)
        try:
            folder.claim(job.fingerprint(), configs.to_yaml(job.config))
            torch.set_num_threads(job.config.threads)
            if request.config.engine != "auto" and checked.touches_faces and not request.only_tuned:
                engine_autotune.check_engine(job.config, job.backend, inverts=not checked.reads_codes)
            yield replace(job, clock=Clock.now())
        except VidinvError as error:
            if not _is_resumable(folder, error):
                folder.delete()
            raise
        except OSError as error:  # errors of the source are InputUnreadable already
            raise fileio.unwritable(folder.path, error) from error


def _is_resumable(folder: JobFolder, error: VidinvError) -> bool:
    """Whether the same request can resume: a segment is finished, or the error is one that may pass."""
    may_pass = isinstance(error, OutputUnwritable | Stalled)
    return folder.is_begun and (may_pass or (folder.path / "journal.jsonl").exists())


def analyze_job(job: OpenJob, progress: Progress) -> AnalyzedJob:
    """Run the first pass, tune and solve target strengths: everything that comes before the render."""
    request, config, backend, edits = job.request, job.config, job.backend, job.checked.edits
    folder, info, works_on_faces = job.folder, job.checked.info, job.checked.touches_faces
    codes = _codes(job)
    progress.phase("analyse", info.frame_count, 0)
    only = None if request.at is None else (request.at, request.at + config.preview_seconds)
    sightings = first_pass.analyse(
        lambda first: read_timeout.with_timeout(
            reader.read_frames(
                request.source, batch=config.batch, first=first, reader=config.reader, stream=config.stream
            ),
            request.source,
            config.stall_seconds,
        ),
        backend.locator(config.landmarks) if works_on_faces else None,
        folder.path,
        config,
        info.rotation,
        progress.advance,
        None if codes is not None else only,  # stored codes cover the whole clip
        job.given,
    )
    job.source.check()
    analysis = whole = face_tracks.analysis_without_faces(sightings)
    if works_on_faces:
        try:
            analysis, edits = face_tracks.link_tracks(sightings, config, backend, request.source, edits)
        except NoFaceFound as error:
            if not info.other_films:
                raise
            others = " and ".join(info.other_films)
            raise NoFaceFound(
                f"{error.what}, video stream #{info.stream}", remedy=f"--stream N chooses another: {others}"
            ) from error
        whole = analysis
        searched = (0, analysis.frame_count) if codes is not None else _frame_range(analysis, only)
        analysis = face_tracks.add_trust(analysis, config.trust, searched)
    if codes is not None and codes.known is not None:
        stored_codes.check_faces(codes.known, stored_codes.rows(analysis.tracks, config.crop))
    named = {resolved.edit.track for resolved in edits}
    people = tuple(track for track in analysis.tracks if not named or track.id in named)
    if requests.edits_faces(edits) and not request.preview and not (codes is not None and codes.known is None):
        analysis = face_tracks.keep_edited_frames(analysis, edits, request.source)
    seen = {track.id for track in analysis.tracks}
    edits = [resolved for resolved in edits if resolved.edit.track in seen]
    busy = {"analyse": job.clock.busy()}
    start, stop = _frame_range(analysis, only)
    models = backend.models(config.device, config.encoder) if works_on_faces else None
    if models is not None:
        check.check_styles(edits, models.generator)
    if models is not None and codes is not None and codes.known is not None:
        codes.known.check_generator(models.generator)
    if stored_codes.encoder_digest(config) != job.encoder:
        raise UsageError(f"{config.encoder} changed while the job ran", remedy="run the command again")
    progress.announce(
        cost_estimate.cost_line(request, info, analysis, (start, stop), inverts=stored_codes.is_due(codes))
    )
    tuning = None
    clip = TuningClip(request.source, job.source.content, analysis, (start, stop), config.stream)
    if models is not None and config.generator:
        models = generator_tuning.load_tuned_generators(models, clip, config)
    if models is not None and config.tune != "none" and stored_codes.is_due(codes):
        spent, tuning_progress = Clock.now(), PhaseProgress(progress, "tune")
        fit = generator_tuning.tune_generator if config.tune == "generator" else encoder_tuning.tune_encoder
        models, tuning = fit(models, clip, config, folder, tuning_progress)
        busy["tune"] = spent.busy()
    warnings = [*face_tracks.people_warnings(whole, config.faces), *strength_range.range_warnings(edits)]
    if models is not None and target_strength.has_target(edits):
        aiming = Clock.now()
        edits, unreached = _solve_targets(job, edits, analysis, models, codes, progress)
        warnings += unreached
        busy["aim"] = aiming.busy()
    cuts = {shot.start for shot in analysis.shots}
    segments = decode.segments(analysis.pts, analysis.time_base, config.segment_seconds, start, stop, cuts)
    return AnalyzedJob(job, analysis, edits, models, segments, people, codes, tuning, busy, warnings)


def _render_and_report(job: AnalyzedJob, progress: Progress) -> dict[str, Any]:
    """Render the unfinished segments, assemble the output, and return the report."""
    source, clock = job.opened.source, job.opened.clock
    if job.request.only_tuned:
        source.check()
        return finalize.publish_tuning(job, clock.spent() | {"stages": job.busy})
    times = render.render(job, progress)
    source.check()
    progress.phase("assemble", 0, 0)
    frames = job.segments[-1][1] - job.segments[0][0]
    timing = clock.spent() | {
        "fps": round(frames / max(clock.busy()["busy_s"], 1e-3), 3),
        "stages": job.busy | times,
    }
    if job.request.only_codes:
        return finalize.publish_inversion(job, timing)
    return finalize.finish(job, frames, timing)


def _solve_targets(
    job: OpenJob,
    edits: ResolvedEdits,
    analysis: Analysis,
    models: Models,
    codes: stored_codes.Codes | None,
    progress: Progress,
) -> tuple[ResolvedEdits, list[str]]:
    """Solve the strength of every edit that names a value; also returns warnings on values out of reach."""
    config = job.config
    evaluator = target_strength.build_evaluator(job.backend, models, edits, config)

    def find() -> tuple[ResolvedEdits, list[str]]:
        samples = []
        for sample in target_strength.iterate_samples(job.request.source, analysis, edits, models, config, codes):
            samples.append(sample)
            progress.advance(1)
        return target_strength.solve_targets(edits, samples, evaluator)

    progress.phase("aim", len(target_strength.sample_transforms(analysis, edits, config.crop)), 0)
    return target_strength.load_or_solve(job.folder.path / "aim.json", edits, find)


def _codes(job: OpenJob) -> stored_codes.Codes | None:
    """The job's stored inversion, if it has one: read from its file unless this job is writing it."""
    request = job.request
    if request.codes is None:
        return None
    made = stored_codes.origin(job.config, job.backend, job.source.content, job.encoder)
    known = stored_codes.open_codes(request.codes, made, job.backend) if job.checked.reads_codes else None
    return stored_codes.Codes(job.folder.codes, made, known)


def _frame_range(analysis: Analysis, only: tuple[float, float] | None) -> tuple[int, int]:
    if only is None:
        return 0, analysis.frame_count
    seconds = [analysis.second(pts) for pts in analysis.pts]
    inside = [i for i, second in enumerate(seconds) if only[0] <= second < only[1]]
    if not inside:
        raise UsageError(
            f"--at {only[0]:g} s is after the end of the clip", remedy=f"the clip lasts {seconds[-1]:.1f} s"
        )
    return inside[0], inside[-1] + 1
