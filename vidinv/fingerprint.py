"""Fingerprints: one digest of everything that decides a result, derived from the dataclasses' own fields.

A field decides every result unless its metadata say otherwise (`decides`), so a new field counts until somebody says
that it does not. Values keep their names and types in the digest: no two different requests have one text.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from vidinv import fileio

JOB, CODES = "job", "codes"  # the results: what a run writes, and the codes of an inversion
KEY = "decides"  # of a field's metadata


def decides(*results: str) -> dict[str, tuple[str, ...]]:
    """Metadata of a dataclass field that decides these results alone; of one that decides nothing, without any."""
    return {KEY: results}


def deciding(value: Any, result: str) -> dict[str, Any]:
    """The fields of a dataclass instance that decide `result`, by name; nested dataclasses as nested dicts."""
    return {
        entry.name: _plain(getattr(value, entry.name), result)
        for entry in fields(value)
        if result in entry.metadata.get(KEY, (result,))
    }


def digest(said: Mapping[str, Any]) -> str:
    """sha256 of values that JSON can hold, whatever the order of their names. Raises TypeError for any other value."""
    return fileio.sha256_of_bytes(json.dumps(said, sort_keys=True))


def _plain(value: Any, result: str) -> Any:
    """A field's value as JSON holds it."""
    if is_dataclass(value):
        return deciding(value, result)
    if isinstance(value, tuple | list):
        return [_plain(entry, result) for entry in value]
    return str(value) if isinstance(value, Path) else value
