"""`vidinv doctor` and `--version`: what is there, what is missing and how to get it."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import pytest

from vidinv import extras
from vidinv.bench import self_check
from vidinv.cli.main import main


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"vidinv {metadata.version('vidinv')}\n"


def test_missing_weights_and_extras_are_listed_with_how_to_get_them(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(extras, "is_installed", lambda module: module != "decord")
    assert main(["doctor", "--quick", "--json", "-"]) == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["findings"]}
    assert found["[decord]"]["state"] == "missing"
    assert found["[decord]"]["remedy"] == 'pip install "vidinv[decord]"'
    assert found["[onnx]"]["state"] == "ok"
    assert found["weights"]["state"] == "missing" and "vidinv weights pull" in found["weights"]["remedy"]
    assert not empty_cache.exists()  # it looks, and makes nothing


def test_a_damaged_part_is_a_problem_and_exits_1(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_check.converted, "state", lambda entry: "damaged")
    assert main(["doctor", "--quick"]) == 1


def test_the_small_job_edits_a_clip_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_cache: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    found = self_check.try_job()
    assert found.state == "ok" and found.text.startswith("12 frames edited")
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_fails_is_a_problem(monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> None:
    def fail(request: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(self_check.video_job, "run", fail)
    found = self_check.try_job()
    assert found.state == "problem" and "no space" in found.text
