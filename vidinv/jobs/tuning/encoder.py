"""Tune: fit a copy of the encoder to the faces of the clip that it is about to invert (`--tune encoder`)."""

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
from vidinv.jobs.tuning.common import Said, TuningClip, chosen, curve, key_crops, learned, tuning_mark
from vidinv.progress import Progress
from vidinv.stages.synthesize import is_drawn_by_proxy
from vidinv.trainers.feature_style import config as feature_style_config

if TYPE_CHECKING:
    from vidinv.trainers.core.early_stopping import Tuned


def tuned(
    models: Models, clip: TuningClip, config: RunConfig, folder: JobFolder, progress: Progress
) -> tuple[Models, Said | None]:
    """`models` with the encoder tuned to the key faces of `clip`, and what the report says of it; None without a face.

    What it learned lies in the job folder, so that a job that goes on has the same encoder, and in the cache, so that
    another edit of the clip has. Raises OutputUnwritable where the folder's disk is full, VidinvError where the tuning
    fails.
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
    kept, facts = learned(
        folder, mark, lambda work: _learned(models, clip, wanted, config, work, progress), cached=tuning.cache
    )
    encoder = deepcopy(models.encoder)
    encoder.load_state_dict(load(kept))
    return replace(models, encoder=encoder.eval().requires_grad_(False)), facts


def _learned(
    models: Models, clip: TuningClip, wanted: crops.WantedCrops, config: RunConfig, work: Path, progress: Progress
) -> bytes:
    """A safetensors file of what was learned; its metadata say from which faces, and what the held-out ones said."""
    size = models.proxy.size
    seen = key_crops(clip, wanted, size)
    keys, held = chosen(clip, seen, config.tuning.faces, config.tuning.held)
    faces = torch.cat([seen[face.key] for face in keys])
    apart = torch.cat([seen[face.key] for face in held]) if held else faces[:0]
    del seen
    made = _learn(models, faces, apart, config, work, progress)
    said = {
        "key_faces": [list(face.key) for face in keys],
        "held_out": [list(face.key) for face in held],
        "best_step": made.best.step if made.best else config.tuning.steps,
        "validation": curve(made),
    }
    state = {key: value.cpu().contiguous() for key, value in made.state.items()}
    return save(state, metadata={"tuning": json.dumps(said)})


def _learn(
    models: Models,
    faces: torch.Tensor,
    held: torch.Tensor,
    config: RunConfig,
    work: Path,
    progress: Progress,
) -> Tuned:
    from vidinv.trainers.feature_style import (
        fit_to_clip,  # the training's libraries take seconds to load, and few runs need them
    )
    from vidinv.trainers.feature_style.losses import Evaluators, RenderNetworks

    assert models.encoder.at is not None
    guides = models.backend.guides(models.device)
    drawing = RenderNetworks(models.generator, models.proxy, models.encoder.at, faces.new_ones(1))
    judges = Evaluators(guides.identity, guides.perceptual, None)
    encoder = models.encoder
    branch = not isinstance(encoder, GeneratorFeature) or encoder.draws_constant
    try:
        return fit_to_clip.tune(
            encoder,
            drawing,
            judges,
            faces.to(models.device),
            config.tuning,
            work,
            progress,
            held=held.to(models.device),
            feature_branch=branch,
            whole=whole(models) if _is_corrected(models, config) else None,
        )
    except VidinvError as error:
        raise VidinvError(
            f"tuning the encoder to the clip failed: {error.what}", remedy="--set tuning.rate=3e-5, or --tune none"
        ) from error


def _is_corrected(models: Models, config: RunConfig) -> bool:
    """Whether the head that teaches is not what draws the output."""
    return models.proxy.is_quick and not is_drawn_by_proxy(models.generator, models.proxy, config.crop)


def whole(models: Models) -> Callable[..., torch.Tensor]:
    """What draws codes by the whole generator, at the side [px] of its proxy head."""
    generator, size = models.generator, models.proxy.size

    def paint(ws: torch.Tensor, feature: torch.Tensor | None = None, at: int | None = None) -> torch.Tensor:
        return resize(generator.synthesize(ws, feature=feature, at=at, size=generator.sizes[0]), size)

    return paint


def keep(models: Models, config: RunConfig, path: Path) -> None:
    """Write the encoder of `models`, one of a file or the default's, for `--encoder FILE`. Raises OutputUnwritable."""
    space = models.generator.space
    facts = (
        encoder_file.check_encoder(Path(config.encoder), space) if config.encoder else EncoderFacts("light", space, 16)
    )
    encoder = models.encoder
    inner = encoder.encoder if isinstance(encoder, GeneratorFeature) else encoder
    encoder_file.write_encoder(path, inner.state_dict(), facts)
