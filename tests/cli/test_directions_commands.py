"""`vidinv directions` with the tiny backend: a scorer of one's own becomes a direction that edits."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.clips import make_clip
from tests.runs import TINY
from vidinv.cli.main import main
from vidinv.media import photo

LEARN = ["directions", "learn", "--backend", "tiny", "--progress", "none"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))


def redness(pictures: torch.Tensor) -> torch.Tensor:
    return (pictures[:, 0] - pictures[:, 1]).mean((1, 2))


def broken(pictures: torch.Tensor) -> float:
    return 1.0


SCORER = ["--scorer", "tests.cli.test_directions_commands:redness"]


def test_a_scorer_of_ones_own_becomes_a_direction_that_edits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["--attribute", "redness", *SCORER, "--unit", "R-G", "--method", "ridge", "--samples", "400"]
    assert main([*LEARN, *wanted, "--free-of", "age"]) == 0
    assert main(["directions", "list", "--backend", "tiny", "--json", "-"]) == 0
    (entry,) = [row for row in json.loads(capsys.readouterr().out) if row["name"] == "redness"]
    assert entry["calibration"]["R-G"] > 0 and "age" in entry["leak"] and entry["kept"]["+1"] > 0
    clip = make_clip(tmp_path / "in.mp4", frames=4)
    assert main(["run", str(clip), "--edit", "redness+1", "-o", str(tmp_path / "out.mp4"), *TINY]) == 0
    report = json.loads((tmp_path / "out.mp4.json").read_text())
    assert report["edits"][0]["calibration"] == entry["calibration"]


def test_a_strip_shows_seven_strengths_of_every_person(tmp_path: Path) -> None:
    path = tmp_path / "age.png"
    assert main(["directions", "show", "age", "-o", str(path), "--people", "2", "--backend", "tiny"]) == 0
    drawn = photo.read(path).rgb
    assert drawn.shape == (2 * 160, 7 * 160, 3)
    panels = [drawn[:160, 160 * k : 160 * (k + 1)].astype(int) for k in range(7)]
    moved = [abs(panel - panels[3]).mean() for panel in panels]
    assert moved[0] > moved[1] > moved[2] > 0 == moved[3] < moved[4] < moved[5] < moved[6]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["--attribute", "charm"], "nothing here measures 'charm'"),
        (["--attribute", "a b", *SCORER], "cannot name a direction"),
        (["--attribute", "redness", "--scorer", "nowhere:redness"], "cannot be imported"),
        (["--attribute", "redness", "--scorer", "tests.cli.test_directions_commands:broken"], "return one of each"),
        (["--attribute", "redness", *SCORER, "--method", "magic"], "choose one of ridge"),
        (["--attribute", "redness", *SCORER, "--rows", "4-8"], "FIRST-LAST of 0-7"),
        (["--attribute", "redness", *SCORER, "--free-of", "charm"], "nothing here measures 'charm'"),
    ],
)
def test_what_cannot_be_learned_is_one_line(
    wanted: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*LEARN, *wanted, "--samples", "20", "--trials", "2"]) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("error: ") and said in error and "internal" not in error
    assert not (tmp_path / "cache" / "directions").exists()
