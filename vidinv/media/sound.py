"""Convert sound that a container cannot hold: to Opus in WebM, without loss where the container has such a codec."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import av
from av.container import OutputContainer
from av.filter import Graph

_LOSSLESS = ("flac", "alac", "truehd", "mlp", "wavpack", "tta", "ape", "wmalossless", "shorten", "tak")
_PER_CHANNEL = {"libopus": 96_000, "aac": 96_000}  # bits per second
_NAMES = {"libopus": "Opus", "aac": "AAC", "alac": "ALAC", "flac": "FLAC"}
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}  # that every encoder here takes
_OPUS_RATE = 48_000


def converted_codec(form: str, codec: str, is_held: bool) -> str:
    """Return the encoder for sound of `codec` in a file of format `form`; empty if the packets are copied.

    PCM in mp4 is converted although the muxer writes it (ISO/IEC 23003-5): most players take it for noise.
    """
    is_lossless = codec.startswith("pcm_") or codec in _LOSSLESS
    if is_held and not (form == "mp4" and codec.startswith("pcm_")):
        return ""
    if form == "webm":
        return "libopus"
    if form == "matroska":
        return "flac"
    return "alac" if is_lossless else "aac"


class SoundConverter:
    """Decodes one stream of sound and encodes it into `target`, a stream of the output."""

    def __init__(self, target: Any, graph: Graph, decoder: Any, description: str) -> None:
        self.target = target
        self.description = description
        self._graph, self._decoder = graph, decoder
        self._is_begun = False
        self._end = 0  # ticks of the target, of the last packet

    @classmethod
    def to(cls, result: OutputContainer, stream: Any, codec: str) -> SoundConverter | None:
        """Add a stream of `codec` for the sound of `stream` to `result`; None if no decoder reads it."""
        context = stream.codec_context
        if context is None or not context.sample_rate or not context.layout.nb_channels:
            return None
        layout = _LAYOUTS.get(context.layout.nb_channels, "stereo")
        rate = _OPUS_RATE if codec == "libopus" else context.sample_rate
        sample_format = _sample_format(codec, context.format.name)
        target: Any = result.add_stream(codec, rate=rate)
        target.codec_context.layout = layout
        target.codec_context.format = sample_format
        target.time_base = target.codec_context.time_base = Fraction(1, rate)
        if codec in _PER_CHANNEL:
            target.codec_context.bit_rate = _PER_CHANNEL[codec] * target.codec_context.layout.nb_channels
        graph = Graph()
        chain = [
            graph.add_abuffer(template=stream),
            graph.add("aresample", f"async=1:osr={rate}"),
            graph.add("aformat", f"sample_fmts={sample_format}:sample_rates={rate}:channel_layouts={layout}"),
            graph.add("abuffersink"),
        ]
        graph.link_nodes(*chain).configure()
        depth = {"s16p": " of 16 bits", "s16": " of 16 bits", "s32p": " of 24 bits", "s32": " of 24 bits"}
        return cls(target, graph, context, _NAMES[codec] + (depth[sample_format] if codec not in _PER_CHANNEL else ""))

    def take(self, packet: Any) -> list[Any]:
        """Return the packets that the encoder has made of the sound up to `packet`, whose damage is passed over."""
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return []
        for frame in frames:
            self._begin()
            self._graph.push(frame)
        return self._timed(self._encoded()) if frames else []

    def finish(self) -> list[Any]:
        """Return the last packets."""
        if not self._is_begun:
            return []
        self._graph.push(None)
        return self._timed([*self._encoded(), *self.target.encode(None)])

    def _timed(self, packets: list[Any]) -> list[Any]:
        """Give times to the last packets, to which some encoders give none: each follows the packet before it."""
        for packet in packets:
            if packet.pts is None:
                packet.pts = packet.dts = self._end
            packet.duration = packet.duration or self.target.codec_context.frame_size
            self._end = packet.pts + packet.duration
        return packets

    def _begin(self) -> None:
        if not self._is_begun and self.target.codec_context.frame_size:
            self._graph.set_audio_frame_size(self.target.codec_context.frame_size)
        self._is_begun = True

    def _encoded(self) -> list[Any]:
        made: list[Any] = []
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return made
            made += self.target.encode(frame)


def _sample_format(codec: str, source: str) -> str:
    """Return the encoder's sample format: 16 bits where the source has no more, else 24 (in 32) or float."""
    is_deep = not source.startswith(("s16", "u8"))
    return {
        "libopus": "flt",
        "aac": "fltp",
        "alac": "s32p" if is_deep else "s16p",
        "flac": "s32" if source.startswith("s32") else "s16",
    }[codec]
