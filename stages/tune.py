"""Tune: fit a copy of the encoder to the faces of the clip that it is about to invert (`--tune encoder`)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from stages import align, parts
from stages.folder import JobFolder
from stages.parts import Models
from trainers import tune_encoder
from trainers.objective import Drawing, Judges
from vidinv.config import RunConfig
from vidinv.encoders.encoder_file import GeneratorFeature
from vidinv.frames import Track


@dataclass(frozen=True)
class Told:
    """A training's progress as a job's phase, counted in pictures."""

    phase: Callable[[str, int, int], None]
    done: Callable[[int], None]

    def begin(self, images: int, seen: int) -> None:
        self.phase("tune", images, seen)

    def advance(self, images: int) -> None:
        self.done(images)

    def end(self) -> None: ...


def tuned(
    models: Models,
    source: Path,
    tracks: tuple[Track, ...],
    span: tuple[int, int],
    config: RunConfig,
    folder: JobFolder,
    told: Told,
) -> Models:
    """`models` with the encoder tuned to the faces of `tracks` on the frames start <= i < stop of `span`.

    What it learned lies in the job folder, so that a job that goes on has the same encoder. A clip without a face
    there leaves it as it is.
    """
    path, work = folder.path / "tuned.safetensors", folder.path / "tuning"
    if not path.exists():
        size = models.proxy.head.spec.size
        wanted = spread(tracks, span, config.tuning.faces, size)
        if not wanted:
            return models
        images = torch.cat([face for _, _, face in align.faces(source, wanted, size)]).to(models.device)
        guides = parts.choose(config.backend).guides(models.device)
        assert models.encoder.at is not None
        drawing = Drawing(models.generator, models.proxy, models.encoder.at, images.new_ones(1))
        judges = Judges(guides.identity, guides.perceptual, None)
        branch = not isinstance(models.encoder, GeneratorFeature)
        state = tune_encoder.tune(
            models.encoder, drawing, judges, images, config.tuning, work, told, feature_branch=branch
        )
        partial = path.with_suffix(".tmp")
        save_file({key: value.cpu().contiguous() for key, value in state.items()}, partial)
        partial.replace(path)
        shutil.rmtree(work, ignore_errors=True)
    encoder = deepcopy(models.encoder)
    encoder.load_state_dict(load_file(path, device=models.device))
    return replace(models, encoder=encoder.eval().requires_grad_(False))


def spread(tracks: tuple[Track, ...], span: tuple[int, int], count: int, size: int) -> align.Wanted:
    """Up to `count` of the faces inside `span`, evenly, with their transforms for crops of `size` pixels."""
    start, stop = span
    found = [
        ((int(frame), track.id), align.rescale(track.to_frame[k], track.crop, size))
        for track in tracks
        for k, frame in enumerate(track.frames)
        if start <= frame < stop
    ]
    picked = np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).round().astype(int))
    return dict(found[n] for n in picked)
