"""Pictures that were made to run a program, to be waited for or to fill the memory end in one line, within bounds."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image, PngImagePlugin

from vidinv.cli.main import main
from vidinv.errors import InputUnreadable
from vidinv.media import photo, picture_file
from vidinv.media.source import open_video
from vidinv.provenance import statement

MOST_MEMORY, MOST_SECONDS = 1 << 30, 60  # beside what importing takes; seconds are generous, for a busy machine
READ = """
import resource, sys
from pathlib import Path
import cv2, numpy
from vidinv.errors import InputUnreadable
from vidinv.media import photo, picture_file
from vidinv.provenance import statement
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for read in (photo.read_photo, picture_file.read_rgb, statement.metadata):
    try:
        read(Path(sys.argv[1]))
        print("read")
    except InputUnreadable as error:
        print("refused:", error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n"
RGB = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">L", len(content)) + kind + content + struct.pack(">L", zlib.crc32(kind + content))


def png(path: Path, width: int, height: int, beside: bytes = b"", after: bytes = b"") -> None:
    """A black PNG, with further chunks before its pixels and after them."""
    pack = zlib.compressobj()
    row = bytes(1 + 3 * width)
    pixels = b"".join(pack.compress(row) for _ in range(height)) + pack.flush()
    head = chunk(b"IHDR", struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + beside + chunk(b"IDAT", pixels) + after + chunk(b"IEND", b""))


def overlapping_exif(entries: int, size: int) -> bytes:
    """EXIF whose entries all name the same large place."""
    rows = b"".join(struct.pack("<HHLL", 0x9000 + k % 0x6000, 3, size // 2, 8) for k in range(entries))
    return b"II*\0" + struct.pack("<LH", 8, entries) + rows + bytes(max(size - 12 * entries, 4))


def jpeg(path: Path, *segments: tuple[int, bytes]) -> None:
    """A JPEG with segments (marker, content) behind its first."""
    stream = BytesIO()
    Image.fromarray(RGB).save(stream, format="JPEG")
    rows = b"".join(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content for marker, content in segments)
    path.write_bytes(stream.getvalue()[:2] + rows + stream.getvalue()[2:])


def webp(path: Path) -> None:
    Image.fromarray(RGB).save(path, exif=b"Exif\0\0" + overlapping_exif(5000, 60_000))


def exif_text(path: Path) -> None:
    """A PNG with EXIF as ImageMagick writes it."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", "\nexif\n1\n" + overlapping_exif(5000, 60_000).hex(), zip=True)
    Image.fromarray(RGB).save(path, pnginfo=text)


LARGE_EXIF = overlapping_exif(5000, 65_000)[:65_000]
HOSTILE: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "a program": ("a.png", lambda path: path.write_bytes(POSTSCRIPT + b"0 0 64 64 rectfill showpage\n")),
    "a program without end": ("a.png", lambda path: path.write_bytes(POSTSCRIPT + b"{} loop\n")),
    "another format": ("a.png", lambda path: Image.fromarray(RGB).save(path, format="TGA")),
    "a decompression bomb": ("a.png", lambda path: png(path, 11_000, 11_000)),
    "a size that is a lie": (
        "a.png",
        lambda path: path.write_bytes(
            b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">LLBBBBB", 1 << 30, 1 << 30, 8, 2, 0, 0, 0))
        ),
    ),
    "large text": ("a.png", lambda path: png(path, 8, 8, chunk(b"iTXt", b"k\0\0\0\0\0" + bytes(1 << 25)))),
    "large text after the pixels": ("a.png", lambda path: png(path, 8, 8, b"", chunk(b"eXIf", bytes(1 << 25)))),
    "chunks without end": ("a.png", lambda path: png(path, 8, 8, b"", chunk(b"abCd", b"") * 100_000)),
    "EXIF entries that overlap, PNG": ("a.png", lambda path: png(path, 8, 8, chunk(b"eXIf", LARGE_EXIF))),
    "EXIF entries that overlap, text": ("a.png", exif_text),
    "EXIF entries that overlap, JPEG": ("a.jpg", lambda path: jpeg(path, (0xE1, b"Exif\0\0" + LARGE_EXIF))),
    "EXIF entries that overlap, WebP": ("a.webp", webp),
    "EXIF in many segments": ("a.jpg", lambda path: jpeg(path, *[(0xE1, b"Exif\0\0" + bytes(65_000))] * 200)),
    "an index of pictures that overlaps": ("a.jpg", lambda path: jpeg(path, (0xE2, b"MPF\0" + LARGE_EXIF))),
    "segments without end": ("a.jpg", lambda path: jpeg(path, *[(0xEA, bytes(65_000))] * 300)),
    "a folder": ("a.png", lambda path: path.mkdir()),
    "a pipe": ("a.png", os.mkfifo),
}

# The reader of pixels alone does not look at this EXIF, so that it may read the picture.
UNPARSED = {f"EXIF entries that overlap, {where}" for where in ("PNG", "text", "WebP")}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_picture_is_refused_by_every_reader_within_bounds(case: str, tmp_path: Path) -> None:
    name, make = HOSTILE[case]
    make(tmp_path / name)
    command = [sys.executable, "-c", READ, str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS)
    assert done.returncode == 0, (done.returncode, done.stderr[-300:])
    *said, memory = done.stdout.strip().splitlines()
    assert len(said) == 3 and name in said[0]
    if case in UNPARSED:
        said[1] = said[0]
    assert all(line.startswith("refused:") for line in said[: 2 if case == "a folder" else 3])
    assert int(memory) < MOST_MEMORY
    print(f"{case}: {int(memory) / 1e6:.0f} MB; {said[0]}")


def animation_without_its_first_frame(path: Path) -> None:
    """An animated PNG whose first picture belongs to no frame: OpenCV 5.0.0 crashes when it reads the next one."""
    stream = BytesIO()
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 40, 3), np.uint8))
    picture.save(stream, format="PNG", save_all=True, append_images=[picture.rotate(90), picture.rotate(180)])
    data, kept, at = stream.getvalue(), [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">L", data, at)
        kept.append(data[at : at + length + 12])
        at += length + 12
    first = next(place for place, part in enumerate(kept) if part[4:8] == b"fcTL")
    path.write_bytes(data[:8] + b"".join(kept[:first] + kept[first + 1 :]))


def test_a_damaged_animation_does_not_crash_the_process(tmp_path: Path) -> None:
    animation_without_its_first_frame(tmp_path / "a.png")
    done = subprocess.run([sys.executable, "-c", READ, str(tmp_path / "a.png")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-300:]


def test_a_damaged_avif_is_read_or_refused(tmp_path: Path) -> None:
    stream, chance, refused = BytesIO(), np.random.default_rng(0), 0
    Image.fromarray(RGB.repeat(4, 0).repeat(4, 1)).save(stream, format="AVIF")
    for _ in range(100):
        data = bytearray(stream.getvalue())
        for place in chance.integers(12, len(data), 3):
            data[place] ^= 1 << chance.integers(8)
        (tmp_path / "a.avif").write_bytes(data)
        try:
            picture_file.read_rgb(tmp_path / "a.avif")
        except InputUnreadable:
            refused += 1
    assert refused > 10


@pytest.mark.parametrize("transparent", [False, True])
def test_a_png_without_its_palette_is_refused(transparent: bool, tmp_path: Path) -> None:
    head = chunk(b"IHDR", struct.pack(">LLBBBBB", 2, 1, 8, 3, 0, 0, 0)) + chunk(b"tRNS", b"\0") * transparent
    pixels = chunk(b"IDAT", zlib.compress(b"\0\0\0"))
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + pixels + chunk(b"IEND", b""))
    for read in (photo.read_photo, picture_file.read_rgb):
        with pytest.raises(InputUnreadable, match="palette"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("case", ["a program", "a program without end", "a pipe"])
@pytest.mark.parametrize("command", ["edit", "inspect", "run"])
def test_a_command_ends_with_exit_code_3_and_one_line(
    command: str, case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name, make = HOSTILE[case]
    make(tmp_path / name)
    output = tmp_path / ("out.mp4" if command == "run" else "out.png")
    more = [] if command == "inspect" else ["--edit", "age+2", "-o", str(output), "--backend", "tiny"]
    assert main([command, str(tmp_path / name), *more]) == 3
    said = capsys.readouterr()
    assert said.err.startswith("error: ") and said.err.count("\n") == 1 and name in said.err and not said.out
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_pipe_is_no_video_and_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(InputUnreadable, match="not a regular file"):
        open_video(tmp_path / "a.mp4")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "L", "P", "1", "I;16", "transparent", "turned"])
def test_every_kind_of_png_gives_the_pixels_that_opencv_gives(mode: str, tmp_path: Path) -> None:
    import cv2

    picture, options, exif = Image.fromarray(RGB), dict[str, Any](), Image.Exif()
    if mode == "I;16":
        picture = Image.fromarray(RGB[..., 0].astype(np.uint16) * 257 + 100)
    elif mode == "transparent":
        picture, options = picture.convert("P"), {"transparency": 3}
    elif mode == "turned":
        exif[ExifTags.Base.Orientation] = 6
        options = {"exif": exif}
    else:
        picture = picture.convert(mode)
        if mode in ("RGBA", "LA"):
            picture.putalpha(Image.fromarray(RGB[..., 1]))
    picture.save(tmp_path / "a.png", **options)
    assert np.array_equal(picture_file.read_rgb(tmp_path / "a.png"), cv2.imread(str(tmp_path / "a.png"))[..., ::-1])


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.bmp"])
def test_plain_pictures_are_read_as_before(name: str, tmp_path: Path) -> None:
    import cv2

    Image.fromarray(RGB).save(tmp_path / name)
    expected = cv2.imread(str(tmp_path / name))[:, :, ::-1]  # another reader
    assert np.array_equal(picture_file.read_rgb(tmp_path / name), expected)
    assert photo.read_photo(tmp_path / name).rgb.shape == RGB.shape


def test_a_large_picture_that_is_no_bomb_is_read(tmp_path: Path) -> None:
    side = 6000  # more than PLAIN_PIXELS
    picture = np.random.default_rng(0).integers(0, 256, (side // 30, side // 30, 3), np.uint8)
    Image.fromarray(picture.repeat(30, 0).repeat(30, 1)).save(tmp_path / "a.jpg")
    assert side * side > picture_file.PLAIN_PIXELS
    assert photo.read_photo(tmp_path / "a.jpg").rgb.shape == (side, side, 3)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_exif_with_nested_directories_is_within_the_bounds(name: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = "vidinv_version=1"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = b"c" * 30_000
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (1.0, 2.0, 3.0)
    Image.fromarray(RGB).save(tmp_path / name, exif=exif.tobytes())
    assert statement.metadata(tmp_path / name) == {"version": "1"}
    kept = Image.Exif()
    kept.load(photo.read_photo(tmp_path / name).metadata.exif)
    assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] == b"c" * 30_000
