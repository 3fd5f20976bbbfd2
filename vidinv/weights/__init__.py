"""Pretrained parts: catalogue, fetching, conversion, cache. `weights.path(name)` is what models load from."""

from vidinv.weights.cache import path, pull, verify
from vidinv.weights.catalog import CATALOG, Entry

__all__ = ["CATALOG", "Entry", "path", "pull", "verify"]
