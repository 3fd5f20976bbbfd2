"""Provide the library's functions: load, run, invert, edit, and `autoencoder`, which loads a trained autoencoder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidinv import config as configs
from vidinv.backends import registry as backends
from vidinv.backends.interface import Models
from vidinv.editing import feature_edit
from vidinv.errors import UsageError
from vidinv.frames import Code, Edit
from vidinv.jobs import check, video_job
from vidinv.jobs import request as requests
from vidinv.jobs.autoencoder import trained as autoencoders
from vidinv.jobs.autoencoder.trained import Autoencoder


def load(backend: str = "default", device: str = "auto", encoder: str | Path = "") -> Models:
    """Load the networks of a backend from the weights cache; `encoder` is a file of `vidinv train` (default: shipped).

    Raises WeightsUnavailable if weights are missing, UsageError for a file that is not such an encoder.
    """
    return backends.choose_backend(backend).models(requests.pick_device(device), str(encoder))


def run(
    source: str | Path,
    output: str | Path,
    edits: list[str],
    *,
    config: str = "balanced",
    settings: list[str] | None = None,
    overwrite: bool = False,
    preview: bool = False,
) -> dict[str, Any]:
    """Edit the faces of the video `source`, write `output` and return the report. `settings` are KEY=VALUE strings."""
    resolved = configs.with_edits(configs.load_run_config(config, settings), edits)
    return video_job.run(requests.Request(Path(source), Path(output), resolved, overwrite=overwrite, preview=preview))


def invert(models: Models, images: Tensor) -> Code:
    """Invert aligned faces [N,3,S,S] in [-1,1] to codes by the encoder alone."""
    with torch.no_grad():
        return models.encoder(images.to(models.device))


def edit(models: Models, code: Code, edits: list[str]) -> Tensor:
    """Render `code` after `edits` such as "age+2" or "age+2@layers=4-9" (Eq. 1) to pictures [N,3,S,S].

    Raises UsageError for an edit with a time, person, region or target value, which needs a picture or a clip.
    """
    asked = check.resolve_edits(edits, models.backend)
    for text, entry in zip(edits, (move.edit for move in asked), strict=True):
        if replace(entry, name="", strength=0.0, layers=None) != Edit("", 0.0):
            raise UsageError(f"{text!r} cannot be applied to a code alone", remedy="give only a strength and layers")
    moves = [(move.direction, move.edit.strength) for move in asked]
    with torch.no_grad():
        return models.generator.picture(feature_edit.edit(models.generator, code, moves))


def autoencoder(folder: str | Path, device: str = "auto") -> Autoencoder:
    """Load the result of `vidinv train ae-stylegan` or `automodulator` in `folder`, which encodes, renders and samples.

    `vidinv.editing.style_mixing` mixes, varies, edits and interpolates its codes. Raises UsageError if there is none.
    """
    return autoencoders.load_autoencoder(Path(folder), requests.pick_device(device))
