"""Tune a copy of the encoder to the faces of the clip that it will invert (`--tune encoder`)."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load, save

from vidinv.backends.interface import Models
from vidinv.config import RunConfig
from vidinv.encoders import encoder_file
from vidinv.encoders.encoder_file import EncoderFacts, GeneratorFeature
from vidinv.errors import VidinvError
from vidinv.faces import crops
from vidinv.fingerprint import CODES, deciding
from vidinv.generators.ops import resize
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.tuning.common import (
    TuningClip,
    TuningFacts,
    choose_faces,
    key_crops,
    load_or_learn,
    tuning_mark,
    validation_curve,
)
from vidinv.progress import Progress
from vidinv.stages.synthesize import is_drawn_by_proxy
from vidinv.trainers.feature_style import config as feature_style_config

if TYPE_CHECKING:
    from vidinv.trainers.core.early_stopping import Tuned


def tune_encoder(
    models: Models, clip: TuningClip, config: RunConfig, folder: JobFolder, progress: Progress
) -> tuple[Models, TuningFacts | None]:
    """Return `models` with an encoder tuned to `clip`, and the report's facts on it (None without a face).

    The tuning is stored in the job folder, for a resumed job, and in the cache, for other edits of the clip. Raises
    OutputUnwritable if the disk is full, VidinvError if the tuning fails.
    """
    tuning = config.tuning
    wanted = clip.wanted(tuning.faces + tuning.held, models.proxy.size)
    if not wanted:
        return models, None
    how = {
        "tuning": deciding(tuning, CODES),
        "corrected": _is_corrected(models, config),
        "recipe": asdict(feature_style_config.for_clip(tuning, feature_branch=True)),
    }
    mark = tuning_mark(clip, wanted, config, models.backend, how)
    kept, facts = load_or_learn(
        folder, mark, lambda work: _learn_encoder(models, clip, wanted, config, work, progress), cached=tuning.cache
    )
    encoder = deepcopy(models.encoder)
    encoder.load_state_dict(load(kept))
    return replace(models, encoder=encoder.eval().requires_grad_(False)), facts


def _learn_encoder(
    models: Models, clip: TuningClip, wanted: crops.WantedCrops, config: RunConfig, work: Path, progress: Progress
) -> bytes:
    """Tune and return a safetensors file; its metadata list the key faces, held-out faces and validation curve."""
    size = models.proxy.size
    seen = key_crops(clip, wanted, size)
    keys, held = choose_faces(clip, seen, config.tuning.faces, config.tuning.held)
    faces = torch.cat([seen[face.key] for face in keys])
    apart = torch.cat([seen[face.key] for face in held]) if held else faces[:0]
    del seen
    made = _fit_to_clip(models, faces, apart, config, work, progress)
    facts = {
        "key_faces": [list(face.key) for face in keys],
        "held_out": [list(face.key) for face in held],
        "best_step": made.best.step if made.best else config.tuning.steps,
        "validation": validation_curve(made),
    }
    state = {key: value.cpu().contiguous() for key, value in made.state.items()}
    return save(state, metadata={"tuning": json.dumps(facts)})


def _fit_to_clip(
    models: Models,
    faces: torch.Tensor,
    held: torch.Tensor,
    config: RunConfig,
    work: Path,
    progress: Progress,
) -> Tuned:
    from vidinv.trainers.feature_style import (
        fit_to_clip,  # the training libraries take seconds to import
    )
    from vidinv.trainers.feature_style.losses import Evaluators, RenderNetworks

    assert models.encoder.at is not None
    guides = models.backend.guides(models.device)
    drawing = RenderNetworks(models.generator, models.proxy, models.encoder.at, faces.new_ones(1))
    evaluators = Evaluators(guides.identity, guides.perceptual, None)
    encoder = models.encoder
    branch = not isinstance(encoder, GeneratorFeature) or encoder.draws_constant
    try:
        return fit_to_clip.tune(
            encoder,
            drawing,
            evaluators,
            faces.to(models.device),
            config.tuning,
            work,
            progress,
            held=held.to(models.device),
            feature_branch=branch,
            whole=build_full_renderer(models) if _is_corrected(models, config) else None,
        )
    except VidinvError as error:
        raise VidinvError(
            f"tuning the encoder to the clip failed: {error.what}",
            remedy="use --set tuning.rate=3e-5, or --tune none",
        ) from error


def _is_corrected(models: Models, config: RunConfig) -> bool:
    """Whether the output is drawn by another network than the proxy head that the tuning uses."""
    return models.proxy.is_quick and not is_drawn_by_proxy(models.generator, models.proxy, config.crop)


def build_full_renderer(models: Models) -> Callable[..., torch.Tensor]:
    """Build a function that draws codes with the full generator, resized to the proxy head's output size."""
    generator, size = models.generator, models.proxy.size

    def paint(ws: torch.Tensor, feature: torch.Tensor | None = None, at: int | None = None) -> torch.Tensor:
        return resize(generator.synthesize(ws, feature=feature, at=at, size=generator.sizes[0]), size)

    return paint


def write_tuned_encoder(models: Models, config: RunConfig, path: Path) -> None:
    """Write the tuned encoder of `models` for `--encoder FILE`. Raises OutputUnwritable."""
    space = models.generator.space
    facts = (
        encoder_file.check_encoder(Path(config.encoder), space) if config.encoder else EncoderFacts("light", space, 16)
    )
    encoder = models.encoder
    inner = encoder.encoder if isinstance(encoder, GeneratorFeature) else encoder
    encoder_file.write_encoder(path, inner.state_dict(), facts)
