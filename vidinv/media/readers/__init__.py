"""The readers by name. Each yields the frames of a file from one index on, or says that it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from vidinv.media.readers import decord, pyav, torchcodec
from vidinv.media.readers.base import Decoded

Frames = Callable[[Path, int], Iterator[Decoded]]
READERS: dict[str, Frames] = {"pyav": pyav.frames, "decord": decord.frames, "torchcodec": torchcodec.frames}
