"""Published layouts that `vidinv weights import` supports, in one module per kind of network."""

from __future__ import annotations

from collections.abc import Iterable

from vidinv.weights.importers.formats import discriminators, encoders, faces, generators, perceptual
from vidinv.weights.importers.formats.base import Format

FORMATS: tuple[Format, ...] = (*generators.FORMATS, *encoders.FORMATS, *faces.FORMATS, *perceptual.FORMATS)
COMPANION_FORMATS = discriminators.FORMATS  # of networks stored together with a generator


def identify_format(keys: Iterable[str], among: Iterable[Format] = FORMATS) -> Format | None:
    """Return the first format whose marks all match the keys, or None."""
    keys = list(keys)
    return next((known for known in among if known.fits(keys)), None)
