"""What a job shows of itself: a bar with its time left, JSON lines, the last words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vidinv.cli import progress
from vidinv.report import summary


def test_a_bar_knows_the_time_left_also_when_a_batch_takes_minutes() -> None:
    now = [0.0]
    with progress.Bar(clock=lambda: now[0]) as bar:
        bar.phase("render", 100)
        for _ in range(3):
            now[0] += 200.0
            bar.done(10)
        left = bar.bars.tasks[0].time_remaining
        assert left == pytest.approx(70 * 20.0, rel=0.35)  # rich leaves its first sample out


def test_json_lines_give_the_time_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = progress.JsonLines()
    lines.phase("render", 40)
    now[0] = 5.0
    lines.done(10)
    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert last["fps"] == 2.0
    assert last["left_s"] == 15.0


def test_the_last_words_name_the_files_the_likeness_and_the_warnings() -> None:
    means = {"edit_mean": 0.789, "inversion_mean": 0.97}
    report = {
        "output": {"path": "older.mp4", "preview": "older.mp4.preview.mp4"},
        "identity": {"arcface": means, "lightcnn": {"edit_mean": 0.7, "inversion_mean": 0.9}},
        "warnings": ["no room for subtitles"],
    }
    first, last = summary.lines(report, Path("out"))
    assert first == "warning: no room for subtitles"
    assert last.startswith("made out/older.mp4, out/older.mp4.preview.mp4; ")
    assert "ArcFace 0.79 (inversion 0.97), LightCNN 0.70 (inversion 0.90)" in last


def test_a_run_that_touched_no_face_names_its_file_alone() -> None:
    nothing = {"edit_mean": None, "inversion_mean": None}
    report = {"output": {"path": "copy.mp4"}, "identity": {"arcface": nothing, "lightcnn": nothing}}
    assert summary.lines(report, Path("out")) == ["made out/copy.mp4"]
