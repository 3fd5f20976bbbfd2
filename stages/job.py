"""The job: check the request, analyse the clip, render it through the stages, put the file together, report."""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from stages import (
    align,
    analyse,
    blend,
    cost,
    decode,
    edit,
    encode,
    graph,
    inversion,
    measure,
    parts,
    reencode,
    result,
    synthesize,
    tracks,
)
from stages.folder import JobFolder, check_output
from vidinv import config as configs
from vidinv.config import RunConfig
from vidinv.editing import directions, feature_edit
from vidinv.editing.directions import Direction
from vidinv.errors import InputUnreadable, OutputUnwritable, UsageError, VidinvError
from vidinv.frames import Analysis, Code, FrameBatch, Work
from vidinv.media import codecs, reader
from vidinv.media.probe import VideoInfo, probe
from vidinv.media.writer import SegmentWriter

CODES = "codes.safetensors"  # in the job folder, until the job is done


@dataclass(frozen=True)
class Request:
    """What is asked for: one input, one output and how; `at` in seconds restricts the run to a preview from there.

    `codes` names the inversion's file: taken where it is there, else made and kept. With `only_codes` nothing else is.
    """

    source: Path
    output: Path
    config: RunConfig
    overwrite: bool = False
    preview: bool = False
    at: float | None = None
    keep_job: bool = False
    codes: Path | None = None
    only_codes: bool = False

    @property
    def replays(self) -> bool:
        """Whether the inversion is taken from where it is."""
        return self.codes is not None and self.codes.exists() and not self.only_codes


@dataclass(frozen=True)
class Listener:
    """Who hears how the job goes: `say(line)`, `phase(name, frames)`, `done(frames)`."""

    say: Callable[[str], None] = lambda line: None
    phase: Callable[[str, int], None] = lambda name, frames: None
    done: Callable[[int], None] = lambda frames: None


Moves = list[tuple[Direction, float]]


def run(request: Request, listener: Listener | None = None) -> dict[str, Any]:
    """Do the whole job and return its report, which also lies beside the output.

    Raises VidinvError children as the design's exit codes say. An interrupted job keeps its folder and is resumed by
    the same request; a request that cannot succeed leaves nothing.
    """
    listener = listener or Listener()
    moves, info = check(request)
    request = replace(request, config=settle(request.config))
    with JobFolder(request.output) as folder:
        mark = f"{request.preview}{request.at}{request.codes}{request.replays}{request.only_codes}"
        folder.claim(configs.fingerprint(request.config, request.source) + mark, configs.to_yaml(request.config))
        try:
            report = _run(request, info, moves, folder, listener)
        except VidinvError:
            if not (folder.path / "journal.jsonl").exists():  # nothing worth resuming
                folder.delete()
            raise
        made = folder.path / CODES
        if request.codes is not None and made.exists():
            _hand_over(made, request.codes)
        if not request.keep_job:
            folder.delete()
    return report


def _hand_over(made: Path, wanted: Path) -> None:
    try:
        shutil.move(made, wanted)
    except OSError as error:
        raise OutputUnwritable(f"cannot write {wanted}: {error.strerror}", remedy="the codes are kept") from error


def check(request: Request) -> tuple[Moves, VideoInfo]:
    """Everything that can be refused before work begins; returns the edits and the facts of the clip.

    Raises UsageError, InputUnreadable or OutputUnwritable; nothing is fetched or written.
    """
    moves = parse_moves(request.config)
    check_request(request)
    info = probe(request.source)
    check_output(request.output, request.source, request.overwrite)
    if not request.only_codes:
        if request.codes is not None and not request.replays:
            check_output(request.codes, request.source, overwrite=False)
        codecs.check_container(request.config.codec, info.pix_fmt, request.output)
    return moves, info


def parse_moves(config: RunConfig) -> Moves:
    """The directions and strengths of the configured edits; UsageError for bad syntax or an unknown direction."""
    edits = [directions.parse_edit(text) for text in config.edits]
    space = parts.choose(config.backend).space
    return [(parts.direction(config.backend, entry.name, space), entry.strength) for entry in edits]


def check_request(request: Request) -> None:
    """Raise UsageError where parts of the request contradict one another, InputUnreadable where there is no input."""
    if request.at is not None and not request.preview:
        raise UsageError("--at chooses the part of a preview", remedy="give --preview as well")
    if request.at is not None and request.codes is not None and not request.replays:
        raise UsageError(
            f"--codes {request.codes} is not there, and --at makes only a part of it", remedy="leave one out"
        )
    pick_device(request.config.device)
    if not request.source.exists():
        raise InputUnreadable(f"{request.source} does not exist", remedy="check the path")


def _run(request: Request, info: VideoInfo, moves: Moves, folder: JobFolder, listener: Listener) -> dict[str, Any]:
    clock = time.perf_counter()
    cpu = _cpu_seconds()
    config = request.config
    backend = parts.choose(config.backend)
    works_on_faces = any(strength != 0 for _, strength in moves) or request.preview or request.codes is not None
    codes = None
    if request.codes is not None:
        origin = inversion.origin(config, configs.content(request.source))
        known = inversion.open_codes(request.codes, origin) if request.replays else None
        codes = inversion.Codes(folder.path / CODES, origin, known)
    listener.phase("analyse", info.frame_count)
    only = None if request.at is None else (request.at, request.at + config.preview_seconds)
    sightings = analyse.analyse(
        lambda first: reader.read(request.source, batch=config.batch, first=first, reader=config.reader),
        backend.locator(config.landmarks) if works_on_faces else None,
        folder.path,
        config,
        info.rotation,
        listener.done,
        only,
    )
    analysis = tracks.link(sightings, config, backend, request.source) if works_on_faces else tracks.empty(sightings)
    analysed, analysed_cpu = time.perf_counter() - clock, _cpu_seconds() - cpu
    start, stop = _frame_range(analysis, only)
    parts_of = decode.segments(analysis.pts, analysis.time_base, config.segment_seconds, start, stop)
    if codes is not None and codes.known is not None:
        inversion.check_faces(codes.known, inversion.rows(analysis.tracks, config.crop))
    listener.say(cost.line(config, info, analysis, (start, stop), inverted=request.replays))
    models = backend.models(config.device) if works_on_faces else None
    times = _render(request, info, analysis, moves, models, folder, parts_of, codes, listener)
    listener.phase("assemble", 0)
    timing = {
        "wall_s": round(time.perf_counter() - clock, 3),
        "cpu_s": round(_cpu_seconds() - cpu, 3),
        "fps": round((stop - start) / max(time.perf_counter() - clock, 1e-9), 3),
        "stages": {"analyse": {"busy_s": round(analysed, 3), "wait_s": 0.0, "cpu_s": round(analysed_cpu, 3)}} | times,
    }
    if request.only_codes:
        return result.inverted(request, analysis, timing)
    drawn = "none" if models is None else synthesize.source(models.generator, models.proxy, config.crop)
    return result.finish(request, info, analysis, moves, folder, stop - start, timing, drawn)


def _frame_range(analysis: Analysis, only: tuple[float, float] | None) -> tuple[int, int]:
    if only is None:
        return 0, analysis.frame_count
    seconds = [float(pts * analysis.time_base) for pts in analysis.pts]
    inside = [i for i, second in enumerate(seconds) if only[0] <= second < only[1]]
    if not inside:
        raise UsageError(f"--at {only[0]:g} s is after the clip's end", remedy=f"it lasts {seconds[-1]:.1f} s")
    return inside[0], inside[-1] + 1


def _render(
    request: Request,
    info: VideoInfo,
    analysis: Analysis,
    moves: Moves,
    models: parts.Models | None,
    folder: JobFolder,
    parts_of: list[tuple[int, int]],
    codes: inversion.Codes | None,
    listener: Listener,
) -> dict[str, dict[str, float]]:
    config = request.config
    journal = reencode.Journal(folder.path)
    finished = journal.finished()
    start, stop = parts_of[0][0], parts_of[-1][1]
    if codes is not None and not codes.can_go_on():
        finished.clear()
    refines = models is not None and not config.refine.is_off and not request.replays
    if refines:  # go on from where the refinement's state is known
        traces = encode.Traces(folder.path)
        while finished and finished[-1]["last"] + 1 < stop and not traces.has(finished[-1]["last"] + 1):
            finished.pop()
    journal.keep(finished)
    resume = finished[-1]["last"] + 1 if finished else start
    plan = [span for span in decode.batches(parts_of, analysis.shots, config.batch) if span[0] >= resume]
    listener.phase("render", stop - start)
    listener.done(resume - start)
    if not plan:
        return {}

    def open_segment(path: Path) -> SegmentWriter:
        return SegmentWriter(path, info, codec=config.codec, crf=config.crf)

    def open_preview(path: Path) -> SegmentWriter:
        return SegmentWriter(path, reencode.preview_info(info, config.preview_size), codec="h264", crf=17)

    recorder = reencode.Recorder(
        journal,
        parts_of,
        open_segment if request.at is None and not request.only_codes else None,
        open_preview if request.preview else None,
        config.preview_size,
        listener.done,
    )
    stages = [] if models is None else _face_stages(request, analysis, moves, models, folder, resume, codes)
    frames: Iterator[FrameBatch] = reader.read(request.source, batch=1, first=resume)
    source: Iterator[Work] = decode.decode(frames, plan, analysis.shots, parts_of)
    try:
        times = graph.run(stages, ("decode", source), ("reencode", recorder))
    except BaseException:
        recorder.abandon()
        raise
    return {
        name: {"busy_s": round(t.busy_s, 3), "wait_s": round(t.wait_s, 3), "cpu_s": round(t.cpu_s, 3)}
        for name, t in times.items()
    }


def _face_stages(
    request: Request,
    analysis: Analysis,
    moves: Moves,
    models: parts.Models,
    folder: JobFolder,
    resume: int,
    codes: inversion.Codes | None,
) -> list[tuple[str, graph.Stage]]:
    config = request.config
    first = ("align", align.build(analysis.tracks, config.crop))
    if codes is not None and codes.known is not None:
        inverting = [("encode", inversion.replay(codes.known, models.device))]
    else:
        refine = None if config.refine.is_off else parts.refiner(config.backend, models)
        traces = encode.Traces(folder.path, models.device)
        traces.restore(resume)
        inverting = [("encode", encode.build(models.encoder, refine, config.refine, traces))]
        if codes is not None:
            inverting.append(("keep", inversion.keep(codes, inversion.rows(analysis.tracks, config.crop))))
    if request.only_codes:
        return [first, *inverting]

    mode = blend_mode(config.blend, moves)

    def move(code: Code) -> Code:
        return feature_edit.edit(models.generator, code, moves)

    def reads_inversion(work: Work, n: int) -> bool:
        due = measure.is_due(work, n, config.measure_every)
        return due or mode == "residual" or request.preview

    return [
        first,
        *inverting,
        ("edit", edit.build(move)),
        ("synthesize", synthesize.build(models.generator, models.proxy, config.crop, reads_inversion)),
        ("blend", blend.build(models.region, mode, config.mask)),
        ("measure", measure.build(models.identity, config.measure_every, measure.Anchors(folder.path))),
    ]


def blend_mode(asked: str, moves: Moves) -> str:
    """The blend mode: the one asked for, or for "auto" replace as soon as one direction needs it."""
    if asked != "auto":
        return asked
    return "replace" if any(direction.blend == "replace" for direction, _ in moves) else "residual"


def settle(config: RunConfig) -> RunConfig:
    """`config` with the threads and the device that "all" and "auto" mean here: what is recorded and resumed with."""
    return replace(config, threads=config.threads or torch.get_num_threads(), device=pick_device(config.device))


def pick_device(asked: str) -> str:
    """The device of the models; "auto" takes CUDA where there is one. UsageError for CUDA that is not there."""
    here = torch.cuda.is_available()
    if asked == "cuda" and not here:
        raise UsageError("--device cuda: PyTorch finds no CUDA device here", remedy="use --device cpu or auto")
    return "cuda" if here and asked != "cpu" else "cpu"


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
