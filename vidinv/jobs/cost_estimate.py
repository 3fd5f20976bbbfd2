"""Estimate the time and the disk space of a job before it starts, from runs of the default backend on two cores."""

from __future__ import annotations

from pathlib import Path

from vidinv import config_loading
from vidinv.config import RunConfig
from vidinv.encoders.feature_style_light import SHIPPED
from vidinv.frames import Analysis
from vidinv.jobs.request import Request
from vidinv.media.probe import VideoInfo
from vidinv.trainers.generator_tuning.config import GeneratorTuningRecipe

COPIED = 0.02  # seconds per frame, with or without a face
FACE_SECONDS = 0.5  # per face, everything but refinement
PICTURE_SECONDS = 0.2  # per picture of 512 pixels
STEP_SECONDS = 0.5  # per refinement step through the whole synthesis
QUICK_STEP_SECONDS = 0.18  # per refinement step through the proxy head
TUNE_SECONDS = 0.4  # per picture that the encoder is tuned on
GENERATOR_TUNE_SECONDS = 0.7  # per picture that a generator is tuned on
CODE_MB = 0.3  # disk space per face whose codes are kept
TUNE_SHARE = 16  # disk space in sizes of the encoder file: two checkpoints with three copies in fp32 each


def cost_line(request: Request, info: VideoInfo, analysis: Analysis, span: tuple[int, int], *, inverts: bool) -> str:
    """One line: frames, faces, minutes and disk space of rendering `span`; `inverts` is False with stored codes."""
    config, (start, stop) = request.config, span
    faces = sum(int(((track.frames >= start) & (track.frames < stop)).sum()) for track in analysis.tracks)
    starts = len(analysis.tracks) * len(analysis.shots)  # at most: a track restarts after a cut
    second_each = float((analysis.pts[-1] - analysis.pts[0]) * analysis.time_base) / max(len(analysis.pts) - 1, 1)
    tunes = inverts and faces > 0 and config.tune != "none"
    took = tuning_seconds(config, len(analysis.tracks)) if tunes else 0.0
    if not request.only_tuned:
        took += render_seconds(config, stop - start, faces, starts, second_each, inverts=inverts)
    share = (stop - start) / max(analysis.frame_count, 1)
    video = max(info.bit_rate * info.duration_s / 8, request.source.stat().st_size) * share / 1e6
    disk = 2 * video * (not request.only_codes and not request.only_tuned) + CODE_MB * faces * (
        inverts and request.codes is not None
    )
    if tunes and config.tune == "encoder":
        disk += TUNE_SHARE * (Path(config.encoder) if config.encoder else SHIPPED).stat().st_size / 1e6
    return (
        f"{stop - start} frames, {faces} faces in {len(analysis.shots)} shots; about {took / 60:.1f} min "
        f"on two cores at quality {config.quality}; about {disk:.0f} MB of disk"
    )


def render_seconds(
    config: RunConfig, frames: int, faces: int, starts: int, second_each: float, *, inverts: bool = True
) -> float:
    """Seconds that two cores take for `frames` frames with `faces` faces in all, whose tracks start `starts` times.

    A frame lasts `second_each` seconds.
    """
    took = faces * FACE_SECONDS + frames * COPIED
    if inverts:
        took += _refinement(config, faces, starts, second_each)
    return took


def tuning_seconds(config: RunConfig, people: int = 1) -> float:
    """Seconds that tuning the encoder to a clip takes, or tuning a generator to each of `people` persons."""
    if config.tune == "generator":
        recipe = config_loading.load_dataclass(
            GeneratorTuningRecipe, "train/generator_tuning", config.generator_tuning.recipe
        )
        return people * recipe.steps * recipe.batch * GENERATOR_TUNE_SECONDS
    return config.tuning.steps * config.tuning.batch * TUNE_SECONDS


def _refinement(config: RunConfig, faces: int, starts: int, second_each: float) -> float:
    """Seconds that refining `faces` faces takes."""
    steps = config.refine
    refined = faces / min(max(1, int(1.01 * steps.gap / max(second_each, 1e-6))), config.batch)
    following = steps.following.steps * QUICK_STEP_SECONDS + 2 * PICTURE_SECONDS * (not steps.is_off)
    return refined * following + steps.first.steps * min(starts, faces) * STEP_SECONDS
