"""A clip with a shape that moves, and its boxes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.own_backend import shape_boxes, shape_clip


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return shape_clip(tmp_path)


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    return shape_boxes(tmp_path)
