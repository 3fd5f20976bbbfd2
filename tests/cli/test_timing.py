"""Time: what ffprobe says of every frame, packet and duration is the same of the output as of the source."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers import ffprobe
from tests.helpers.runs import TINY, edited
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main


def passed(source: Path, output: Path, *options: object) -> Path:
    assert main(["run", *map(str, (source, "-o", output, *TINY, *options))]) == 0
    return output


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("bframes", [0, 2])
def test_a_variable_rate_keeps_every_pts_and_the_last_duration(tmp_path: Path, suffix: str, bframes: int) -> None:
    steps = [33, 33, 84, 33, 120, 50, 17, 210]
    source = make_clip(tmp_path / f"in{suffix}", durations_ms=steps, bframes=bframes, audio=False)
    output = edited(source, tmp_path / f"out{suffix}")
    assert ffprobe.frame_times(output) == ffprobe.frame_times(source)
    assert [round(1000 * duration) for _, duration, _ in ffprobe.packets(output, "v:0")] == steps
    old, new = (float(ffprobe.container(path)["duration"]) for path in (source, output))
    assert new == pytest.approx(0.58) and abs(new - old) <= 0.001  # where the source's header was rounded


@pytest.mark.parametrize("rate", [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(60)], ids=str)
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_odd_rates_are_exact(tmp_path: Path, rate: Fraction, suffix: str) -> None:
    source = make_clip(tmp_path / f"in{suffix}", frames=7, rate=rate)
    output = edited(source, tmp_path / f"out{suffix}")
    old, new = ffprobe.video(source), ffprobe.video(output)
    for key in ("r_frame_rate", "avg_frame_rate", "time_base", "start_pts", "nb_frames"):
        assert new[key] == old[key]
    assert Fraction(new["avg_frame_rate"]) == rate
    assert new["duration_ts"] * Fraction(new["time_base"]) == 7 / rate
    assert ffprobe.frame_times(output) == ffprobe.frame_times(source)


def test_matroska_rounds_to_milliseconds_and_the_report_says_so(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=7, rate=Fraction(30000, 1001))
    output = edited(source, tmp_path / "out.mkv")
    late = np.array(ffprobe.frame_times(output)) - ffprobe.frame_times(source)
    assert np.ptp(late) <= 0.001  # AAC begins before 0, which Matroska has not: all streams are later by that
    assert np.allclose(late, ffprobe.packets(output, "a:0")[0][0] - ffprobe.packets(source, "a:0")[0][0], atol=0.001)
    first, second = json.loads((tmp_path / "out.mkv.json").read_text())["warnings"]
    assert "1 ms" in first and "0.021 s later" in second


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize("late", [0.0, 0.5])
def test_where_the_sound_begins_is_kept(tmp_path: Path, suffix: str, late: float) -> None:
    source = make_clip(tmp_path / f"in{suffix}", frames=30, sound_start=late)
    output = edited(source, tmp_path / f"out{suffix}")
    assert ffprobe.packets(output, "a:0") == ffprobe.packets(source, "a:0")
    old, new = (
        [(s["codec_type"], s["start_time"], s.get("duration")) for s in ffprobe.streams(path)]
        for path in (source, output)
    )
    assert new == old


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_picture_that_begins_late_stays_late(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / f"in{suffix}", frames=8, start=512 * 25)
    output = edited(source, tmp_path / f"out{suffix}")
    assert ffprobe.frame_times(output) == ffprobe.frame_times(source)
    assert ffprobe.packets(output, "a:0") == ffprobe.packets(source, "a:0")
    assert ffprobe.frame_times(output)[0] == pytest.approx(1, abs=0.1)


def test_an_edit_list_that_hides_the_first_frames_shows_the_same_frames(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mp4", frames=50, bframes=0)
    ffprobe.ffmpeg("-ss", "0.5", "-i", whole, "-c", "copy", tmp_path / "in.mp4")
    source = tmp_path / "in.mp4"
    assert len(ffprobe.packets(source, "v:0")) > len(ffprobe.frame_times(source)), "no frame is hidden: no edit list"
    output = edited(source, tmp_path / "out.mp4")
    assert ffprobe.frame_times(output) == ffprobe.frame_times(source)
    shown = [[p for p in ffprobe.packets(path, "a:0") if p[0] + p[1] > 0] for path in (source, output)]
    assert shown[0] == shown[1]


def _long_clip(path: Path) -> Path:
    """30 minutes of one frame every 30 x 1001/30000 s, with sound."""
    base, step, count = Fraction(1, 30000), 30 * 1001, 1799
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(1000, 1001), options={"preset": "ultrafast", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.time_base = stream.time_base = base
        sound = container.add_stream("aac", rate=8000, layout="mono")
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32), index % 250, np.uint8), "gray").reformat(
                format="yuv420p"
            )
            frame.pts, frame.time_base = index * step, base
            container.mux(stream.encode(frame))
            block = av.AudioFrame.from_ndarray(np.zeros((1, 8008), np.float32), "fltp", "mono")
            block.sample_rate, block.pts, block.time_base = 8000, index * 8008, Fraction(1, 8000)
            container.mux(sound.encode(block))
        container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    return path


@pytest.mark.slow
def test_nothing_drifts_over_thirty_minutes(tmp_path: Path) -> None:
    source = _long_clip(tmp_path / "in.mp4")
    output = passed(source, tmp_path / "out.mp4", "--edit", "age+0", "--set", "segment_seconds=60")
    old, new = ffprobe.frame_times(source), ffprobe.frame_times(output)
    assert new == old and len(new) == 1799 and new[-1] == pytest.approx(1798 * 1.001, abs=1e-6)
    assert ffprobe.packets(output, "a:0") == ffprobe.packets(source, "a:0")
    assert ffprobe.container(output)["duration"] == ffprobe.container(source)["duration"]
    assert ffprobe.packets(output, "v:0")[-1][1] == ffprobe.packets(source, "v:0")[-1][1]
