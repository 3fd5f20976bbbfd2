"""Catalogue, fetch, convert and cache pretrained weights; models load from `weights.path(name)`."""

from vidinv.weights.cache import path, pull, verify
from vidinv.weights.catalog import CATALOG, Entry

__all__ = ["CATALOG", "Entry", "path", "pull", "verify"]
