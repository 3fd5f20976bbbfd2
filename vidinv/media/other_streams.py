"""Pass on the streams other than the edited video: copied packet by packet, or sound converted for the container."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Protocol

import av
from av.container import InputContainer, OutputContainer

from vidinv.media.sound import SoundConverter, converted_codec
from vidinv.media.source import is_cover, read_packets

ISO = ("mp4", "mov")
_MOST_REORDERED = 32  # packets held until one has a decoding time; codecs reorder 16 frames at most
_EMPTY_DESCRIPTION = 16  # bytes of an `stsd` box without an entry
Timed = tuple[float, Any]  # dts in seconds, packet ready for the muxer


class Passage(Protocol):
    """One stream on its way into the output: `take` and `finish` return the packets that are ready for the muxer."""

    def take(self, packet: Any) -> list[Any]: ...

    def finish(self) -> list[Any]: ...


@dataclass(frozen=True)
class OutputFile:
    """The container that is written: its muxer's name and the output's suffix, for warnings."""

    container: OutputContainer
    form: str
    suffix: str


def add_stream(output: OutputFile, stream: Any, warnings: list[str]) -> Passage | None:
    """Add `stream` to the output and return its passage; None if the container cannot hold it in any form.

    `warnings` receive what is converted or left out.
    """
    is_held = _holds(output.form, stream)
    codec = converted_codec(output.form, codec_of(stream), is_held) if stream.type == "audio" else ""
    if codec:
        converter = SoundConverter.to(output.container, stream, codec)
        if converter is not None:
            _copy_properties(stream, converter.target)
            problem = f"{output.suffix} cannot hold" if not is_held else f"few players of {output.suffix} play"
            warnings.append(f"{problem} {name_of(stream)}; converted to {converter.description}")
            return converter
    elif is_held:
        copy = output.container.add_stream_from_template(stream, opaque=True)
        _copy_properties(stream, copy)
        return _Copy(copy)
    warnings.append(f"{output.suffix} cannot hold {name_of(stream)}; left out")
    return None


def _copy_properties(stream: Any, target: Any) -> None:
    target.metadata.update(stream.metadata)
    target.disposition = stream.disposition


def name_of(stream: Any) -> str:
    """What a person knows a stream by: its kind, number, codec (or an attachment's file) and language."""
    language = stream.metadata.get("language", "und")
    named = str(stream.metadata.get("filename") or codec_of(stream))
    named = named if language == "und" else f"{named}, {language}"
    return f"{stream.type} stream #{stream.index} ({named})"


def codec_of(stream: Any) -> str:
    """Return the codec's name by FFmpeg."""
    if stream.codec_context is not None:
        return str(stream.codec_context.codec.canonical_name)
    return str(getattr(stream, "name", None) or "unknown codec")  # PyAV has no name for a stream of unknown type


def _holds(form: str, stream: Any) -> bool:
    """Return whether a file of format `form` can hold `stream`: whether the muxer writes a header for it alone.

    mp4 and mov must also describe the samples of a data track, which FFmpeg does for few kinds.
    """
    if stream.type == "unknown":
        return False
    file = BytesIO()
    trial = av.open(file, "w", format=form)
    try:
        copy = trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
        if form not in ISO or stream.type != "data":
            return True
        packet = av.Packet(bytes(8))
        packet.pts, packet.dts, packet.duration, packet.time_base, packet.stream = 0, 0, 1, stream.time_base, copy
        trial.mux(packet)
        trial.close()
    except (av.FFmpegError, ValueError, OSError):
        return False
    written = file.getvalue()
    place = written.find(b"stsd")
    return place >= 4 and int.from_bytes(written[place - 4 : place], "big") > _EMPTY_DESCRIPTION


class _Copy:
    """Copies packets, and gives decoding times to those that the source's container stores without (Matroska)."""

    def __init__(self, target: Any) -> None:
        self.target = target
        self._held: list[Any] | None = []  # None: the stream's decoding times are known

    def take(self, packet: Any) -> list[Any]:
        if packet.size and is_cover(packet.stream):
            packet.pts = packet.dts = 0  # the packet has no time
        if not packet.size and packet.dts is None:  # the end of the stream
            return []
        if self._held is None:
            return [] if packet.dts is None else [packet]
        self._held.append(packet)
        return self.finish() if packet.dts is not None or len(self._held) >= _MOST_REORDERED else []

    def finish(self) -> list[Any]:
        held, self._held = self._held or [], None
        if held and held[-1].dts is None:
            _decode_early_enough([packet for packet in held if packet.pts is not None])
        elif held:
            step = min((packet.duration for packet in held if packet.duration), default=1)
            for before, packet in enumerate(reversed(held)):
                packet.dts = held[-1].dts - before * step
        return [packet for packet in held if packet.dts is not None]


def _decode_early_enough(packets: list[Any]) -> None:
    """Set the decoding times of packets that have none: their presentation times in order, as late as all allow."""
    in_order = sorted(packet.pts for packet in packets)
    early = max((time - packet.pts for time, packet in zip(in_order, packets, strict=True)), default=0)
    for time, packet in zip(in_order, packets, strict=True):
        packet.dts = time - early


def other_packets(
    origin: InputContainer, passages: dict[int, Passage], retime: Callable[[Any], None]
) -> Iterator[Timed]:
    """Yield the packets of every stream that has a passage, in file order, for the muxer.

    `retime` shifts the times of the source's packets (`vidinv.media.timeline`).
    """
    wanted = [s for s in origin.streams if s.index in passages and s.type != "attachment"]
    if not wanted:
        return
    for stream in origin.streams:
        if stream not in wanted:
            stream.discard = av.stream.Discard.all
    for packet in read_packets(origin, wanted):
        if packet is not None:  # else unreadable data, which the video's reader reports too
            retime(packet)
            passage = passages[packet.stream.index]
            yield from _timed(passage.take(packet), passage)
    for passage in passages.values():
        yield from _timed(passage.finish(), passage)


def _timed(packets: list[Any], passage: Any) -> Iterator[Timed]:
    for packet in packets:
        seconds = float(packet.dts * packet.time_base)
        packet.stream = passage.target
        yield seconds, packet


def in_order(others: Iterator[Timed], warnings: list[str]) -> Iterator[Timed]:
    """Yield packets with growing dts per stream; `warnings` name the number of damaged packets left out per stream."""
    last: dict[int, int] = {}
    lost: Counter[int] = Counter()
    for seconds, packet in others:
        stream = packet.stream
        first = last.get(stream.index, packet.dts - 1) + (stream.type in ("audio", "video"))
        if packet.dts < first or (packet.pts is not None and packet.pts < packet.dts):
            lost[stream.index] += 1
            continue
        last[stream.index] = packet.dts
        yield seconds, packet
    warnings += [f"damaged packets of stream #{index} were left out: {count}" for index, count in lost.items()]
