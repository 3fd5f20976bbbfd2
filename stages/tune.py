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

from stages import align, parts
from stages.backend import Models
from stages.folder import JobFolder
from stages.synthesize import is_drawn_by_proxy
from stages.tuning import Clip, Said, Told, chosen, crops, curve, fingerprint, learned
from trainers import recipe
from vidinv.config import RunConfig
from vidinv.encoders import encoder_file
from vidinv.encoders.encoder_file import Facts, GeneratorFeature
from vidinv.errors import VidinvError
from vidinv.generators.ops import resize

if TYPE_CHECKING:
    from trainers.held_out import Tuned


def tuned(models: Models, clip: Clip, config: RunConfig, folder: JobFolder, told: Told) -> tuple[Models, Said | None]:
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
        "tuning": asdict(tuning) | {"cache": True},
        "corrected": _is_corrected(models, config),
        "recipe": asdict(recipe.for_clip(tuning, feature_branch=True)),
    }
    mark = fingerprint(clip, wanted, config, how)
    kept, facts = learned(
        folder, mark, lambda work: _learned(models, clip, wanted, config, work, told), cached=tuning.cache
    )
    encoder = deepcopy(models.encoder)
    encoder.load_state_dict(load(kept))
    return replace(models, encoder=encoder.eval().requires_grad_(False)), facts


def _learned(models: Models, clip: Clip, wanted: align.Wanted, config: RunConfig, work: Path, told: Told) -> bytes:
    """A safetensors file of what was learned; its metadata say from which faces, and what the held-out ones said."""
    size = models.proxy.size
    seen = crops(clip, wanted, size)
    keys, held = chosen(clip, seen, config.tuning.faces, config.tuning.held)
    faces = torch.cat([seen[face.key] for face in keys])
    apart = torch.cat([seen[face.key] for face in held]) if held else faces[:0]
    del seen
    made = _learn(models, faces, apart, config, work, told)
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
    told: Told,
) -> Tuned:
    from trainers import tune_encoder  # the training's libraries take seconds to load, and few runs need them
    from trainers.objective import Drawing, Judges

    assert models.encoder.at is not None
    guides = parts.choose(config.backend).guides(models.device)
    drawing = Drawing(models.generator, models.proxy, models.encoder.at, faces.new_ones(1))
    judges = Judges(guides.identity, guides.perceptual, None)
    encoder = models.encoder
    branch = not isinstance(encoder, GeneratorFeature) or encoder.draws_constant
    try:
        return tune_encoder.tune(
            encoder,
            drawing,
            judges,
            faces.to(models.device),
            config.tuning,
            work,
            told,
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
    facts = encoder_file.check(Path(config.encoder), space) if config.encoder else Facts("light", space, 16)
    encoder = models.encoder
    inner = encoder.encoder if isinstance(encoder, GeneratorFeature) else encoder
    encoder_file.write(path, inner.state_dict(), facts)
