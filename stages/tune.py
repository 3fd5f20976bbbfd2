"""Tune: fit a copy of the encoder to the faces of the clip that it is about to invert (`--tune encoder`)."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from stages import align, parts, sealed
from stages.backend import Models
from stages.folder import JobFolder
from vidinv.config import RunConfig
from vidinv.encoders.encoder_file import GeneratorFeature
from vidinv.errors import OutputUnwritable, VidinvError
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
    models: Models, source: Path, wanted: align.Wanted, config: RunConfig, folder: JobFolder, told: Told
) -> Models:
    """`models` with the encoder tuned to the faces `wanted` of `source`, crops of the proxy head's size.

    What it learned lies in the job folder, so that a job that goes on has the same encoder. Raises OutputUnwritable
    where that folder's disk is full, VidinvError where the tuning fails.
    """
    path, work = folder.path / "tuned.sealed", folder.path / "tuning"
    kept = sealed.read(path)
    if kept is None:
        faces = torch.cat([face for _, _, face in align.faces(source, wanted, models.proxy.size)])
        try:
            state = _learn(models, faces.to(models.device), config, work, told)
            kept = save({key: value.cpu().contiguous() for key, value in state.items()})
            sealed.write(path, kept)
        except (SafetensorError, OSError) as error:
            raise OutputUnwritable(f"cannot write {work}: {error}", remedy="make room, or --tune none") from error
        shutil.rmtree(work, ignore_errors=True)
    encoder = deepcopy(models.encoder)
    encoder.load_state_dict(load(kept))
    return replace(models, encoder=encoder.eval().requires_grad_(False))


def _learn(models: Models, faces: Tensor, config: RunConfig, work: Path, told: Told) -> dict[str, Tensor]:
    from trainers import tune_encoder  # the training's libraries take seconds to load, and few runs need them
    from trainers.objective import Drawing, Judges

    assert models.encoder.at is not None
    guides = parts.choose(config.backend).guides(models.device)
    drawing = Drawing(models.generator, models.proxy, models.encoder.at, faces.new_ones(1))
    judges = Judges(guides.identity, guides.perceptual, None)
    branch = not isinstance(models.encoder, GeneratorFeature)
    try:
        return tune_encoder.tune(
            models.encoder, drawing, judges, faces, config.tuning, work, told, feature_branch=branch
        )
    except VidinvError as error:
        raise VidinvError(
            f"tuning the encoder to the clip failed: {error.what}", remedy="--set tuning.rate=3e-5, or --tune none"
        ) from error


def spread(tracks: tuple[Track, ...], span: tuple[int, int], count: int, size: int) -> align.Wanted:
    """About `count` of the faces on the frames start <= i < stop of `span`, evenly over each track.

    A track has a share by its length, one at least. The transforms are for crops of `size` pixels.
    """
    start, stop = span
    rows = [[k for k, frame in enumerate(track.frames) if start <= frame < stop] for track in tracks]
    total = sum(map(len, rows))
    wanted = {}
    for track, here in zip(tracks, rows, strict=True):
        for place in align.evenly(max(1, round(count * len(here) / max(total, 1))), len(here)):
            k = here[place]
            wanted[int(track.frames[k]), track.id] = align.rescale(track.to_frame[k], track.crop, size)
    return wanted
