"""A photo as a file: what is read upright, what is kept, what cannot be read or written."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps, PngImagePlugin

from vidinv.errors import InputUnreadable, OutputUnwritable, UsageError
from vidinv.media import photo, picture_file
from vidinv.media.photo_metadata import PhotoMetadata

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
    made = photo.Photo(RGB, metadata=PhotoMetadata(profile=b"a profile", exif=exif.tobytes()))
    photo.write_photo(tmp_path / name, made, {"vidinv_edits": "age+2"})
    again = photo.read_photo(tmp_path / name)
    assert again.metadata.profile == b"a profile"
    found = Image.Exif()
    found.load(again.metadata.exif)
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
    Image.fromarray(np.zeros((8, 8), np.float32)).save(tmp_path / "float.tiff")
    moving = [Image.fromarray(RGB), Image.fromarray(255 - RGB)]
    for name in ("moving.webp", "moving.gif", "moving.png", "pages.tiff"):
        moving[0].save(tmp_path / name, save_all=True, append_images=moving[1:])
    for name, said in (
        ("float.tiff", "floating-point"),
        ("moving.webp", "several pictures"),
        ("moving.gif", "several pictures"),
        ("moving.png", "several pictures"),
        ("pages.tiff", "several pictures"),
    ):
        with pytest.raises(InputUnreadable, match=said):
            photo.read_photo(tmp_path / name)


DEEP = np.random.default_rng(3).integers(0, 1 << 16, (12, 20, 3), np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bits_are_read_and_stay_in_a_png(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"deep{suffix}"
    cv2.imwrite(str(source), DEEP[:, :, ::-1])
    read = photo.read_photo(source)
    assert read.samples.dtype == np.uint16 and np.array_equal(read.samples, DEEP)
    metadata = PhotoMetadata(dpi=(300, 300), text={"Title": "a face"})
    photo.write_photo(tmp_path / "out.png", photo.Photo(read.samples, metadata=metadata), {"vidinv_edits": "age+2"})
    written = cv2.imread(str(tmp_path / "out.png"), cv2.IMREAD_UNCHANGED)  # another reader
    assert written.dtype == np.uint16 and np.array_equal(written[:, :, ::-1], DEEP)
    info = Image.open(tmp_path / "out.png").info
    assert info["Title"] == "a face" and info["vidinv_edits"] == "age+2" and round(info["dpi"][0]) == 300
    warnings = photo.write_photo(tmp_path / "out.jpg", read, {})
    assert warnings == [".jpg cannot hold samples of more than 8 bits; left out"]


def test_16_bit_alpha_stays(tmp_path: Path) -> None:
    alpha = np.random.default_rng(4).integers(0, 1 << 16, (12, 20), np.uint16)
    cv2.imwrite(str(tmp_path / "deep.png"), np.dstack([DEEP[:, :, ::-1], alpha]))
    read = photo.read_photo(tmp_path / "deep.png")
    photo.write_photo(tmp_path / "out.png", read, {})
    again = photo.read_photo(tmp_path / "out.png")
    assert np.array_equal(again.samples, DEEP) and again.alpha is not None and np.array_equal(again.alpha, alpha)


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
@pytest.mark.parametrize("depth", [8, 16])
def test_a_gray_photo_stays_one_channel(tmp_path: Path, name: str, depth: int) -> None:
    gray = (DEEP[:, :, 0] >> (16 - depth)).astype(np.uint8 if depth == 8 else np.uint16)
    cv2.imwrite(str(tmp_path / "in.png"), gray)
    read = photo.read_photo(tmp_path / "in.png")
    assert read.samples.ndim == 2 and np.array_equal(read.samples, gray)
    assert photo.samples_of(read.planes()).ndim == 2
    photo.write_photo(tmp_path / name, read, {})
    written = cv2.imread(str(tmp_path / name), cv2.IMREAD_UNCHANGED)
    assert written.ndim == 2
    if name == "a.png":
        assert np.array_equal(written, gray)


@pytest.mark.parametrize(("name", "kind"), [("a.bmp", "BMP"), ("a.tiff", "TIFF"), ("a.avif", "AVIF"), ("a.gif", "GIF")])
def test_photos_of_other_formats_are_read(tmp_path: Path, name: str, kind: str) -> None:
    smooth = np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None], (1, 64, 3))
    Image.fromarray(smooth).save(tmp_path / name, format=kind)
    assert np.abs(photo.read_photo(tmp_path / name).rgb.astype(int) - smooth).mean() < 3
    assert np.abs(picture_file.read_rgb(tmp_path / name).astype(int) - smooth).mean() < 3


def test_a_heic_photo_is_read_and_without_its_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
    smooth = Image.fromarray(np.tile(np.linspace(0, 255, 64).astype(np.uint8)[:, None, None], (1, 64, 3)))
    heif.from_pillow(smooth).save(str(tmp_path / "a.heic"))
    assert np.abs(photo.read_photo(tmp_path / "a.heic").rgb.astype(int) - np.asarray(smooth)).mean() < 3
    monkeypatch.setattr("vidinv.extras.is_installed", lambda module: module != "pillow_heif")
    with pytest.raises(UsageError) as refused:
        photo.read_photo(tmp_path / "a.heic")
    assert 'pip install "vidinv[heif]"' in str(refused.value.remedy)


XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">\
<rdf:Description tiff:Orientation="6" exif:GPSLatitude="52,30N" dc:creator="somebody"/></rdf:RDF></x:xmpmeta>"""


def located() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist], exif[ExifTags.Base.Orientation] = "somebody", 6
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (52.0, 30.0, 0.0)
    return exif


@pytest.mark.parametrize("output", ["out.jpg", "out.png", "out.webp"])
def test_what_a_camera_wrote_is_kept(tmp_path: Path, output: str) -> None:
    """Resolution, XMP, comment, place and author; the orientation is that of the upright pixels."""
    Image.fromarray(RGB).save(tmp_path / "in.jpg", exif=located(), dpi=(240, 240), xmp=XMP, comment=b"at the lake")
    read = photo.read_photo(tmp_path / "in.jpg")
    warnings = photo.write_photo(tmp_path / output, read, {})
    with Image.open(tmp_path / output) as written:
        xmp = written.info.get("xmp") or written.info["XML:com.adobe.xmp"].encode()
        exif = written.getexif()
        assert b"somebody" in xmp and b"GPSLatitude" in xmp and b'tiff:Orientation="1"' in xmp
        assert exif[ExifTags.Base.Artist] == "somebody" and exif.get(ExifTags.Base.Orientation, 1) == 1
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (52.0, 30.0, 0.0)
        lost = ("the comment", "the resolution") if output == "out.webp" else ()
        assert warnings == [f".webp cannot hold {each}; left out" for each in lost]
        if output != "out.webp":
            assert round(written.info["dpi"][0]) == 240
            assert "at the lake" in str(written.info.get("comment", written.info.get("Comment")))


def test_the_place_can_be_stripped(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "in.jpg", exif=located(), xmp=XMP)
    read = photo.read_photo(tmp_path / "in.jpg")
    photo.write_photo(tmp_path / "out.jpg", photo.Photo(read.samples, metadata=read.metadata.without_location()), {})
    with Image.open(tmp_path / "out.jpg") as written:
        assert b"GPS" not in written.info["xmp"] and b"somebody" in written.info["xmp"]
        assert not written.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        assert written.getexif()[ExifTags.Base.Artist] == "somebody"


def test_the_thumbnail_of_the_unedited_face_is_left_behind(tmp_path: Path) -> None:
    block = located().tobytes()
    Image.fromarray(RGB).save(tmp_path / "in.png", exif=block, pnginfo=_raw_profile(block))
    read = photo.read_photo(tmp_path / "in.png")
    assert not any(key.startswith("Raw profile") for key in read.metadata.text)


def _raw_profile(block: bytes) -> PngImagePlugin.PngInfo:
    text = PngImagePlugin.PngInfo()
    text.add_text("Raw profile type exif", f"\nexif\n{len(block):8}\n{block.hex()}\n")
    return text


def test_a_profile_of_other_samples_than_rgb_is_dropped(tmp_path: Path) -> None:
    Image.fromarray(RGB).convert("L").save(tmp_path / "grey.png", icc_profile=b"a grey profile")
    grey = photo.read_photo(tmp_path / "grey.png")
    assert grey.metadata.profile == b"" and (grey.rgb[:, :, 0] == grey.rgb[:, :, 2]).all()


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
        seen += found.metadata.exif == b""
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
