"""The job: check the request, analyse the clip, render it through the stages, put the file together, report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from vidinv import config as configs
from vidinv import fileio
from vidinv.analysis import face_tracks, first_pass, given_boxes
from vidinv.backends import registry as backends
from vidinv.backends.interface import Models
from vidinv.config import RunConfig
from vidinv.editing.plan import ResolvedEdits
from vidinv.errors import OutputUnwritable, UsageError, VidinvError
from vidinv.frames import Analysis
from vidinv.jobs import cost_estimate, finalize, render, target_strength
from vidinv.jobs import request as requests
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.request import Request
from vidinv.jobs.source_check import SourceState
from vidinv.jobs.timing import Clock
from vidinv.jobs.tuning import encoder as encoder_tuning
from vidinv.jobs.tuning import generator as generator_tuning
from vidinv.jobs.tuning.common import PhaseProgress, TuningClip
from vidinv.media import read_timeout, reader
from vidinv.media.probe import VideoInfo
from vidinv.media.read_timeout import Stalled
from vidinv.stages import codes as stored_codes
from vidinv.stages import decode


@dataclass(frozen=True)
class Listener:
    """Who hears how the job goes: `say(line)`, `phase(name, frames, already done)`, `done(frames)`."""

    say: Callable[[str], None] = lambda line: None
    phase: Callable[[str, int, int], None] = lambda name, frames, already: None
    done: Callable[[int], None] = lambda frames: None


@dataclass(frozen=True)
class OpenJob:
    """A job whose request was checked and whose folder is claimed.

    `encoder` is the digest of the user's own, `given` the boxes that stand for a detector.
    """

    request: Request
    moves: ResolvedEdits
    info: VideoInfo
    source: SourceState
    encoder: str
    given: given_boxes.Boxes | None
    folder: JobFolder
    clock: Clock


@dataclass(frozen=True)
class AnalyzedJob:
    """A job after its first pass: the seconds of its steps so far by name, and warnings."""

    prepared: render.RenderJob
    busy: dict[str, dict[str, float]]
    warnings: list[str]


def run(request: Request, listener: Listener | None = None) -> dict[str, Any]:
    """Do the whole job and return its report, which also lies beside the output.

    Raises VidinvError children as the design's exit codes say. An interrupted job keeps its folder and is resumed by
    the same request; a request that cannot succeed leaves nothing.
    """
    listener = listener or Listener()
    with open_job(request) as job:
        report = _finished(job, analyze_job(job, listener), listener)
        if request.codes is not None and job.folder.codes.exists():
            _keep_codes(request, job.folder)
        if not request.keep_job:
            job.folder.delete()
    return report


@contextmanager
def open_job(request: Request) -> Iterator[OpenJob]:
    """The job begun, or taken up where it was left; an error that leaves nothing to go on from removes its folder."""
    moves, info = requests.check_request(request)
    with JobFolder(request.output) as folder:
        config = request.config
        if not requests.touches_faces(request, moves):
            config = replace(config, engine="eager")  # nothing is drawn that would be worth a choice
        request = replace(request, config=requests.settle(config, folder.config if folder.is_begun else None))
        source, encoder = SourceState.of(request.source), stored_codes.encoder_digest(request.config)
        mark = f"{request.preview}{request.at}{request.codes}{request.only_codes}{request.keeps_strips}"
        mark += f"{request.watermark}{request.only_tuned}"
        mark += "".join(move.direction.digest for move in moves)
        backend = backends.choose_backend(request.config.backend)
        given = given_boxes.of(request.config, backend) if requests.touches_faces(request, moves) else None
        mark += backend.digest + (given.digest if given else "")
        # What is in the encoder's file counts, wherever it lies; how long is waited for a frame does not.
        own = fileio.content_sha256(Path(request.config.generator)) if request.config.generator else ""
        asked = replace(request.config, encoder=encoder, generator=own, stall_seconds=RunConfig.stall_seconds)
        try:
            folder.claim(configs.fingerprint(asked, source.content) + mark, configs.to_yaml(request.config))
            torch.set_num_threads(request.config.threads)
            yield OpenJob(request, moves, info, source, encoder, given, folder, Clock.now())
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


def analyze_job(job: OpenJob, listener: Listener) -> AnalyzedJob:
    """The first pass, and what else must be known before a frame is rendered."""
    request, config, moves, folder = job.request, job.request.config, job.moves, job.folder
    codes = _codes(request, job.source.content, job.encoder, folder)
    backend = backends.choose_backend(config.backend)
    works_on_faces = requests.touches_faces(request, moves)
    listener.phase("analyse", job.info.frame_count, 0)
    only = None if request.at is None else (request.at, request.at + config.preview_seconds)
    sightings = first_pass.analyse(
        lambda first: read_timeout.watched(
            reader.read_frames(request.source, batch=config.batch, first=first, reader=config.reader),
            request.source,
            config.stall_seconds,
        ),
        backend.locator(config.landmarks) if works_on_faces else None,
        folder.path,
        config,
        job.info.rotation,
        listener.done,
        None if codes is not None else only,  # stored codes are of the whole clip
        job.given,
    )
    job.source.check()
    analysis = face_tracks.empty(sightings)
    if works_on_faces:
        analysis, moves = face_tracks.link(sightings, config, backend, request.source, moves)
        searched = (0, analysis.frame_count) if codes is not None else _frame_range(analysis, only)
        analysis = face_tracks.trusted(analysis, config.trust, searched)
    if codes is not None and codes.known is not None:
        stored_codes.check_faces(codes.known, stored_codes.rows(analysis.tracks, config.crop))
    named = {move.edit.track for move in moves}
    people = tuple(track for track in analysis.tracks if not named or track.id in named)
    if requests.edits_faces(moves) and not request.preview and not (codes is not None and codes.known is None):
        analysis = face_tracks.edited(analysis, moves, request.source)
    seen = {track.id for track in analysis.tracks}
    moves = [move for move in moves if move.edit.track in seen]
    busy = {"analyse": job.clock.busy()}
    start, stop = _frame_range(analysis, only)
    models = backend.models(config.device, config.encoder) if works_on_faces else None
    if stored_codes.encoder_digest(config) != job.encoder:
        raise UsageError(f"{config.encoder} changed while the job ran", remedy="run again")
    listener.say(cost_estimate.line(request, job.info, analysis, (start, stop), inverts=stored_codes.is_due(codes)))
    tuning = None
    clip = TuningClip(request.source, job.source.content, analysis, (start, stop))
    if models is not None and config.generator:
        models = generator_tuning.from_file(models, clip, config)
    if models is not None and config.tune != "none" and stored_codes.is_due(codes):
        spent, told = Clock.now(), PhaseProgress(listener.phase, listener.done)
        fit = generator_tuning.tuned if config.tune == "generator" else encoder_tuning.tuned
        models, tuning = fit(models, clip, config, folder, told)
        busy["tune"] = spent.busy()
    warnings: list[str] = []
    if models is not None and target_strength.is_due(moves):
        aiming = Clock.now()
        moves, warnings = _aimed(moves, analysis, models, codes, request, folder, listener)
        busy["aim"] = aiming.busy()
    cuts = {shot.start for shot in analysis.shots}
    prepared = render.RenderJob(
        request=request,
        info=job.info,
        analysis=analysis,
        moves=moves,
        models=models,
        codes=codes,
        encoder=job.encoder,
        folder=folder,
        segments=decode.segments(analysis.pts, analysis.time_base, config.segment_seconds, start, stop, cuts),
        content=job.source.content,
        people=people,
        check_source=job.source.check,
        tuning=tuning,
    )
    return AnalyzedJob(prepared, busy, warnings)


def _finished(job: OpenJob, ready: AnalyzedJob, listener: Listener) -> dict[str, Any]:
    """Render what is not rendered, put the file together, and report."""
    prepared = ready.prepared
    if job.request.only_tuned:
        job.source.check()
        return finalize.tuned(prepared, job.clock.spent() | {"stages": ready.busy})
    times = render.render(prepared, listener.phase, listener.done)
    job.source.check()
    listener.phase("assemble", 0, 0)
    frames = prepared.segments[-1][1] - prepared.segments[0][0]
    timing = job.clock.spent() | {
        "fps": round(frames / max(job.clock.busy()["busy_s"], 1e-3), 3),
        "stages": ready.busy | times,
    }
    if job.request.only_codes:
        return finalize.inverted(prepared, timing)
    return finalize.finish(prepared, frames, timing, ready.warnings)


def _aimed(
    moves: ResolvedEdits,
    analysis: Analysis,
    models: Models,
    codes: stored_codes.Codes | None,
    request: Request,
    folder: JobFolder,
    listener: Listener,
) -> tuple[ResolvedEdits, list[str]]:
    """The moves with a strength where one named a value, and what could not be reached."""
    config = request.config
    judge = target_strength.attribute_measure(models, moves, config)

    def find() -> tuple[ResolvedEdits, list[str]]:
        samples = []
        for sample in target_strength.of_clip(request.source, analysis, moves, models, config, codes):
            samples.append(sample)
            listener.done(1)
        return target_strength.aimed(moves, samples, judge)

    listener.phase("aim", len(target_strength.wanted(analysis, moves, config.crop)), 0)
    return target_strength.remembered(folder.path / "aim.json", moves, find)


def _codes(request: Request, content: str, encoder: str, folder: JobFolder) -> stored_codes.Codes | None:
    """The job's inversion, if it keeps one: taken from where it lies, unless this job began to make it."""
    if request.codes is None:
        return None
    made = stored_codes.origin(request.config, backends.choose_backend(request.config.backend), content, encoder)
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
