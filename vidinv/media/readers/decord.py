"""Read frames with decord (extra [decord]): 8-bit RGB, exact for H.264 only; for comparison, never the default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vidinv.extras import load_optional
from vidinv.media.probe import probe
from vidinv.media.readers.base import SHOWN, CannotRead, Decoded, eight_bit_clip, rgb_planes


def frames(path: Path, first: int, number: int | None = None) -> Iterator[Decoded]:
    """Yield every frame from index `first` on. Raises CannotRead for clips that decord reads wrongly or not at all."""
    decord = load_optional("decord", "the reader decord", instead="use the reader pyav")
    clip = eight_bit_clip(path, number)
    codec = probe(path).codec
    if codec != "h264":
        raise CannotRead(f"decord is exact on H.264 only, and this is {codec}")
    try:
        video = decord.VideoReader(str(path.absolute()), ctx=decord.cpu(0), num_threads=2)
        if len(video) != len(clip.times):
            raise CannotRead(f"decord counts {len(video)} frames of {len(clip.times)}")
        for index in range(first, len(video)):
            planes = rgb_planes(video[index].asnumpy())
            yield Decoded(index, clip.times[index], planes, SHOWN, clip.time_base, clip.display)
    except decord.DECORDError as error:
        raise CannotRead("decord cannot decode it") from error
