"""Keep the side data of frames, such as captions, and name the kinds that an output has lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from vidinv.media.source import first_frame, open_video, side_data, video_stream

# FFmpeg's names. HDR metadata are named by `vidinv.media.mastering`, the display matrix is written to the container.
_NAMES = {
    "A53_CC": "closed captions",
    "SPHERICAL": "360-degree projection",
    "STEREO3D": "stereo layout",
    "AFD": "active format description",
    "S12M_TIMECODE": "SMPTE timecode of every frame",
    "AMBIENT_VIEWING_ENVIRONMENT": "ambient viewing environment",
    "DYNAMIC_HDR_VIVID": "HDR Vivid metadata",
    "ICC_PROFILE": "ICC profile",
}
_WRITTEN = {"libx264": ("A53_CC",)}  # what an encoder writes of the side data of the frames that it is given


def names_in(path: Path, stream: int | None = None) -> list[str]:
    """Return the names of what the first frame of a video stream carries (None: the stream that is chosen)."""
    with open_video(path, stream) as container:
        frame = first_frame(container, video_stream(container, stream))
        data = {} if frame is None else side_data(frame)
        return [name for kind, name in _NAMES.items() if data.get(kind) is not None]


class Carrier:
    """Makes frames for an encoder that carry the side data of a decoded frame."""

    def __init__(self, encoder: str) -> None:
        self._kinds = _WRITTEN.get(encoder, ())
        self._graph: av.filter.Graph | None = None

    def frame_for(self, source: Any) -> av.VideoFrame | None:
        """Return a writable copy of the decoded frame `source` if it carries what the encoder writes, else None."""
        if source is None or not self._kinds:
            return None
        data = side_data(source)
        if not any(data.get(kind) is not None for kind in self._kinds):
            return None
        if self._graph is None:
            self._graph = av.filter.Graph()
            entry = self._graph.add_buffer(
                width=source.width, height=source.height, format=source.format, time_base=source.time_base
            )
            self._graph.link_nodes(entry, self._graph.add("copy"), self._graph.add("buffersink")).configure()
        self._graph.push(source)
        copy = self._graph.pull()
        assert isinstance(copy, av.VideoFrame)
        return copy
