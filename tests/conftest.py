"""For every test: the repository's root is importable, and tests marked `weights` skip where the weights are not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("weights")]
    lacking = _lacking() if marked else []
    if lacking:
        reason = f"not in the weights cache: {', '.join(lacking)} (run: vidinv weights pull)"
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))


def _lacking() -> list[str]:
    """Core parts of the catalogue that the cache does not hold as this version converts them."""
    from vidinv.weights import catalog, converted

    core = [entry for entry in catalog.CATALOG.values() if entry.core]
    return [entry.name for entry in core if converted.state(entry) != "present"]
