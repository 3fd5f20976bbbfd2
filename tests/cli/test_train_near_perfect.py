"""`vidinv train near-perfect`: a generator for each photo, going on where it was stopped, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.near_perfect import SHORT, two_photos
from vidinv.cli.main import main
from vidinv.generators import delta, mobile_stylegan

TINY = ["--backend", "tiny", "--device", "cpu"]


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return two_photos(tmp_path / "faces")


def test_each_photo_has_a_generator_that_draws_it_better(
    tmp_path: Path, faces: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, table = tmp_path / "near", tmp_path / "t.json"
    command = ["train", "near-perfect", "-o", str(made), *TINY, *SHORT, "--set", f"photos={faces}"]
    assert main([*command, "--json", str(table)]) == 0, capsys.readouterr().err
    rows = json.loads(table.read_text())
    assert sorted(rows) == ["a", "b"] and all(row["mse"] < row["mse_before"] for row in rows.values())
    people, facts = delta.read_deltas(made / "a" / "generator.safetensors", mobile_stylegan.tiny())
    assert list(people) == [0] and facts.recipe["steps"] == 4 and "photos" not in facts.recipe
    assert main(command) == 2 and "already contains a training" in capsys.readouterr().err
    assert main(["train", "near-perfect", "--resume", str(made), *TINY, "--json", str(table)]) == 0
    assert json.loads(table.read_text()) == rows


def test_all_photos_can_share_one(tmp_path: Path, faces: Path) -> None:
    made = tmp_path / "near"
    command = ["train", "near-perfect", "-o", str(made), *TINY, *SHORT, "--set", f"photos={faces}"]
    assert main([*command, "--set", "each=false"]) == 0
    assert (made / "all" / "generator.safetensors").stat().st_size < 1e6


@pytest.mark.parametrize("name", ["full", "no-recon", "no-local", "no-global", "pti-ball", "clip"])
def test_every_recipe_is_a_plan(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "near-perfect", "-o", str(tmp_path / "x"), "--config", name, "--dry-run"]) == 0
    assert "gate:" in capsys.readouterr().out and not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [([], 3, "no photos"), (["--set", "what=biases"], 2, "choose one of"), (["--config", "nothing"], 2, "full")],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, options: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "near-perfect", "-o", str(tmp_path / "x"), *TINY, *options]) == code
    assert words in capsys.readouterr().err and not (tmp_path / "x").exists()
