"""Read frames with torchcodec (extra [torchcodec]): 8-bit RGB, decoded by this machine's FFmpeg libraries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vidinv.extras import load_optional
from vidinv.media.readers.base import SHOWN, CannotRead, Decoded, eight_bit_clip, rgb_planes


def frames(path: Path, first: int, number: int | None = None) -> Iterator[Decoded]:
    """Yield every frame from index `first` on. Raises CannotRead where torchcodec alters the coded frames."""
    load_optional("torchcodec", "the reader torchcodec", instead="use the reader pyav")
    from torchcodec.decoders import VideoDecoder

    clip = eight_bit_clip(path, number)
    if clip.display.rotation or clip.display.is_mirrored:
        raise CannotRead("torchcodec rotates its frames, which vidinv processes as they are coded")
    try:
        video = VideoDecoder(str(path.absolute()), dimension_order="NHWC", seek_mode="exact", num_ffmpeg_threads=1)
        if len(video) != len(clip.times):
            raise CannotRead(f"torchcodec counts {len(video)} of {len(clip.times)} frames")
        for index in range(first, len(video)):
            frame = video.get_frame_at(index)
            if abs(frame.pts_seconds - float(clip.times[index] * clip.time_base)) > 1e-3:
                raise CannotRead(f"torchcodec puts frame {index} at {frame.pts_seconds:.3f} s")
            yield Decoded(index, clip.times[index], rgb_planes(frame.data.numpy()), SHOWN, clip.time_base, clip.display)
    except (RuntimeError, ValueError, IndexError) as error:
        raise CannotRead(f"torchcodec cannot decode it ({str(error).splitlines()[0]})") from error
