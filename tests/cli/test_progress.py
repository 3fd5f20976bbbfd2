"""What a job shows of itself: a bar with its time left, JSON lines, the last words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest

from tests.helpers.runs import TINY
from vidinv import progress
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.cli.progress import show
from vidinv.report import summary
from vidinv.trainers.core.early_stopping import SharedPhase


def test_a_bar_knows_the_time_left_also_when_a_batch_takes_minutes() -> None:
    now = [0.0]
    with progress.ProgressBar(clock=lambda: now[0]) as bar:
        bar.phase("render", 100)
        for _ in range(3):
            now[0] += 200.0
            bar.advance(10)
        left = bar.bars.tasks[0].time_remaining
        assert left == pytest.approx(70 * 20.0)


def test_json_lines_give_the_time_left(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = progress.JsonLines()
    lines.phase("render", 140, done_before=100)  # a resumed job: what was done before says nothing of the rate
    now[0] = 5.0
    lines.advance(10)
    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert last["frame"] == 110 and last["fps"] == 2.0 and last["left_s"] == 15.0


def test_a_bar_says_a_path_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    path = "made " + "long/" * 30 + "Talk [dQw4w9WgXcQ] [/x] :smile:.mp4"
    with progress.ProgressBar() as bar:
        bar.say(path)
    assert path in capsys.readouterr().err


def test_a_failure_is_said_whatever_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("none", "bar", None):
        with show(kind) as shown:
            shown.fail("failed: row 1, talk.mp4")
        assert "failed: row 1, talk.mp4" in capsys.readouterr().err
    with show("json") as shown:
        shown.fail("failed: row 1")
    assert json.loads(capsys.readouterr().err) == {"event": "failure", "text": "failed: row 1"}


def test_without_a_bar_the_lines_of_text_are_still_printed(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in ("none", None):  # None: no terminal here
        with show(kind) as shown:
            shown.phase("render", 4)
            shown.advance(4)
            shown.say("warning: no room for subtitles")
        assert capsys.readouterr().err == "warning: no room for subtitles\n"


@pytest.mark.parametrize("kind", ["none", "bar", "json", None])
def test_quiet_leaves_only_errors(kind: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    with show(kind, quiet=True) as shown:
        shown.phase("render", 4)
        shown.advance(4)
        shown.say("made out.mp4")
        shown.fail("failed: row 1")
    assert capsys.readouterr().err == "failed: row 1\n"


def test_a_run_without_a_terminal_says_what_was_lost_and_what_was_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=6)
    assert main(["run", str(clip), "--edit", "age+2", "-o", str(tmp_path / "out.mkv"), *TINY]) == 0
    printed = capsys.readouterr()
    assert printed.out == "" and f"made {tmp_path / 'out.mkv'}" in printed.err
    assert main(["run", str(clip), "--edit", "age+2", "-o", str(tmp_path / "q.mkv"), "-q", *TINY]) == 0
    assert capsys.readouterr().err == ""


def test_the_last_words_name_the_files_the_likeness_and_the_warnings() -> None:
    means = {"edit_mean": 0.789, "inversion_mean": 0.97}
    report = {
        "identity": {"arcface": means, "lightcnn": {"edit_mean": 0.7, "inversion_mean": 0.9}},
        "warnings": ["no room for subtitles"],
    }
    first, last = summary.summary_lines(report, [Path("out/older.mp4"), Path("older.codes")])
    assert first == "warning: no room for subtitles"
    assert last.startswith("made out/older.mp4, older.codes; ")
    assert "ArcFace 0.79 (inversion 0.97), LightCNN 0.70 (inversion 0.90)" in last


def test_a_run_that_touched_no_face_names_its_file_alone() -> None:
    nothing = {"edit_mean": None, "inversion_mean": None}
    report = {"identity": {"arcface": nothing, "lightcnn": nothing}}
    assert summary.summary_lines(report, [Path("out/copy.mp4")]) == ["made out/copy.mp4"]
    assert summary.summary_lines({}, [Path("codes")]) == ["made codes"]


def test_a_bar_outside_a_with_starts_with_its_phase_and_ends_when_it_is_closed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    bar = progress.ProgressBar(unit="images")
    bar.phase("training", 40, 10)
    bar.advance(30)
    bar.close()
    shown = capsys.readouterr().err
    assert "training" in shown and "40/40" in shown and "images" in shown


def test_a_training_in_several_parts_is_one_phase() -> None:
    class Heard(progress.SilentProgress):
        phases: ClassVar[list[tuple[str, int, int]]] = []
        count = 0

        def phase(self, name: str, total: int, done_before: int = 0) -> None:
            self.phases.append((name, total, done_before))

        def advance(self, count: int) -> None:
            self.count += count

    heard = Heard()
    whole = SharedPhase(heard, 30)
    for part in range(3):
        whole.phase("training", 10 * part + 10, 10 * part)
        whole.advance(10)
    whole.close()
    assert heard.phases == [("training", 30, 0)] and heard.count == 30
