"""What a job will cost, said before it begins: a rough guide from whole runs of the default parts on two cores."""

from __future__ import annotations

from pathlib import Path

from vidinv import config_loading
from vidinv.config import RunConfig
from vidinv.encoders import registry
from vidinv.frames import Analysis
from vidinv.jobs.request import Request
from vidinv.media.probe import VideoInfo
from vidinv.trainers.generator_tuning.config import GeneratorTuningRecipe

COPIED = 0.02  # seconds per frame, face or not
FACE_SECONDS = 0.5  # per face, everything but refinement
PICTURE_SECONDS = 0.2  # per picture of 512 pixels
STEP_SECONDS = 0.5  # per refinement step through the whole synthesis
QUICK_STEP_SECONDS = 0.18  # and through the proxy head
TUNE_SECONDS = 0.4  # per picture that the encoder is tuned on
TURN_SECONDS = 0.7  # per picture that a generator is tuned on
CODE_MB = 0.3  # of the disk, per face whose codes are kept
TUNE_SHARE = 16  # of the disk, times an encoder's file: two checkpoints, each of three copies and more in fp32


def line(request: Request, info: VideoInfo, analysis: Analysis, span: tuple[int, int], *, inverts: bool) -> str:
    """Frames, faces, minutes and disk of rendering the frames `span`; it `inverts` unless the codes are there."""
    config, (start, stop) = request.config, span
    faces = sum(int(((track.frames >= start) & (track.frames < stop)).sum()) for track in analysis.tracks)
    beginnings = len(analysis.tracks) * len(analysis.shots)  # at most: a track begins anew after a cut
    second_each = float((analysis.pts[-1] - analysis.pts[0]) * analysis.time_base) / max(len(analysis.pts) - 1, 1)
    tunes = inverts and faces > 0 and config.tune != "none"
    took = tuning_seconds(config, len(analysis.tracks)) if tunes else 0.0
    if not request.only_tuned:
        took += seconds(config, stop - start, faces, beginnings, second_each, inverts=inverts)
    share = (stop - start) / max(analysis.frame_count, 1)
    video = max(info.bit_rate * info.duration_s / 8, request.source.stat().st_size) * share / 1e6
    disk = 2 * video * (not request.only_codes and not request.only_tuned) + CODE_MB * faces * (
        inverts and request.codes is not None
    )
    if tunes and config.tune == "encoder":
        disk += TUNE_SHARE * (Path(config.encoder) if config.encoder else registry.SHIPPED).stat().st_size / 1e6
    return (
        f"{stop - start} frames, {faces} faces in {len(analysis.shots)} shots; about {took / 60:.1f} min "
        f"on two cores at quality {config.quality}; about {disk:.0f} MB of disk"
    )


def seconds(
    config: RunConfig, frames: int, faces: int, beginnings: int, second_each: float, *, inverts: bool = True
) -> float:
    """Seconds that two cores take for `frames` with `faces` in them, of tracks that begin so many times.

    A frame lasts `second_each`.
    """
    took = faces * FACE_SECONDS + frames * COPIED
    if inverts:
        took += _refinement(config, faces, beginnings, second_each)
    return took


def tuning_seconds(config: RunConfig, people: int = 1) -> float:
    """Seconds that tuning the encoder to a clip takes, or a generator to each of so many `people`."""
    if config.tune == "generator":
        recipe = config_loading.load_dataclass(
            GeneratorTuningRecipe, "train/generator_tuning", config.generator_tuning.recipe
        )
        return people * recipe.steps * recipe.batch * TURN_SECONDS
    return config.tuning.steps * config.tuning.batch * TUNE_SECONDS


def _refinement(config: RunConfig, faces: int, beginnings: int, second_each: float) -> float:
    """Seconds that refining `faces` faces takes."""
    steps = config.refine
    refined = faces / min(max(1, int(1.01 * steps.gap / max(second_each, 1e-6))), config.batch)
    following = steps.following.steps * QUICK_STEP_SECONDS + 2 * PICTURE_SECONDS * (not steps.is_off)
    return refined * following + steps.first.steps * min(beginnings, faces) * STEP_SECONDS
