"""Read and write photos with 8 or 16 bits per sample, gray or in colour, keeping alpha and metadata.

PNG, JPEG, WebP, BMP, TIFF, AVIF, single GIFs and, with the extra [heif], HEIC are read; PNG, JPEG and WebP are written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from vidinv import fileio
from vidinv.errors import InputUnreadable, UsageError
from vidinv.frames import Array, Planes
from vidinv.media import deep_picture
from vidinv.media.photo_metadata import PhotoMetadata, read_metadata, save_options
from vidinv.media.picture_file import DEEP, opening_picture, orientation, turn_upright

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")  # of what can be written
QUALITY = 95  # of JPEG and WebP
GRAY = ("1", "L", "LA")  # Pillow's modes with one colour channel of up to 8 bits
PROFILED = ("RGB", "RGBA", "P")  # whose colour profile describes the samples that are written


@dataclass(frozen=True)
class Photo:
    """Samples and metadata of one photo, upright.

    `samples` is uint8 or uint16, [H,W,3] RGB or [H,W] gray; `alpha` is [H,W] of the same type, or None without
    transparency.
    """

    samples: Array
    alpha: Array | None = None
    metadata: PhotoMetadata = field(default_factory=PhotoMetadata)

    @property
    def rgb(self) -> Array:
        """The picture as RGB uint8 [H,W,3]."""
        shown = self.samples if self.samples.dtype == np.uint8 else ((self.samples + 128.0) / 257).astype(np.uint8)
        return np.ascontiguousarray(shown if shown.ndim == 3 else np.repeat(shown[:, :, None], 3, 2))

    def planes(self) -> Planes:
        """Return the samples as a frame's planes."""
        depth = 8 * self.samples.itemsize
        deep = "" if depth == 8 else f"{depth}le"
        if self.samples.ndim == 2:
            return Planes((self.samples,), f"gray{deep}", 0, 0, depth)
        green, blue, red = (np.ascontiguousarray(self.samples[:, :, channel]) for channel in (1, 2, 0))
        return Planes((green, blue, red), f"gbrp{deep}", 0, 0, depth)


def samples_of(planes: Planes) -> Array:
    """Return the samples that `Photo.planes` gave, [H,W,3] or [H,W]."""
    if len(planes.planes) == 1:
        return planes.planes[0]
    green, blue, red = planes.planes
    return np.ascontiguousarray(np.stack([red, green, blue], 2))


def is_photo(path: Path) -> bool:
    """Return whether the file name has a suffix that `write_photo` supports."""
    return path.suffix.lower() in SUFFIXES


def check_suffix(path: Path) -> None:
    """Raise UsageError if `write_photo` does not support the file name's suffix."""
    if not is_photo(path):
        raise UsageError(
            f"{path.name} does not have the suffix of a supported picture format",
            remedy=f"end its name with {', '.join(SUFFIXES)}",
        )


def read_photo(path: Path) -> Photo:
    """Read a photo and turn it upright by its EXIF orientation.

    A colour profile for samples other than RGB is dropped, because RGB or gray is written. Raises InputUnreadable for
    an animation, several pages or floating-point samples, and as `opening_picture` does.
    """
    with opening_picture(path) as file:
        if file.format != "MPO" and getattr(file, "is_animated", False):  # a camera's JPEG may hold a second view
            raise InputUnreadable(
                f"{path} holds several pictures", remedy="give a single one, or use `vidinv run` for an animation"
            )
        if file.mode == "F":
            raise InputUnreadable(f"{path} has floating-point samples", remedy="convert it to 8 or 16 bits first")
        # Read before the orientation: after a failure Pillow's second answer holds what the first had parsed so far.
        metadata = read_metadata(file, is_rgb=file.mode in PROFILED)
        samples, alpha = _samples(path, file)
        turned = [None if each is None else turn_upright(each, orientation(file)) for each in (samples, alpha)]
        assert turned[0] is not None
        return Photo(turned[0], turned[1], metadata)


def write_photo(path: Path, photo: Photo, made: dict[str, str], *, overwrite: bool = True) -> list[str]:
    """Write the photo atomically in the format of the file name's suffix; `made` is added to its metadata.

    PNG is lossless and keeps 16 bits; JPEG and WebP are written with 8 bits at quality 95. JPEG has no alpha. Returns
    a warning for what the format cannot hold. Raises UsageError for an unsupported suffix, and what
    `fileio.replacing` raises.
    """
    check_suffix(path)
    kind = Image.registered_extensions()[path.suffix.lower()]
    options, lost = save_options(photo.metadata, kind, made)
    if kind != "PNG":
        options["quality"] = QUALITY
        lost += ["samples of more than 8 bits"] if photo.samples.dtype != np.uint8 else []
        lost += ["transparency"] if photo.alpha is not None and kind == "JPEG" else []
    if kind == "JPEG":
        options["subsampling"] = 0
    failures = (ValueError,)  # the picture is too large, or has too much metadata, for that kind of file
    remedy = "make room, or write a .png elsewhere"
    with fileio.replacing(path, overwrite=overwrite, remedy=remedy, failures=failures) as draft:
        _image(photo, kind).save(draft, format=kind, **options)
        if kind == "PNG" and photo.samples.dtype == np.uint16:
            deep_picture.replace_png_pixels(draft, photo.samples, photo.alpha)
    return [f"{path.suffix} cannot hold {each}; left out" for each in lost]


def _image(photo: Photo, kind: str) -> Image.Image:
    """The photo with 8 bits per sample, gray where the photo and the kind of file are."""
    is_gray = photo.samples.ndim == 2 and kind != "WEBP"
    image = Image.fromarray(photo.rgb[:, :, 0] if is_gray else photo.rgb)
    if photo.alpha is not None and kind != "JPEG":
        alpha = photo.alpha if photo.alpha.dtype == np.uint8 else (photo.alpha >> 8).astype(np.uint8)
        image.putalpha(Image.fromarray(alpha))
    return image


def _samples(path: Path, file: Image.Image) -> tuple[Array, Array | None]:
    """The samples and the alpha of an open picture, not turned."""
    if deep_picture.is_deep(path, file) or file.mode in DEEP:
        return deep_picture.read_deep(path)
    alpha = None
    if file.has_transparency_data:
        alpha = np.asarray((file if file.mode == "RGBA" else file.convert("RGBA")).getchannel("A"))
    mode = "L" if file.mode in GRAY else "RGB"
    return np.array(file.convert(mode)), alpha  # a copy, which may be written to
