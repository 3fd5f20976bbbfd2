"""What a fuzz run found in damaged files: packets that no muxer takes, and streams that were not announced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from tests.helpers import ffprobe
from vidinv.bench.synthetic_clip import make_clip
from vidinv.errors import InputUnreadable
from vidinv.media import other_streams, remux, source


def packet(dts: int, pts: int | None = None, kind: str = "audio", index: int = 1) -> tuple[float, Any]:
    stream = SimpleNamespace(index=index, type=kind)
    return float(dts), SimpleNamespace(dts=dts, pts=dts if pts is None else pts, stream=stream)


def test_packets_that_go_back_in_time_are_left_out_and_counted() -> None:
    given = [packet(0), packet(10), packet(10), packet(5), packet(20, pts=19), packet(30)]
    given += [packet(7, kind="subtitle", index=2), packet(7, kind="subtitle", index=2)]  # two at once are allowed
    warnings: list[str] = []
    kept = [(each.stream.index, each.dts) for _, each in other_streams.in_order(iter(given), warnings)]
    assert kept == [(1, 0), (1, 10), (1, 30), (2, 7), (2, 7)]
    assert warnings == ["damaged packets of stream #1 were left out: 3"]


class Refusing:
    """An output container that refuses the packet of one stream at one time, as a muxer refuses a damaged one."""

    def __init__(self, result: Any, kind: str, seconds: float) -> None:
        self.result, self.kind, self.seconds = result, kind, seconds

    def __getattr__(self, name: str) -> Any:
        return getattr(self.result, name)

    def __enter__(self) -> Refusing:
        return self

    def __exit__(self, *_: object) -> None:
        self.result.close()

    def mux(self, packet: Any) -> None:
        at = float(packet.dts * packet.time_base)
        if packet.stream.type == self.kind and abs(at - self.seconds) < 0.002:
            raise av.error.InvalidDataError(1, "no")
        self.result.mux(packet)


@pytest.mark.parametrize(("kind", "stream"), [("audio", "a:0"), ("video", "v:0")])
def test_what_the_muxer_refuses_is_left_out_unless_it_is_the_picture(
    tmp_path: Path, kind: str, stream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "in.mkv", frames=12, bframes=0)
    given = ffprobe.packets(clip, stream)
    opened, third = av.open, given[2][0]

    def refusing(file: str, mode: str = "r", **options: Any) -> Any:
        container = opened(file, mode, **options)
        return Refusing(container, kind, third) if mode == "w" else container

    monkeypatch.setattr(av, "open", refusing)
    if kind == "video":
        with pytest.raises(InputUnreadable, match="cannot be copied"):
            remux.assemble([clip], clip, tmp_path / "out.mkv", metadata={})
        return
    warnings = remux.assemble([clip], clip, tmp_path / "out.mkv", metadata={})
    assert "damaged packets of other streams were left out: 1" in warnings
    assert len(ffprobe.frame_times(tmp_path / "out.mkv")) == 12
    assert len(ffprobe.packets(tmp_path / "out.mkv", stream)) == len(given) - 1


def test_a_packet_of_a_stream_that_was_not_announced_is_passed_over() -> None:
    class Container:
        def __init__(self) -> None:
            self.left = list(range(10))

        def demux(self, streams: list[Any]) -> Iterator[int]:
            while self.left:
                number = self.left.pop(0)
                if number in (3, 4, 5, 6):
                    raise IndexError("list index out of range")  # PyAV's
                yield number

    assert list(source.read_packets(Container(), [])) == [0, 1, 2, 7, 8, 9]  # type: ignore[arg-type]


def test_a_stream_of_no_known_kind_has_a_name() -> None:
    stream = SimpleNamespace(metadata={}, type="unknown", index=3, codec_context=None)
    assert other_streams.name_of(stream) == "unknown stream #3 (unknown codec)"


def test_a_few_bytes_that_declare_huge_frames_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    """A black clip of 12288x4096 pixels takes some hundred kilobytes, and gigabytes once it is decoded."""
    huge = make_clip(
        tmp_path / "huge.mp4", size=(12288, 4096), frames=1, image=lambda index: np.zeros((4096, 12288, 3), np.uint8)
    )
    with pytest.raises(InputUnreadable, match=r"declares frames of 12288x4096 pixels in \d+ bytes"):
        source.open_video(huge)
