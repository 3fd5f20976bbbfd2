"""Compare two videos of one clip, a source and an edit of it by any tool, with the metrics of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vidinv import config as configs
from vidinv import fileio
from vidinv.analysis import face_tracks, first_pass, given_boxes
from vidinv.backends.interface import Backend
from vidinv.config import RunConfig
from vidinv.errors import UsageError
from vidinv.faces import crops, similarity
from vidinv.frames import Analysis, Array, FaceMetrics, FrameBatch, Work
from vidinv.jobs import check, finalize, quality_summary, write_page
from vidinv.jobs.exclusive_outputs import check_files, publish_files
from vidinv.jobs.job_folder import JobFolder, fresh_job
from vidinv.jobs.journal import Journal
from vidinv.jobs.quality_summary import MeasuredFaces
from vidinv.jobs.request_files import RequestFiles
from vidinv.jobs.timing import Clock
from vidinv.media import reader
from vidinv.media.probe import VideoInfo, probe
from vidinv.media.source import films_of, open_video, video_stream
from vidinv.progress import Progress
from vidinv.report import sidecar
from vidinv.report.gate import Gate
from vidinv.stages import align, decode, graph, measure_identity, reencode

ASPECT_TOLERANCE = 0.01  # relative difference of the aspect ratios
LENGTH_TOLERANCE = 0.5  # seconds


@dataclass(frozen=True)
class Pair:
    """The two videos, the path of their report page, and the backend whose networks measure them."""

    source: Path
    edited: Path
    page: Path
    config: RunConfig
    backend: Backend
    gate: Gate
    thumbnails: bool = True
    overwrite: bool = False

    @property
    def files(self) -> RequestFiles:
        """Every file that a comparison writes: the page, and the JSON report next to it."""
        return RequestFiles(page=self.page, report=self.page.with_suffix(".json"))


def check_pair(pair: Pair) -> tuple[VideoInfo, VideoInfo]:
    """Probe both files. Raises InputUnreadable, and UsageError if they differ in shape or length.

    Raises OutputUnwritable if the page or its report exists or cannot be written.
    """
    check.check_networks(pair.config, pair.backend)
    given_boxes.boxes_of_run(pair.config, pair.backend)
    one = probe(pair.source, pair.config.stream)
    two = probe(pair.edited, _edited_stream(pair))
    (width, height), (other_width, other_height) = _shown(one), _shown(two)
    if abs(width * other_height / (height * other_width) - 1) > ASPECT_TOLERANCE:
        raise UsageError(
            f"{pair.edited} is {other_width}x{other_height} and {pair.source} is {width}x{height}: "
            "their aspect ratios differ",
            remedy="compare videos with the same framing",
        )
    if abs(one.duration_s - two.duration_s) > max(LENGTH_TOLERANCE, 0.02 * one.duration_s):
        raise UsageError(
            f"{pair.edited} lasts {two.duration_s:.1f} s, {pair.source} {one.duration_s:.1f} s: their lengths differ",
            remedy="cut both to the same part",
        )
    for clip in (pair.source, pair.edited):
        check_files(pair.files, clip, JobFolder(pair.page), overwrite=pair.overwrite)
    return one, two


def run(pair: Pair, progress: Progress) -> dict[str, Any]:
    """Measure the pair, write its page and the JSON report next to it, and return the report.

    Faces are found and tracked in the source and cropped from both videos by the source's smoothed transforms. Frames
    are paired by number if both files have the same number of frames, otherwise by time.
    """
    clock, (info, other), config = Clock.now(), check_pair(pair), pair.config
    backend = pair.backend
    with fresh_job(pair.page) as folder:
        progress.phase("analyse", info.frame_count, 0)
        sightings = first_pass.analyse(
            lambda first: reader.read_frames(
                pair.source, batch=config.batch, first=first, reader=config.reader, stream=config.stream
            ),
            backend.locator(config.landmarks),
            folder.path,
            config,
            info.rotation,
            progress.advance,
            None,
            given_boxes.boxes_of_run(config, backend),
        )
        analysis, _ = face_tracks.link_tracks(sightings, config, backend, pair.source, [])
        progress.phase("measure", analysis.frame_count, 0)
        measured = _measure(pair, analysis, (info, other), folder, progress)
        report = _build_report(pair, info, analysis, measured) | {"timing": clock.spent(), "warnings": []}
        made = folder.start_making(pair.files)
        assert made.page is not None and made.report is not None
        sidecar.write_report(made.report, report)
        write_page.write_page(made.page, report, write_page.strips(report, measured.evidence()))
        publish_files(folder, pair.files, made, overwrite=pair.overwrite)
        return report


def follow(source: Iterator[Work], pair: Pair, to_other: Array, by_number: bool) -> Iterator[Work]:
    """Add to the source's Works the same crops of the other video's frames, as `edit`.

    `to_other` [2,3] maps the source's pixels to the other video's. `by_number` pairs frames of equal number; otherwise
    the frame that is nearest in time is taken.
    """
    frames = reader.read_frames(pair.edited, batch=1, stream=_edited_stream(pair))
    here = next(frames)
    begin, following = here.pts[0], next(frames, None)
    first: int | None = None

    def place(frame: FrameBatch, k: int, start: int) -> float:
        return float(frame.index[k] if by_number else (frame.pts[k] - start) * frame.time_base)

    for work in source:
        first = work.frames.pts[0] if first is None else first
        partners = []
        for k in range(len(work.frames)):
            wanted = place(work.frames, k, first)
            while following is not None and abs(place(following, 0, begin) - wanted) <= abs(
                place(here, 0, begin) - wanted
            ):
                here, following = following, next(frames, None)
            partners.append(here)
        yield work if work.faces is None else _add_partner_crops(work, partners, to_other)


def _add_partner_crops(work: Work, partners: Sequence[FrameBatch], to_other: Array) -> Work:
    assert work.faces is not None
    size, cut, metrics = work.faces.image.shape[-1], [], []
    for position, to_frame in zip(work.faces.frame.tolist(), work.faces.to_frame.numpy(), strict=True):
        partner = partners[position]
        cut.append(crops.crop(partner.native[0], partner.colour, similarity.compose(to_other, to_frame), size))
        metrics.append(FaceMetrics(face_px=round(similarity.scale(to_frame) * size, 1)))
    edit = torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2) * 2 - 1  # NHWC -> NCHW
    return replace(work, edit=edit, metrics=tuple(metrics))


def _measure(
    pair: Pair,
    analysis: Analysis,
    infos: tuple[VideoInfo, VideoInfo],
    folder: JobFolder,
    progress: Progress,
) -> MeasuredFaces:
    config, evaluators = pair.config, pair.backend.evaluators(pair.config.device)
    segments = decode.segments(analysis.pts, analysis.time_base, config.segment_seconds, 0, analysis.frame_count)
    plan = decode.batches(segments, analysis.shots, config.batch)
    frames = reader.read_frames(pair.source, batch=1, stream=pair.config.stream)
    works = decode.decode(frames, plan, analysis.shots, segments)
    by_number = _count_frames(pair.edited, _edited_stream(pair)) == analysis.frame_count
    secondary = measure_identity.SecondaryEvaluators.of(pair.backend, evaluators.parse, [])
    stages = [
        ("align", align.build_align_stage(analysis.tracks, config.crop)),
        (
            "follow",
            lambda source: follow(source, pair, _between(*infos), by_number),
        ),
        (
            "measure",
            measure_identity.build_measure_stage(
                evaluators.identity, secondary, config.identity, keep_strips=pair.thumbnails
            ),
        ),
    ]
    journal = Journal(folder.path)
    graph.run(
        stages,
        ("decode", works),
        ("keep", reencode.Recorder(journal, segments, None, None, None, progress.advance)),
    )
    records = journal.finished()
    return MeasuredFaces([face for record in records for face in record.faces], folder.evidence(records))


def _build_report(pair: Pair, info: VideoInfo, analysis: Analysis, measured: MeasuredFaces) -> dict[str, Any]:
    config, names = pair.config, pair.backend.watching
    return {
        "schema": sidecar.SCHEMA,
        "input": finalize.describe_input(pair.source, fileio.content_sha256(pair.source), info, analysis),
        "output": {"path": pair.edited.name, "sha256": fileio.content_sha256(pair.edited)},
        "frames": analysis.frame_count,
        "faces": len(measured.rows),
        "edits": [],
        "settings": configs.plain(config),
        "versions": finalize.package_versions(),
        "weights": finalize.archive_digests(names),
        "parts": finalize.part_licences(names),
        "measured": finalize.sampling_intervals(config),
        **quality_summary.summarize(analysis, analysis.tracks, range(analysis.frame_count), [], measured, pair.gate),
    }


def _between(one: VideoInfo, two: VideoInfo) -> Array:
    """Return [2,3], which maps a coded pixel of the first video to the second, through the displayed picture."""
    (width, height), (other_width, other_height) = _shown(one), _shown(two)
    x, y = other_width / width, other_height / height
    scaled = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2]])  # pixel centres are at integers
    return similarity.compose(similarity.invert(_upright(two)), similarity.compose(scaled, _upright(one)))


def _edited_stream(pair: Pair) -> int | None:
    """The edited file's video stream: the number of the source's if the file has a video there, else None (chosen)."""
    with open_video(pair.edited) as container:
        numbers = [stream.index for stream in films_of(container)]
    return pair.config.stream if pair.config.stream in numbers else None


def _count_frames(path: Path, number: int | None) -> int:
    """Count the frames of a video stream by its packets."""
    with open_video(path, number) as container:
        stream = video_stream(container, number)
        return sum(packet.size > 0 and not packet.is_discard for packet in container.demux(stream))


def _upright(info: VideoInfo) -> Array:
    """Return [2,3], which maps a coded pixel to the displayed picture (pixel aspect, mirroring and rotation)."""
    width = round(info.width * info.display.pixel_aspect)
    right, bottom = width - 1, info.height - 1
    turned = {
        0: np.array([[1.0, 0, 0], [0, 1, 0]]),
        90: np.array([[0.0, -1, bottom], [1, 0, 0]]),
        180: np.array([[-1.0, 0, right], [0, -1, bottom]]),
        270: np.array([[0.0, 1, 0], [-1, 0, right]]),
    }[info.rotation]
    return similarity.compose(turned, similarity.invert(first_pass.to_coded(info.display, info.width)))


def _shown(info: VideoInfo) -> tuple[int, int]:
    """Width and height of the displayed picture."""
    width = round(info.width * info.display.pixel_aspect)
    return (info.height, width) if info.rotation % 180 else (width, info.height)
