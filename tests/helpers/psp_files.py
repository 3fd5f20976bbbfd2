"""Checkpoints of pSp and e4e in their published layout, with random values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.helpers import layouts, published_stylegan2


def saved(path: Path, held: dict[str, Any]) -> Path:
    torch.save(held, path)
    return path


def psp_file(path: Path, opts: object, **beside: Any) -> Path:
    """pSp's and e4e's own: encoder and decoder in one state, the average for every row, and the training's options."""
    encoder = {f"encoder.{key}": value for key, value in layouts.map2style(8, published_stylegan2.W).items()}
    decoder = {f"decoder.{key}": value for key, value in published_stylegan2.published_state().items()}
    held = {"state_dict": encoder | decoder, "latent_avg": torch.full((8, published_stylegan2.W), 0.5)}
    return saved(path, held | ({} if opts is None else {"opts": opts}) | beside)
