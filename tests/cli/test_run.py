"""The main job on made clips with the tiny backend: exit codes, exactness, resume, the report."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.observed_progress import ObservedProgress
from tests.helpers.runs import STEPS, TINY, document, face_rows, frames_of, left_behind, seconds
from vidinv import config as configs
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.encoders import encoder_file
from vidinv.generators import mobile_stylegan
from vidinv.jobs import video_job
from vidinv.jobs.request import Request
from vidinv.media import probe


def run(*arguments: object) -> int:
    return main(["run", *map(str, arguments)])


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=12)


@pytest.mark.parametrize("edit", ["aeg+2", "age+x"])
def test_a_wrong_edit_exits_2(clip: Path, edit: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(clip, "--edit", edit, *TINY) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1 and "age" in said
    assert not left_behind(clip.parent, but={"in.mp4"})


def test_without_an_edit_it_asks_for_one(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(clip, "-o", clip.with_name("out.mp4"), *TINY) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: no edit is given") and "--edit age+2" in printed
    assert not left_behind(clip.parent, but={"in.mp4"})
    assert run(clip, "-o", clip.with_name("out.mp4"), "--preview", *TINY) == 0


@pytest.mark.parametrize("content", [b"hello, this is text\n" * 50, b""])
def test_what_is_not_a_video_exits_3(tmp_path: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "text.mp4"
    source.write_bytes(content)
    assert run(source, "--edit", "age+2", *TINY) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert not left_behind(tmp_path, but={"text.mp4"})


def test_a_truncated_file_exits_3(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert run(clip, "--edit", "age+2", *TINY) == 3
    assert not left_behind(clip.parent, but={"in.mp4"})


def test_a_clip_without_a_face_exits_4(tmp_path: Path) -> None:
    black = make_clip(tmp_path / "in.mp4", frames=6, image=lambda i: np.zeros((64, 96, 3), np.uint8))
    assert run(black, "--edit", "age+2", *TINY) == 4
    assert not left_behind(tmp_path, but={"in.mp4"})


def test_a_missing_output_folder_exits_7(clip: Path) -> None:
    assert run(clip, "--edit", "age+2", "-o", clip.parent / "none" / "out.mp4", *TINY) == 7


def test_an_unwritable_output_folder_exits_7(clip: Path) -> None:
    assert run(clip, "--edit", "age+2", "-o", "/proc/out.mp4", *TINY) == 7


def test_an_output_that_exists_exits_7_and_is_kept(clip: Path) -> None:
    output = clip.parent / "out.mp4"
    output.write_bytes(b"mine")
    assert run(clip, "--edit", "age+2", "-o", output, *TINY) == 7
    assert output.read_bytes() == b"mine"
    assert run(clip, "--edit", "age+2", "-o", output, "--overwrite", *TINY) == 0


def test_no_edit_and_lossless_is_bit_exact(clip: Path) -> None:
    output = clip.parent / "out.mkv"
    clip = make_clip(clip.parent / "in.mkv", frames=12)
    assert run(clip, "--edit", "age+0", "-o", output, "--codec", "lossless", *TINY) == 0
    before, after = frames_of(clip), frames_of(output)
    assert len(before) == len(after)
    for (_, old), (_, new) in zip(before, after, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p"])
def test_an_edit_changes_the_face_and_no_sample_outside_the_masks_rectangle(tmp_path: Path, pix_fmt: str) -> None:
    clip, output = make_clip(tmp_path / "in.mp4", frames=6, pix_fmt=pix_fmt), tmp_path / "out.mp4"
    settings = ["--set", "mask.residual_good=1", "--set", "mask.residual_bad=2"]
    assert run(clip, "--edit", "age+3", "-o", output, "--codec", "lossless", *TINY, *settings) == 0
    rows = face_rows(json.loads((tmp_path / "out.mp4.json").read_text())["identity"]["tracks"][0])
    for (_, old), (_, new), row in zip(frames_of(clip), frames_of(output), rows, strict=True):
        x0, y0, x1, y1 = row["rect"]
        assert 0 < x0 < x1 < 96 and 0 < y0 < y1 <= 64
        for before, after in zip(old, new, strict=True):
            right, down = old[0].shape[1] // before.shape[1], old[0].shape[0] // before.shape[0]
            inside = np.zeros(before.shape, bool)
            inside[y0 // down : y1 // down, x0 // right : x1 // right] = True
            assert np.array_equal(before[~inside], after[~inside])
            assert (before[inside] != after[inside]).any()


def test_a_variable_frame_rate_keeps_every_timestamp(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", durations_ms=[33, 33, 84, 33, 120] * 4)
    assert run(source, "--edit", "smile+1", "-o", tmp_path / "out.mp4", *TINY) == 0
    assert seconds(tmp_path / "out.mp4") == seconds(source)


def test_the_report_has_the_fields_of_the_design(clip: Path) -> None:
    output = clip.parent / "out.mp4"
    assert run(clip, "--edit", "age+2", "-o", output, "--preview", *TINY) == 0
    report = document(clip.parent / "out.mp4.json")
    assert report["frames"] == report["faces"] == 12
    assert set(report["identity"]) == {"arcface", "lightcnn", "tracks"}
    assert len(face_rows(report["identity"]["tracks"][0])) == 12
    assert {"busy_s", "wait_s"} <= set(report["timing"]["stages"]["blend"])
    assert not left_behind(clip.parent, but={"in.mp4", "out.mp4", "out.mp4.json", "out.mp4.preview.mp4"})
    assert len(seconds(clip.parent / "out.mp4.preview.mp4")) == 12


def test_a_finished_run_says_what_it_made(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = clip.parent / "out.mp4"
    assert run(clip, "--edit", "age+2", "-o", output, *TINY, "--progress", "json") == 0
    last = json.loads(capsys.readouterr().err.splitlines()[-1])
    report = json.loads((clip.parent / "out.mp4.json").read_text())
    assert last["event"] == "say"
    assert str(output) in last["text"]
    assert f"ArcFace {report['identity']['arcface']['edit_mean']:.2f}" in last["text"]


def test_an_interrupted_job_resumes_to_the_same_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=20)
    changes = ["backend=tiny", "crop=64", *(key for key in STEPS if key != "--set")]
    settings = configs.load_run_config("balanced", [*changes, "segment_seconds=0.2", "codec=lossless"])
    settings = configs.with_edits(settings, ["age+3"])
    whole, killed = tmp_path / "whole.mp4", tmp_path / "killed.mp4"
    video_job.run(Request(source, whole, settings))
    seen = 0

    def interrupt(phase: str, frames: int) -> None:
        nonlocal seen
        seen += frames if phase == "render" else 0
        if seen >= 11:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        video_job.run(Request(source, killed, settings), ObservedProgress(on_advance=interrupt))
    assert not killed.exists() and (tmp_path / "killed.mp4.vidinv" / "journal.jsonl").exists()
    with pytest.raises(Exception, match="unfinished job"):
        video_job.run(Request(source, killed, configs.with_edits(settings, ["smile+1"])))
    resumed = video_job.run(Request(source, killed, settings))
    assert resumed["faces"] == 20
    for (pts, old), (same, new) in zip(frames_of(whole), frames_of(killed), strict=True):
        assert pts == same and all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))


@pytest.mark.slow
def test_a_job_killed_without_warning_resumes_to_the_same_output(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=60)
    options = ["--edit", "age+3", "--set", "segment_seconds=0.2", "--codec", "lossless", "--progress", "none", *TINY]
    whole, killed = tmp_path / "whole.mp4", tmp_path / "killed.mp4"
    assert run(source, "-o", whole, *options) == 0
    command = [sys.executable, "-m", "vidinv", "run", str(source), "-o", str(killed), *options]
    process = subprocess.Popen(command)
    journal = tmp_path / "killed.mp4.vidinv" / "journal.jsonl"
    while process.poll() is None and (not journal.exists() or journal.read_text().count("\n") < 2):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and not killed.exists()
    kept = journal.read_text().count("\n")
    assert kept >= 2
    assert run(source, "-o", killed, *options) == 0
    assert json.loads((tmp_path / "killed.mp4.json").read_text())["faces"] == 60
    for (pts, old), (same, new) in zip(frames_of(whole), frames_of(killed), strict=True):
        assert pts == same and all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))


@pytest.mark.parametrize("rotation", [90, 180])
def test_a_rotated_clip_is_edited_upright_and_stays_rotated(tmp_path: Path, rotation: int) -> None:
    clip, output = make_clip(tmp_path / "in.mp4", frames=4, rotation=rotation), tmp_path / "out.mp4"
    assert run(clip, "--edit", "age+3", "-o", output, "--codec", "lossless", *TINY) == 0
    assert probe.probe(output).rotation == probe.probe(clip).rotation == rotation
    assert [pts for pts, _ in frames_of(output)] == [pts for pts, _ in frames_of(clip)]


def test_an_analysis_by_decord_gives_the_same_output(clip: Path) -> None:
    pytest.importorskip("decord", reason="the extra [decord] is not installed")
    options = ["--edit", "age+3", "--codec", "lossless", *TINY]
    one, other = clip.parent / "one.mp4", clip.parent / "other.mp4"
    assert run(clip, "-o", one, *options) == 0
    assert run(clip, "-o", other, *options, "--set", "reader=decord") == 0
    for (_, old), (_, new) in zip(frames_of(one), frames_of(other), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(old, new, strict=True))


def test_a_run_with_an_encoder_of_ones_own_uses_it_and_says_so(clip: Path) -> None:
    tiny = mobile_stylegan.tiny()
    torch.manual_seed(3)
    state = encoder_file.build_encoder("light", tiny, 16).state_dict()
    own = encoder_file.write_encoder(
        clip.parent / "encoder.safetensors", state, encoder_file.EncoderFacts("light", tiny.space, 16)
    )
    shown = ["--set", "mask.residual_good=1", "--set", "mask.residual_bad=2"]
    for name, options in (("shipped", shown), ("own", [*shown, "--encoder", own])):
        assert run(clip, "--edit", "age+2", "-o", clip.parent / f"{name}.mp4", *TINY, *options) == 0
    first, second = (frames_of(clip.parent / f"{name}.mp4")[5][1][0] for name in ("shipped", "own"))
    assert (first != second).any()
    weights = json.loads((clip.parent / "own.mp4.json").read_text())["weights"]
    assert weights == {"encoder": hashlib.sha256(own.read_bytes()).hexdigest()}


def test_an_encoder_of_another_generator_exits_2(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = encoder_file.write_encoder(
        clip.parent / "e.safetensors", {"a": torch.zeros(1)}, encoder_file.EncoderFacts("light", "other-w", 16)
    )
    assert run(clip, "--edit", "age+2", "-o", clip.parent / "out.mp4", *TINY, "--encoder", other) == 2
    assert "other-w" in capsys.readouterr().err
    assert not left_behind(clip.parent, but={"in.mp4", "e.safetensors"})


def test_an_unknown_landmark_source_exits_2(clip: Path) -> None:
    assert run(clip, "--edit", "age+3", *TINY, "--set", "landmarks=dlib") == 2
