"""What the tests of own backends are given: a cache of their own, a clip with a shape that moves, and its boxes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.own_backend import shape_boxes, shape_clip


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return shape_clip(tmp_path)


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    return shape_boxes(tmp_path)
