"""An edit that names a value, in whole runs by the tiny backend: it is reached, kept on resume, or said to be far."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.runs import TINY
from vidinv.backends import registry as backends
from vidinv.backends import tiny
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.editing.plan import ResolvedEdit
from vidinv.faces import alignment, crops, pictures
from vidinv.frames import Edit
from vidinv.jobs import target_strength
from vidinv.media import reader

SHOWN = ["--set", "mask.residual_good=1", "--set", "mask.residual_bad=2", "--codec", "lossless"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture that stands still, so that any frames of it stand for all."""
    picture = np.random.default_rng(0).integers(60, 200, (64, 96, 3), np.uint8)
    return make_clip(tmp_path_factory.mktemp("aim") / "in.mkv", durations_ms=[40] * 8, image=lambda i: picture)


def run(clip: Path, edit: str, output: Path, *more: str) -> dict[str, Any]:
    assert main(["run", str(clip), "--edit", edit, "-o", str(output), *TINY, *SHOWN, *more]) == 0
    report = json.loads(output.with_name(output.name + ".json").read_text())
    assert isinstance(report, dict)
    return report


def age(video: Path) -> float:
    """What the tiny backend measures of its face's crop; mean over the frames."""
    found = []
    for batch in reader.read_frames(video, batch=1):
        (points,) = backends.choose_backend("tiny").locator("")(pictures.picture(batch), 0, None).landmarks
        rgb = crops.crop(batch.native[0], batch.colour, alignment.to_frame(points, 64), 64)
        found.append(tiny.measure(torch.from_numpy(rgb).permute(2, 0, 1)[None] * 2 - 1)["age"][0])
    return float(sum(found) / len(found))


def test_the_value_is_found_in_the_output(clip: Path, tmp_path: Path) -> None:
    young, old = (run(clip, f"age{change}", tmp_path / f"{name}.mkv") for name, change in (("a", "-2"), ("b", "+2")))
    reach = [age(tmp_path / f"{name}.mkv") for name in "ab"]
    wanted = round(reach[0] + 0.7 * (reach[1] - reach[0]), 2)
    report = run(clip, f"age={wanted}", tmp_path / "c.mkv")
    (edit,) = report["edits"]
    assert edit["target"] == wanted and -3 <= edit["strength"] <= 3
    assert not any("age" in line for line in report["warnings"])
    assert abs(age(tmp_path / "c.mkv") - wanted) < 0.3 * abs(reach[1] - reach[0])
    assert young["edits"][0]["target"] is None and old["edits"][0]["strength"] == 2


def test_a_value_out_of_reach_is_said(clip: Path, tmp_path: Path) -> None:
    report = run(clip, "age=900", tmp_path / "out.mkv")
    (warning,) = (line for line in report["warnings"] if "age" in line)
    assert "age=900 of person 0 is out of reach" in warning and "years at strength +3.00" in warning


def test_what_nothing_measures_is_refused(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(clip), "--edit", "smile=3", *TINY]) == 2
    assert "no network measures smile" in capsys.readouterr().err


def test_the_strengths_of_a_job_that_goes_on_are_those_it_found(tmp_path: Path) -> None:
    path, asked = tmp_path / "aim.json", ResolvedEdit(tiny.direction("age"), Edit("age", 0.0, target=20.0, track=0))
    sought = ResolvedEdit(asked.direction, Edit("age", 1.25, target=20.0, track=0, reached=19.5))
    first = target_strength.load_or_solve(path, [asked], lambda: ([sought], ["far"]))

    def again() -> tuple[list[Any], list[str]]:
        raise AssertionError("sought anew")

    assert first == ([sought], ["far"])
    (kept,), warnings = target_strength.load_or_solve(path, [asked], again)
    assert kept.edit == sought.edit and warnings == ["far"]


def test_zero_is_a_value(clip: Path, tmp_path: Path) -> None:
    report = run(clip, "age=0", tmp_path / "out.mkv")
    assert report["edits"][0]["target"] == 0 and report["edits"][0]["reached"] is not None


def test_a_value_is_sought_where_it_will_be_seen(clip: Path, tmp_path: Path) -> None:
    hidden = ["--set", "mask.residual_good=0.0001", "--set", "mask.residual_bad=0.0002"]  # no inversion is good enough
    report = run(clip, "age=900", tmp_path / "out.mkv", *hidden)
    (edit,) = report["edits"]
    assert edit["reached"] == pytest.approx(age(clip), abs=0.5) and "out of reach" in report["warnings"][0]


class Counting(target_strength.TargetEvaluator):
    """A judge that counts, of faces whose age is 40 and 10 more for every strength."""

    def value(self, name: str, samples: Any, moves: Any) -> float:
        calls.append(samples[0].person)
        return 40.0 + 10 * sum(move.edit.strength for move in moves)


calls: list[int] = []


def test_values_of_two_people_are_sought_once_and_of_one_person_twice() -> None:
    direction, empty = replace(tiny.direction("age"), calibration={"years": 10.0}), torch.zeros(1, 3, 8, 8)
    samples = [target_strength.SampleFace(person, empty, None) for person in (0, 1)]  # type: ignore[arg-type]
    judge = Counting(None, None, "replace", None)  # type: ignore[arg-type]

    def moves(*edits: Edit) -> list[ResolvedEdit]:
        return [ResolvedEdit(direction, edit) for edit in edits]

    calls.clear()
    found, _ = target_strength.solve_targets(
        moves(Edit("age", 0, 55.0, track=0), Edit("age", 0, 60.0, track=1)), samples, judge
    )
    assert [round(move.edit.strength, 3) for move in found] == [1.5, 2.0] and calls.count(0) == calls.count(1) == 2
    found, _ = target_strength.solve_targets(
        moves(Edit("age", 0, 55.0, track=0), Edit("age", 0.5, track=0)), samples, judge
    )
    assert round(found[0].edit.strength, 3) == 1.0  # the other one is on
