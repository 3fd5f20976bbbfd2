"""Render, the second pass: decode -> align -> encode -> edit -> synthesize -> blend -> measure -> reencode."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vidinv.backends import registry as backends
from vidinv.backends.interface import Models
from vidinv.config import RunConfig
from vidinv.engines.runner import Runner
from vidinv.frames import Array, FrameBatch, Work
from vidinv.jobs import preview_panels
from vidinv.jobs import request as requests
from vidinv.jobs.job import AnalyzedJob
from vidinv.jobs.journal import Journal
from vidinv.jobs.request import edits_faces
from vidinv.media import read_timeout, reader
from vidinv.media.codecs import EncoderOptions
from vidinv.media.writer import SegmentWriter
from vidinv.process import restored_threads, use_threads
from vidinv.progress import Progress
from vidinv.provenance import payload
from vidinv.stages import (
    align,
    blend,
    decode,
    edit,
    encode,
    fade_confidence,
    graph,
    mask,
    measure_identity,
    reencode,
    synthesize,
    watermark,
)
from vidinv.stages import codes as stored_codes

LANE_START = (
    "mask"  # the first stage of the second lane: it blends and measures frames while the first lane draws the next ones
)
REFINED_LANE_START = "edit"  # with refinement the second lane also draws


def render(job: AnalyzedJob, progress: Progress) -> dict[str, dict[str, float]]:
    """Write every unfinished segment; returns busy, wait and CPU seconds per stage."""
    finished = _resumable_records(job, Journal(job.folder.path))
    start, stop = job.segments[0][0], job.segments[-1][1]
    resume = finished[-1].last + 1 if finished else start
    plan = [span for span in decode.batches(job.segments, job.analysis.shots, job.config.batch) if span[0] >= resume]
    progress.phase("render", stop - start, resume - start)
    if not plan:
        return {}
    made = build_render_graph(job, plan, progress.advance)
    try:
        begin = partial(use_threads, lane_threads(job, made.stages))
        with restored_threads():
            times = graph.run(
                made.stages, ("decode", made.source), ("reencode", made.recorder), _lane_starts(job), begin
            )
    except BaseException:
        made.recorder.abandon()
        raise
    return {
        name: {"busy_s": round(t.busy_s, 3), "wait_s": round(t.wait_s, 3), "cpu_s": round(t.cpu_s, 3)}
        for name, t in times.items()
    }


def _lane_starts(job: AnalyzedJob) -> tuple[str, ...]:
    """The first stage of every further lane; none for a job with one thread."""
    if job.config.threads == 1:
        return ()
    return (REFINED_LANE_START,) if _is_refined(job) else (LANE_START,)


def _is_refined(job: AnalyzedJob) -> bool:
    return stored_codes.is_due(job.codes) and not job.config.refine.is_off


def lane_threads(job: AnalyzedJob, stages: list[tuple[str, graph.Stage]]) -> int:
    """Number of torch threads per lane; all with refinement, which takes nearly all of the time."""
    threads = job.config.threads
    return threads if _is_refined(job) else threads_per_lane(threads, len(graph.lanes_of(stages, _lane_starts(job))))


def threads_per_lane(threads: int, lanes: int) -> int:
    """Number of torch threads per lane: one if there are no more threads than lanes, otherwise all.

    On two cores one thread per lane was measured to be faster; more cores were not measured.
    """
    return 1 if threads <= lanes else threads


@dataclass(frozen=True)
class RenderGraph:
    """The parts of a render: the source of Works, the stages, and the recorder that writes them."""

    source: Iterator[Work]
    stages: list[tuple[str, graph.Stage]]
    recorder: reencode.Recorder


def build_render_graph(job: AnalyzedJob, plan: list[tuple[int, int]], done: Callable[[int], None]) -> RenderGraph:
    """Build the graph that renders the frame ranges of `plan` (of `decode.batches`), which starts at a segment."""
    request, config, resume = job.request, job.config, plan[0][0]

    def open_segment(path: Path) -> SegmentWriter:
        job.opened.source.check()
        return SegmentWriter(
            path, job.info, requests.encoder_options(config, request.output), suffix=request.output.suffix.lower()
        )

    side = preview_panels.panel_side(job.people, config.preview_size)
    is_edited = requests.edits_faces(job.edits)

    def open_preview(path: Path) -> SegmentWriter:
        info = reencode.preview_info(job.info, *preview_panels.picture_size(side))
        return SegmentWriter(path, info, EncoderOptions("h264"))

    def draw_preview(work: Work, position: int) -> Array:
        return preview_panels.draw_panels(work, position, side, edited=is_edited)

    recorder = reencode.Recorder(
        Journal(job.folder.path),
        job.segments,
        open_segment if request.at is None and not request.only_codes else None,
        open_preview if request.preview else None,
        draw_preview,
        done,
    )
    frames: Iterator[FrameBatch] = reader.read_frames(request.source, batch=1, first=resume, stream=config.stream)
    frames = read_timeout.with_timeout(frames, request.source, config.stall_seconds)
    return RenderGraph(
        decode.decode(frames, plan, job.analysis.shots, job.segments),
        [] if job.models is None else face_stages(job, job.models, resume),
        recorder,
    )


def _resumable_records(job: AnalyzedJob, journal: Journal) -> list[reencode.SegmentRecord]:
    """The resumable journal records: those whose state that later frames need is stored."""
    finished = journal.finished()
    if job.codes is not None and not job.codes.can_go_on():
        finished.clear()
    if job.models is not None and stored_codes.is_due(job.codes) and not job.config.refine.is_off:
        traces, stop = encode.Traces(job.folder.path), job.segments[-1][1]
        while finished and finished[-1].last + 1 < stop and not traces.has(finished[-1].last + 1):
            finished.pop()
    journal.keep(finished)
    return finished


def face_stages(job: AnalyzedJob, models: Models, resume: int) -> list[tuple[str, graph.Stage]]:
    """The stages between decode and reencode, from frame `resume` on."""
    return [*inversion_stages(job, models, resume), *edit_stages(job, models)]


def edit_stages(job: AnalyzedJob, models: Models) -> list[tuple[str, graph.Stage]]:
    """The stages that turn codes into edited frames; none if no frame is requested."""
    changes_faces = edits_faces(job.edits)
    if job.request.only_codes or not (changes_faces or job.request.preview):
        return []
    mode = "residual"  # without edits: the output equals the source
    if changes_faces:
        mode = blend.mode_of(job.config.blend, [resolved.direction for resolved in job.edits])
    return [
        ("edit", edit.build_edit_stage(models.generator, models.parse, job.edits, job.analysis)),
        *draw_stages(job, models, mode),
    ]


def draw_stages(job: AnalyzedJob, models: Models, mode: str) -> list[tuple[str, graph.Stage]]:
    """The stages that draw codes and edited codes, blend them by `mode`, and measure the result."""
    request, config = job.request, job.config
    runner = build_runner(config)

    def reads_inversion(work: Work, n: int) -> bool:
        assert work.faces is not None
        nth = work.nth(int(work.faces.frame[n]))
        return measure_identity.needs_inversion(nth, config.identity) or mode == "residual" or job.request.preview

    secondary = measure_identity.SecondaryEvaluators.of(
        job.backend, models.parse, [resolved.edit.name for resolved in job.edits]
    )
    return [
        (
            "synthesize",
            synthesize.build_synthesize_stage(
                models.generator, models.proxy, config.crop, reads_inversion, runner, models.people
            ),
        ),
        ("mask", mask.build_mask_stage(models.parse, models.occlusion, config.mask)),
        ("fade", fade_confidence.build_fade_stage(job.analysis, config.trust.fade_seconds, _earlier_confidence(job))),
        ("blend", blend.build_blend_stage(mode)),
        *watermark_stages(job),
        (
            "measure",
            measure_identity.build_measure_stage(
                models.identity, secondary, config.identity, keep_strips=request.keeps_strips
            ),
        ),
    ]


def build_runner(config: RunConfig) -> Runner:
    """The engine of a settled configuration."""
    return Runner(config.engine, config.precision, config.threads)


def _earlier_confidence(job: AnalyzedJob) -> list[fade_confidence.Past]:
    """Confidence of the finished frames that the next frame's temporal fading depends on."""
    records = Journal(job.folder.path).finished()
    if not records:
        return []
    analysis, following = job.analysis, records[-1].last + 1
    start = max((shot.start for shot in analysis.shots if shot.start < following), default=0)
    begin = analysis.second(analysis.pts[following - 1]) - job.config.trust.fade_seconds
    past = [
        (face.track, analysis.second(analysis.pts[face.frame]), face.metrics.trust)
        for record in records
        for face in record.faces
        if face.metrics.trust is not None and face.frame >= start
    ]
    return [each for each in past if each[1] >= begin]


def watermark_stages(job: AnalyzedJob) -> list[tuple[str, graph.Stage]]:
    """The watermark stage, if the output gets a watermark."""
    if not job.request.watermark:
        return []
    identity = payload.identity(job.opened.source.content, job.config.edits)
    return [("mark", watermark.build_watermark_stage(identity, job.info, job.analysis))]


def inversion_stages(job: AnalyzedJob, models: Models, resume: int) -> list[tuple[str, graph.Stage]]:
    """The stages that add faces and codes (stored, or encoded and refined), and that store codes if requested."""
    config, codes = job.config, job.codes
    stages = [("align", align.build_align_stage(job.analysis.tracks, config.crop))]
    if codes is not None and codes.known is not None:
        return [*stages, ("encode", stored_codes.build_replay_stage(codes.known, models.device))]
    refine = None if config.refine.is_off else backends.refiner(models, config.precision)
    traces = encode.Traces(job.folder.path)
    traces.restore(resume, models.device)
    stages.append(
        (
            "encode",
            encode.build_encode_stage(
                models.encoder, refine, config.refine, traces, models.device, build_runner(config)
            ),
        )
    )
    if codes is not None:
        stages.append(
            ("keep", stored_codes.build_store_stage(codes, stored_codes.rows(job.analysis.tracks, config.crop)))
        )
    return stages
