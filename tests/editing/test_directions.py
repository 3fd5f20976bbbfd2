"""Named directions: what an unknown name says, what a file keeps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vidinv.editing import directions
from vidinv.editing.directions import Direction
from vidinv.errors import UsageError

SPACE = "made-up-w"


def made(name: str) -> Direction:
    vector = torch.nn.functional.normalize(torch.arange(1.0, 9.0), dim=0)
    return Direction(
        name,
        vector,
        0.7,
        (2, 5),
        SPACE,
        blend="residual",
        calibration={"years": 6.1},
        origin="these tests",
        licence="-",
    )


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(directions, "FOLDER", tmp_path)
    for name in ("age", "smile", "yaw"):
        directions.write_direction(made(name), tmp_path)
    return tmp_path


def test_an_unknown_direction_lists_the_near_names(shelf: Path) -> None:
    with pytest.raises(UsageError, match=r"'aeg'.*did you mean age") as caught:
        directions.load_direction("aeg", SPACE)
    assert caught.value.exit_code == 2
    with pytest.raises(UsageError, match="known: age, smile, yaw"):
        directions.load_direction("qqqqq", SPACE)


def test_a_written_direction_reads_back_the_same(shelf: Path) -> None:
    assert directions.names(SPACE) == ["age", "smile", "yaw"]
    again, first = directions.load_direction("age", SPACE), made("age")
    assert torch.equal(again.vector, first.vector)
    for field in ("name", "deviation", "layers", "space", "blend", "kind", "calibration", "origin", "licence"):
        assert getattr(again, field) == getattr(first, field), field


def test_an_offset_moves_its_own_layers_only() -> None:
    direction = made("age")
    offset = direction.offset(-3.0, slots=8)
    assert offset.shape == (8, 8)
    assert not offset[:2].any() and not offset[5:].any()
    torch.testing.assert_close(offset[2:5], (-3.0 * 0.7 * direction.vector).expand(3, 8))


def test_a_random_control_is_as_long_and_elsewhere() -> None:
    direction = made("age")
    first, again, other = (directions.random_control(direction, seed).offset(2.0, slots=8) for seed in (1, 1, 2))
    own = direction.offset(2.0, slots=8)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.allclose(first.norm(dim=1), own.norm(dim=1)) and not torch.allclose(first, own, atol=0.1)
