"""The published layouts that `vidinv weights import` knows: one module for each kind of network."""

from __future__ import annotations

from collections.abc import Iterable

from vidinv.weights.importers.formats import discriminators, encoders, faces, generators, perceptual
from vidinv.weights.importers.formats.base import Format

FORMATS: tuple[Format, ...] = (*generators.FORMATS, *encoders.FORMATS, *faces.FORMATS, *perceptual.FORMATS)
BESIDE = discriminators.FORMATS  # of what lies beside a generator


def told(keys: Iterable[str], among: Iterable[Format] = FORMATS) -> Format | None:
    """The format whose marks all are among the keys."""
    keys = list(keys)
    return next((known for known in among if known.fits(keys)), None)
