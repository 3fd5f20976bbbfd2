"""Times that jump in mid-file or begin before 0: all frames and all sound come out, together, and a warning says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers import ffprobe
from tests.helpers.runs import TINY, edited, report_of
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main


def recording(folder: Path, name: str, *options: object, size: tuple[int, int] = (96, 64), frames: int = 8) -> Path:
    """A transport or program stream of a few frames with sound."""
    clip = make_clip(folder / "plain.mp4", size=size, frames=frames)
    made = folder / name
    coding = ["-c", "copy"] if name.endswith(".ts") else ["-c:v", "mpeg2video", "-q:v", 2, "-c:a", "mp2", "-f", "vob"]
    ffprobe.ffmpeg("-i", clip, *coding, *options, made)
    return made


def joined(folder: Path, name: str, *parts: Path) -> Path:
    made = folder / name
    made.write_bytes(b"".join(part.read_bytes() for part in parts))
    return made


def times(path: Path, which: str) -> np.ndarray:
    return np.array([pts for pts, _, _ in ffprobe.packets(path, which)])


@pytest.mark.parametrize("kind,suffix", [(".ts", ".mp4"), (".ts", ".mkv"), (".vob", ".mkv")])
def test_joined_recordings_keep_every_frame_and_all_sound(tmp_path: Path, kind: str, suffix: str) -> None:
    one = recording(tmp_path, f"one{kind}")
    source = joined(tmp_path, f"in{kind}", one, one, one)
    output = edited(source, tmp_path / f"out{suffix}")
    picture, sound = np.sort(times(output, "v:0")), times(output, "a:0")
    assert len(picture) == 24 and len(sound) == 3 * len(times(one, "a:0"))
    assert (np.diff(picture) > 0.02).all() and (np.diff(sound) > 0.01).all()
    assert np.ptp(picture) < 1.2  # the parts follow each other
    apart = [picture[8 * k] - sound[k * len(sound) // 3] for k in range(3)]
    assert np.allclose(apart, min(times(one, "v:0")) - min(times(one, "a:0")), atol=0.002)
    said = [line for line in report_of(output)["warnings"] if "time jumps back by" in line]
    assert len(said) == 1 and said[0].count("back by") == 2


def test_a_recording_that_jumps_ahead_is_carried_on_without_the_hole(tmp_path: Path) -> None:
    one = recording(tmp_path, "one.ts")
    later = recording(tmp_path, "later.ts", "-output_ts_offset", 3600)
    output = edited(joined(tmp_path, "in.ts", one, later), tmp_path / "out.mp4")
    assert len(times(output, "v:0")) == 16 and np.ptp(times(output, "v:0")) < 1.2
    assert any("ahead by" in line for line in report_of(output)["warnings"])


def test_a_second_part_of_another_size_is_refused_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parts = recording(tmp_path, "one.ts"), recording(tmp_path, "two.ts", size=(128, 64))
    source = joined(tmp_path, "in.ts", *parts)
    assert main(["run", str(source), "--edit", "age+2", "-o", str(tmp_path / "out.mp4"), *TINY]) == 3
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and "changes from 96x64" in said[0] and "to 128x64" in said[0]
    begin = float(said[0].split(" at ")[1].split(" s")[0]) - min(times(parts[0], "v:0"))
    assert begin == pytest.approx(0.32, abs=0.06)  # where the first part ends
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm"])
def test_streams_that_begin_before_0_move_together(tmp_path: Path, suffix: str) -> None:
    source = recording(tmp_path, "in.ts", "-output_ts_offset", 95443.60, "-muxdelay", 0)
    assert min(times(source, "v:0")) < 0 and min(times(source, "a:0")) < 0
    output = edited(source, tmp_path / f"out{suffix}")
    before, after = (np.sort(times(path, "v:0")) for path in (source, output))
    heard = (ffprobe.probe(path, "-select_streams", "a:0", "-show_frames")["frames"] for path in (source, output))
    old, new = (float(frames[0]["pts_time"]) for frames in heard)
    assert len(after) == len(before) and after[0] >= 0 and new >= -0.001  # nothing is hidden by an edit list
    assert after[0] - new == pytest.approx(before[0] - old, abs=0.0025)
    assert np.allclose(np.diff(after), np.diff(before), atol=0.0015)
    assert any("begins before 0" in line for line in report_of(output)["warnings"])
