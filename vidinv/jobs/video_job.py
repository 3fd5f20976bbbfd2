"""The job: check the request, analyse the clip, render it through the stages, put the file together, report."""

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
from vidinv.editing.plan import ResolvedEdits
from vidinv.errors import OutputUnwritable, UsageError, VidinvError
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
    """Do the whole job and return its report, which is also written beside the output.

    `progress` receives the job's lines, phases and frames (SilentProgress if None). `backend` is the one that the
    request names, where it is resolved already. Raises VidinvError children with the exit codes of `vidinv/errors.py`.
    An interrupted job keeps its folder and is resumed by the same request; a request that cannot succeed leaves
    nothing.
    """
    progress = progress or SilentProgress()
    with open_job(request, backend) as job:
        report = _finished(analyze_job(job, progress), progress)
        if request.codes is not None and job.folder.codes.exists():
            _keep_codes(request, job.folder)
        if not request.keep_job:
            job.folder.delete()
    return report


@contextmanager
def open_job(request: Request, backend: Backend | None = None) -> Iterator[OpenJob]:
    """The checked job in its folder, new or resumed; an error that leaves nothing to resume removes the folder."""
    checked = check.check_request(request, backend)
    with JobFolder(request.output) as folder:
        job = open_checked(checked, folder)
        try:
            folder.claim(job.fingerprint(), configs.to_yaml(job.config))
            torch.set_num_threads(job.config.threads)
            if request.config.engine != "auto" and checked.touches_faces and not request.only_tuned:
                engine_autotune.check_engine(job.config, job.backend, inverts=not request.codes_are_there)
            yield replace(job, clock=Clock.now())
        except VidinvError as error:
            if not _is_worth_keeping(folder, error):
                folder.delete()
            raise
        except OSError as error:  # the source's own are InputUnreadable where it is read
            raise fileio.unwritable(folder.path, error) from error


def _is_worth_keeping(folder: JobFolder, error: VidinvError) -> bool:
    """Whether the same request may go on where it ended: a part is finished, or what was in the way may go away."""
    passing = isinstance(error, OutputUnwritable | Stalled)
    return folder.is_begun and (passing or (folder.path / "journal.jsonl").exists())


def _keep_codes(request: Request, folder: JobFolder) -> None:
    assert request.codes is not None
    if request.only_codes:
        folder.publish(folder.codes, request.output, overwrite=request.overwrite)
    else:
        remedy = f"move them by hand: the codes are in {folder.codes}"
        fileio.move_into_place(folder.codes, request.codes, remedy)


def analyze_job(job: OpenJob, progress: Progress) -> AnalyzedJob:
    """The first pass, and what else must be known before a frame is rendered."""
    request, config, backend, moves = job.request, job.config, job.backend, job.checked.moves
    folder, info, works_on_faces = job.folder, job.checked.info, job.checked.touches_faces
    codes = _codes(job)
    progress.phase("analyse", info.frame_count, 0)
    only = None if request.at is None else (request.at, request.at + config.preview_seconds)
    sightings = first_pass.analyse(
        lambda first: read_timeout.with_timeout(
            reader.read_frames(request.source, batch=config.batch, first=first, reader=config.reader),
            request.source,
            config.stall_seconds,
        ),
        backend.locator(config.landmarks) if works_on_faces else None,
        folder.path,
        config,
        info.rotation,
        progress.advance,
        None if codes is not None else only,  # stored codes are of the whole clip
        job.given,
    )
    job.source.check()
    analysis = face_tracks.analysis_without_faces(sightings)
    if works_on_faces:
        analysis, moves = face_tracks.link_tracks(sightings, config, backend, request.source, moves)
        searched = (0, analysis.frame_count) if codes is not None else _frame_range(analysis, only)
        analysis = face_tracks.add_trust(analysis, config.trust, searched)
    if codes is not None and codes.known is not None:
        stored_codes.check_faces(codes.known, stored_codes.rows(analysis.tracks, config.crop))
    named = {move.edit.track for move in moves}
    people = tuple(track for track in analysis.tracks if not named or track.id in named)
    if requests.edits_faces(moves) and not request.preview and not (codes is not None and codes.known is None):
        analysis = face_tracks.keep_edited_frames(analysis, moves, request.source)
    seen = {track.id for track in analysis.tracks}
    moves = [move for move in moves if move.edit.track in seen]
    busy = {"analyse": job.clock.busy()}
    start, stop = _frame_range(analysis, only)
    models = backend.models(config.device, config.encoder) if works_on_faces else None
    if stored_codes.encoder_digest(config) != job.encoder:
        raise UsageError(f"{config.encoder} changed while the job ran", remedy="run again")
    progress.say(cost_estimate.line(request, info, analysis, (start, stop), inverts=stored_codes.is_due(codes)))
    tuning = None
    clip = TuningClip(request.source, job.source.content, analysis, (start, stop))
    if models is not None and config.generator:
        models = generator_tuning.from_file(models, clip, config)
    if models is not None and config.tune != "none" and stored_codes.is_due(codes):
        spent, tuning_progress = Clock.now(), PhaseProgress(progress, "tune")
        fit = generator_tuning.tuned if config.tune == "generator" else encoder_tuning.tuned
        models, tuning = fit(models, clip, config, folder, tuning_progress)
        busy["tune"] = spent.busy()
    warnings: list[str] = []
    if models is not None and target_strength.is_due(moves):
        aiming = Clock.now()
        moves, warnings = _aimed(job, moves, analysis, models, codes, progress)
        busy["aim"] = aiming.busy()
    cuts = {shot.start for shot in analysis.shots}
    segments = decode.segments(analysis.pts, analysis.time_base, config.segment_seconds, start, stop, cuts)
    return AnalyzedJob(job, analysis, moves, models, segments, people, codes, tuning, busy, warnings)


def _finished(job: AnalyzedJob, progress: Progress) -> dict[str, Any]:
    """Render what is not rendered, put the file together, and report."""
    source, clock = job.opened.source, job.opened.clock
    if job.request.only_tuned:
        source.check()
        return finalize.tuned(job, clock.spent() | {"stages": job.busy})
    times = render.render(job, progress)
    source.check()
    progress.phase("assemble", 0, 0)
    frames = job.segments[-1][1] - job.segments[0][0]
    timing = clock.spent() | {
        "fps": round(frames / max(clock.busy()["busy_s"], 1e-3), 3),
        "stages": job.busy | times,
    }
    if job.request.only_codes:
        return finalize.inverted(job, timing)
    return finalize.finish(job, frames, timing)


def _aimed(
    job: OpenJob,
    moves: ResolvedEdits,
    analysis: Analysis,
    models: Models,
    codes: stored_codes.Codes | None,
    progress: Progress,
) -> tuple[ResolvedEdits, list[str]]:
    """The moves with a strength where one named a value, and what could not be reached."""
    config = job.config
    judge = target_strength.attribute_measure(job.backend, models, moves, config)

    def find() -> tuple[ResolvedEdits, list[str]]:
        samples = []
        for sample in target_strength.of_clip(job.request.source, analysis, moves, models, config, codes):
            samples.append(sample)
            progress.advance(1)
        return target_strength.aimed(moves, samples, judge)

    progress.phase("aim", len(target_strength.wanted(analysis, moves, config.crop)), 0)
    return target_strength.remembered(job.folder.path / "aim.json", moves, find)


def _codes(job: OpenJob) -> stored_codes.Codes | None:
    """The job's inversion, if it keeps one: taken from its file, unless this job began to make it."""
    request, folder = job.request, job.folder
    if request.codes is None:
        return None
    made = stored_codes.origin(job.config, job.backend, job.source.content, job.encoder)
    taken = request.codes_are_there and not folder.codes.exists()
    return stored_codes.Codes(folder.codes, made, stored_codes.open_codes(request.codes, made) if taken else None)


def _frame_range(analysis: Analysis, only: tuple[float, float] | None) -> tuple[int, int]:
    if only is None:
        return 0, analysis.frame_count
    seconds = [analysis.second(pts) for pts in analysis.pts]
    inside = [i for i, second in enumerate(seconds) if only[0] <= second < only[1]]
    if not inside:
        raise UsageError(f"--at {only[0]:g} s is after the clip's end", remedy=f"it lasts {seconds[-1]:.1f} s")
    return inside[0], inside[-1] + 1
