"""One contract for every reader: the same frames at the same times, or a word of why not and PyAV instead."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers import ffprobe
from vidinv.bench.synthetic_clip import make_clip
from vidinv.errors import InputUnreadable, UsageError
from vidinv.frames import FrameBatch
from vidinv.media import reader
from vidinv.media.colour import to_rgb
from vidinv.media.readers import READERS


@pytest.fixture(params=READERS)
def name(request: pytest.FixtureRequest) -> str:
    if request.param != "pyav":
        pytest.importorskip(request.param, reason=f"the extra [{request.param}] is not installed")
    return str(request.param)


def single(source: Path, name: str, **options: int) -> list[FrameBatch]:
    return list(reader.read_frames(source, reader=name, batch=1, **options))


CLIPS = {
    "plain": {},
    "variable": {"durations_ms": [33, 33, 84, 33, 120, 17, 50, 41]},
    "ntsc": {"rate": Fraction(30000, 1001)},
    "full range": {"full_range": True},
    "bt601": {"colour": "bt601"},
    "late": {"start": 512 * 10},
    "without sound": {"audio": False, "bframes": 0},
}
# What only PyAV gives as it is coded; the words by which others say so.
BEYOND = {
    "10 bits": ({"codec": "libx265", "pix_fmt": "yuv420p10le"}, "10 bits"),
    "alpha": ({"codec": "ffv1", "pix_fmt": "yuva420p", "alpha": True}, "alpha"),
    "interlaced": ({"options": {"x264-params": "tff=1"}}, "interlaced"),
}


@pytest.mark.parametrize("kind", CLIPS)
def test_times_and_numbers_are_those_of_ffprobe(tmp_path: Path, name: str, kind: str) -> None:
    source = make_clip(tmp_path / "in.mp4", **({"frames": 8} | CLIPS[kind]))
    batches = single(source, name)
    assert [batch.index[0] for batch in batches] == list(range(8))
    assert [float(batch.pts[0] * batch.time_base) for batch in batches] == pytest.approx(
        ffprobe.frame_times(source), abs=1e-6
    )


@pytest.mark.parametrize("kind", CLIPS)
def test_the_picture_is_pyavs(tmp_path: Path, name: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    source = make_clip(tmp_path / "in.mp4", **({"frames": 8} | CLIPS[kind]))
    for mine, known in zip(single(source, name), single(source, "pyav"), strict=True):
        (a,), (b,) = (to_rgb(batch.native[0], batch.colour)[None] for batch in (mine, known))
        assert a.shape == b.shape and np.abs(a - b).mean() < 0.02
    assert not caplog.messages


@pytest.mark.parametrize("codec,suffix", [("libx265", ".mp4"), ("libvpx-vp9", ".webm"), ("libsvtav1", ".mkv")])
def test_other_codecs_of_eight_bits_are_read_or_handed_over(
    tmp_path: Path, name: str, codec: str, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    source = make_clip(tmp_path / f"in{suffix}", frames=8, codec=codec)
    for mine, known in zip(single(source, name), single(source, "pyav"), strict=True):
        a, b = (to_rgb(batch.native[0], batch.colour) for batch in (mine, known))
        assert mine.pts == known.pts and np.abs(a - b).mean() < 0.02
    assert bool(caplog.messages) == (name == "decord")


def test_a_start_in_the_middle_keeps_the_numbers(tmp_path: Path, name: str) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=12)
    whole, part = single(source, name), single(source, name, first=7)
    assert [batch.index[0] for batch in part] == [7, 8, 9, 10, 11]
    assert [batch.pts for batch in part] == [batch.pts for batch in whole[7:]]
    for a, b in zip(part, whole[7:], strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.native[0].planes, b.native[0].planes, strict=True))


@pytest.mark.parametrize("size", [1, 3, 8, 50])
def test_batches_hold_every_frame_once(tmp_path: Path, name: str, size: int) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=10)
    batches = list(reader.read_frames(source, reader=name, batch=size))
    assert [index for batch in batches for index in batch.index] == list(range(10))
    assert all(len(batch) == size for batch in batches[:-1])


@pytest.mark.parametrize("kind", BEYOND)
def test_a_clip_beyond_a_reader_is_handed_over_loudly(
    tmp_path: Path, name: str, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    options, word = BEYOND[kind]
    source = make_clip(tmp_path / "in.mkv", **({"frames": 4} | options))
    with caplog.at_level(logging.WARNING):
        mine, known = single(source, name), single(source, "pyav")
    for a, b in zip(mine, known, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.native[0].planes, b.native[0].planes, strict=True))
    if name == "pyav":
        assert not caplog.messages and reader.refusal_reason(source, name) == ""
    else:
        assert word in caplog.messages[0] and name in caplog.messages[0] and "pyav reads it" in caplog.messages[0]
        assert reader.refusal_reason(source, name) == caplog.messages[0]


@pytest.mark.parametrize("content", [b"", b"no video at all\n" * 99])
def test_what_is_no_video_is_said_in_the_same_way(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "in.mp4").write_bytes(content)
    with pytest.raises(InputUnreadable):
        single(tmp_path / "in.mp4", name)


def test_a_missing_file_and_a_folder_are_said_in_the_same_way(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputUnreadable, match="does not exist"):
        single(tmp_path / "in.mp4", name)
    with pytest.raises(InputUnreadable, match="holds no pictures"):
        single(tmp_path, name)


def test_two_frames_at_one_time_become_one_and_the_place_is_named(tmp_path: Path) -> None:
    clip, source = make_clip(tmp_path / "clip.mkv", frames=6, codec="ffv1", audio=False), tmp_path / "in.mkv"
    with av.open(str(clip)) as given, av.open(str(source), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0], opaque=True)
        for number, packet in enumerate(p for p in given.demux(video=0) if p.dts is not None):
            packet.pts = packet.dts = 40 * (number - (number > 2))
            packet.stream = stream
            out.mux(packet)
    batches = single(source, "pyav")
    assert [batch.pts[0] for batch in batches] == [0, 40, 80, 120, 160]
    assert [gap for batch in batches for gap in batch.gaps] == [(2, 0.08, 0.12)]


def test_an_unknown_reader_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="decord"):
        reader.read_frames(tmp_path / "in.mp4", reader="ffms2")
