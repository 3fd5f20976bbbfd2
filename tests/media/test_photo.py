"""A photo as a file: what is read upright, what is kept, what cannot be read or written."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from vidinv.errors import InputUnreadable, OutputUnwritable, UsageError
from vidinv.media import photo

RGB = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)


def test_a_png_is_read_and_written_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    photo.write_photo(path, photo.Photo(RGB), {"vidinv_edits": "age+2"})
    assert np.array_equal(photo.read_photo(path).rgb, RGB)
    assert np.array_equal(cv2.imread(str(path))[:, :, ::-1], RGB)  # another reader
    assert Image.open(path).info["vidinv_edits"] == "age+2"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("name", ["a.jpg", "a.webp", "a.png"])
def test_profile_and_exif_are_kept_and_say_what_made_it(tmp_path: Path, name: str) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "somebody"
    made = photo.Photo(RGB, profile=b"a profile", exif=exif.tobytes())
    photo.write_photo(tmp_path / name, made, {"vidinv_edits": "age+2"})
    again = photo.read_photo(tmp_path / name)
    assert again.profile == b"a profile"
    found = Image.Exif()
    found.load(again.exif)
    assert found[ExifTags.Base.Artist] == "somebody" and found[ExifTags.Base.Software] == "vidinv_edits=age+2"


def test_a_photo_that_lies_on_its_side_is_read_upright_and_stays_so(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # a quarter clockwise
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    upright = photo.read_photo(tmp_path / "a.png")
    assert np.array_equal(upright.rgb, np.rot90(RGB, -1))
    photo.write_photo(tmp_path / "b.png", upright, {})
    assert np.array_equal(photo.read_photo(tmp_path / "b.png").rgb, upright.rgb)


def test_alpha_is_kept_where_the_kind_has_it(tmp_path: Path) -> None:
    alpha = np.random.default_rng(1).integers(0, 256, RGB.shape[:2], np.uint8)
    photo.write_photo(tmp_path / "a.png", photo.Photo(RGB, alpha), {})
    again = photo.read_photo(tmp_path / "a.png")
    assert np.array_equal(again.rgb, RGB) and again.alpha is not None and np.array_equal(again.alpha, alpha)
    photo.write_photo(tmp_path / "a.jpg", again, {})
    assert photo.read_photo(tmp_path / "a.jpg").alpha is None


@pytest.mark.parametrize("content", [b"", b"hello, this is text", b"\x89PNG\r\n\x1a\n broken"])
def test_what_is_no_picture_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputUnreadable, match=r"a\.png"):
        photo.read_photo(tmp_path / "a.png")


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="supported picture format"):
        photo.write_photo(tmp_path / "a.txt", photo.Photo(RGB), {})
    with pytest.raises(OutputUnwritable):
        photo.write_photo(tmp_path / "none" / "a.png", photo.Photo(RGB), {})


def test_what_would_lose_its_samples_is_refused(tmp_path: Path) -> None:
    deep = Image.fromarray((np.arange(64 * 64) * 16).astype(np.uint16).reshape(64, 64))
    deep.save(tmp_path / "deep.png")
    moving = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    moving[0].save(tmp_path / "moving.webp", save_all=True, append_images=moving[1:])
    for name, said in (("deep.png", "8 bits"), ("moving.webp", "animation")):
        with pytest.raises(InputUnreadable, match=said):
            photo.read_photo(tmp_path / name)


def test_a_profile_of_other_samples_than_rgb_is_dropped(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert("L").save(tmp_path / "grey.png", icc_profile=b"a grey profile")
    grey = photo.read_photo(tmp_path / "grey.png")
    assert grey.profile == b"" and (grey.rgb[:, :, 0] == grey.rgb[:, :, 2]).all()


def test_exif_that_cannot_be_read_is_dropped_and_the_picture_is_not(tmp_path: Path) -> None:
    random, seen = np.random.default_rng(0), 0
    exif = Image.Exif()
    exif[ExifTags.Base.Artist], exif[ExifTags.Base.Orientation] = "somebody", 6
    for trial in range(60):
        broken = bytearray(exif.tobytes())
        for place in random.integers(6, len(broken), 4):
            broken[place] = random.integers(256)
        path = tmp_path / f"{trial}.png"
        Image.fromarray(RGB).save(path, exif=bytes(broken))
        found = photo.read_photo(path)
        photo.write_photo(tmp_path / "again.jpg", found, {"vidinv_edits": "none"})
        seen += found.exif == b""
    assert seen > 0


def test_a_cameras_second_view_makes_no_animation(tmp_path: Path) -> None:
    view = Image.fromarray(RGB)
    view.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[view], quality=95, subsampling=0)
    assert Image.open(tmp_path / "phone.jpg").n_frames == 2
    assert np.abs(photo.read_photo(tmp_path / "phone.jpg").rgb.astype(int) - RGB).mean() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_turned_as_pillow_turns_it(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(RGB).save(tmp_path / "a.png", exif=exif)
    wanted = ImageOps.exif_transpose(Image.open(tmp_path / "a.png"))
    assert np.array_equal(photo.read_photo(tmp_path / "a.png").rgb, np.asarray(wanted))
