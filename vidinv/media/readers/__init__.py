"""Registry of frame readers: each yields the frames of one video stream from an index on, or raises CannotRead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from vidinv.media.readers import decord, pyav, torchcodec
from vidinv.media.readers.base import Decoded

Frames = Callable[[Path, int, int | None], Iterator[Decoded]]
READERS: dict[str, Frames] = {"pyav": pyav.frames, "decord": decord.frames, "torchcodec": torchcodec.frames}
