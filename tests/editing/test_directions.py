"""Named directions: what an unknown name says, what a file keeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from tests.helpers.json_changes import changed
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


@pytest.mark.parametrize("offset", range(3))
def test_any_change_of_a_direction_file_is_read_or_refused(shelf: Path, offset: int) -> None:
    path = shelf / SPACE / "age.safetensors"
    with safe_open(path, "pt") as file:
        stored, vector = json.loads(file.metadata()["direction"]), file.get_tensor("vector")
    stored["imported"] = {"format": "npy", "shape": "1x8", "native": 1.0, "is_measured": True, "generator": "tiny"}
    stored["imported"] |= {"sign": "older", "sha256": "a" * 64}
    refused = 0
    for name, made in list(changed(stored))[offset::3]:
        save_file({"vector": vector}, path, {"direction": json.dumps(made)})
        try:
            found = directions.read_direction(path)
        except UsageError as error:
            refused += 1
            assert "\n" not in str(error), name
        else:
            json.dumps(directions.facts(found), allow_nan=False)
            assert found.offset(1.0, 12).isfinite().all() if found.kind == "w" else found.style_offset(1.0).any()
    assert refused > 50


@pytest.mark.parametrize(
    "vector",
    [torch.zeros(8), torch.full((8,), float("nan")), torch.zeros(0), torch.ones(2, 2, 2), torch.ones(8).int()],
    ids=["zero", "nan", "empty", "cube", "whole"],
)
def test_a_vector_that_moves_nothing_or_is_not_finite_is_refused(shelf: Path, vector: torch.Tensor) -> None:
    path = shelf / SPACE / "age.safetensors"
    with safe_open(path, "pt") as file:
        save_file({"vector": vector}, path, file.metadata())
    with pytest.raises(UsageError, match="valid direction file"):
        directions.read_direction(path)
