"""The picture: what ffprobe and ffmpeg say of shape, samples and colour is the same of the output as of the source."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import ffprobe
from tests.helpers.display_matrices import MATRICES, matrix
from tests.helpers.runs import TINY, edited, frames_of, rects, report_of
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.media import formats, probe
from vidinv.media.colour import to_rgb
from vidinv.media.reader import read_frames as frames

LOOKS = ("width", "height", "pix_fmt", "color_range", "color_space", "color_transfer", "color_primaries")


def looks(path: Path) -> dict[str, Any]:
    shown = ffprobe.video(path)
    return {key: shown.get(key) for key in LOOKS}


def outside(path: Path, rows: list[tuple[int, int, int, int]], pix_fmt: str, size: tuple[int, int]) -> np.ndarray:
    """ffmpeg's samples of every plane with what lies in the rectangles of `rows` set to 0: [frames, bytes]."""
    shape, raw = formats.layout(pix_fmt), ffprobe.samples(path, pix_fmt).copy()
    samples = raw if shape.depth <= 8 else raw.view(np.uint16)
    start = 0
    for number in range(shape.count):
        sx, sy = (shape.sub_x, shape.sub_y) if number in (1, 2) else (0, 0)
        width, height = -(-size[0] >> sx), -(-size[1] >> sy)
        plane = samples[:, start : start + width * height].reshape(-1, height, width)
        for picture, (x0, y0, x1, y1) in zip(plane, rows, strict=True):
            picture[y0 >> sy : -(-y1 >> sy), x0 >> sx : -(-x1 >> sx)] = 0
        start += width * height
    assert start == samples.shape[1]
    return samples


@pytest.mark.parametrize("name", MATRICES)
@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_a_turned_or_mirrored_picture_keeps_its_display_matrix(tmp_path: Path, name: str, suffix: str) -> None:
    source = make_clip(tmp_path / f"in{suffix}", frames=3, matrix=matrix(name))
    output = edited(source, tmp_path / f"out{suffix}")
    before, after = (ffprobe.video(path)["side_data_list"] for path in (source, output))
    assert before == after and before[0]["side_data_type"] == "Display Matrix"


@pytest.mark.parametrize("aspect", [Fraction(16, 15), Fraction(64, 45), Fraction(3, 4)], ids=str)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_non_square_pixels_stay_so(tmp_path: Path, aspect: Fraction, suffix: str) -> None:
    source = make_clip(tmp_path / f"in{suffix}", frames=3, aspect=aspect)
    output = edited(source, tmp_path / f"out{suffix}")
    old, new = ffprobe.video(source), ffprobe.video(output)
    assert new["sample_aspect_ratio"] == old["sample_aspect_ratio"] == f"{aspect.numerator}:{aspect.denominator}"
    assert new["display_aspect_ratio"] == old["display_aspect_ratio"]


def test_a_face_of_non_square_pixels_is_worked_on_square(tmp_path: Path) -> None:
    square = make_clip(tmp_path / "square.mp4", frames=2, size=(128, 64))
    wide = make_clip(tmp_path / "wide.mp4", frames=2, size=(64, 64), aspect=Fraction(2))
    (x0, y0, x1, y1), *_ = rects(edited(square, tmp_path / "a.mp4"))
    (u0, v0, u1, v1), *_ = rects(edited(wide, tmp_path / "b.mp4"))
    assert abs((x1 - x0) / 2 - (u1 - u0)) <= 8 and abs((y1 - y0) - (v1 - v0)) <= 4
    assert (u1 - u0) < 0.75 * (v1 - v0)


@pytest.mark.parametrize("size", [(97, 63), (96, 63), (97, 64)], ids=str)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p", "yuv422p"])
def test_odd_sides_stay_odd(tmp_path: Path, size: tuple[int, int], pix_fmt: str) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=3, size=size, pix_fmt=pix_fmt, codec="ffv1")
    output = edited(source, tmp_path / "out.mkv")
    assert looks(output)["width"] == size[0] and looks(output)["height"] == size[1]
    assert looks(output)["pix_fmt"] == pix_fmt


@pytest.mark.parametrize("size", [(96, 64), (97, 63)], ids=str)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "gray", "yuv420p10le", "yuv422p10le", "gbrp10le"])
def test_lossless_is_bit_exact_outside_the_mask(tmp_path: Path, size: tuple[int, int], pix_fmt: str) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=4, size=size, pix_fmt=pix_fmt, codec="ffv1", audio=False)
    output = edited(source, tmp_path / "out.mkv", "--codec", "lossless")
    rows = rects(output)
    before, after = (outside(path, rows, pix_fmt, size) for path in (source, output))
    assert np.array_equal(before, after)
    assert (ffprobe.samples(source, pix_fmt) != ffprobe.samples(output, pix_fmt)).any(1).all()


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("colour", ["bt601", "bt709", "bt2020"])
def test_range_and_colour_are_tagged_as_they_were(tmp_path: Path, colour: str, full_range: bool) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=3, colour=colour, full_range=full_range)
    output = edited(source, tmp_path / "out.mp4")
    assert looks(output) == looks(source)
    assert looks(output)["color_range"] == ("pc" if full_range else "tv")


@pytest.mark.parametrize("colour", ["bt601", "bt709", "bt2020", "smpte240m"])
@pytest.mark.parametrize("codec,suffix", [("h264", ".mkv"), ("hevc", ".mov"), ("av1", ".mp4"), ("vp9", ".mkv")])
def test_every_codec_says_the_colour(tmp_path: Path, colour: str, codec: str, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=3, colour=colour)
    output = edited(source, tmp_path / f"out{suffix}", "--codec", codec)
    assert looks(output) == looks(source)


def test_the_face_has_the_same_colours_whatever_the_matrix(tmp_path: Path) -> None:
    """The same RGB picture as BT.601, 709, 2020 and SMPTE 240M gives the same face: the conversions are true."""
    found = []
    for colour in ("bt601", "bt709", "bt2020", "smpte240m"):
        for full_range in (False, True):
            source = make_clip(
                tmp_path / f"{colour}{full_range}.mkv",
                frames=1,
                pix_fmt="yuv444p",
                codec="ffv1",
                colour=colour,
                full_range=full_range,
                audio=False,
            )
            batch = next(iter(frames(source)))
            found.append(to_rgb(batch.native[0], batch.colour))
    assert max(np.abs(each - found[0]).max() for each in found) < 4 / 255


@pytest.mark.parametrize("colour,name", [("ycgco", "YCgCo"), ("ictcp", "ICtCp")])
def test_samples_that_are_no_weighted_rgb_are_refused(
    tmp_path: Path, colour: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=2, colour=colour)
    assert main(["run", str(source), "--edit", "age+2", *TINY]) == 3
    assert name in (said := capsys.readouterr().err) and said.count("\n") == 1 and "in.mp4" in said


@pytest.mark.parametrize(
    "codec,pix_fmt,name",
    [
        ("libx265", "yuv420p10le", "in.mp4"),
        ("libx265", "yuv422p12le", "in.mp4"),
        ("libsvtav1", "yuv420p10le", "in.mp4"),
        ("prores_ks", "yuv422p10le", "in.mov"),
        ("libx264", "yuv422p10le", "in.mkv"),
    ],
)
def test_more_than_eight_bits_stay(tmp_path: Path, codec: str, pix_fmt: str, name: str) -> None:
    source = make_clip(tmp_path / name, frames=3, codec=codec, pix_fmt=pix_fmt)
    output = edited(source, tmp_path / f"out{source.suffix}")
    assert looks(output) == looks(source)


def test_vp9_of_ten_bits_stays_ten_bits(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "whole.mkv", frames=3, codec="ffv1", pix_fmt="yuv420p10le")
    source = tmp_path / "in.webm"
    ffprobe.ffmpeg("-i", whole, "-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p10le", "-c:a", "libopus", source)
    output = edited(source, tmp_path / "out.webm")
    assert looks(output)["pix_fmt"] == looks(source)["pix_fmt"] == "yuv420p10le"
    assert ffprobe.video(output)["codec_name"] == "av1"


@pytest.mark.parametrize("colour", ["pq", "hlg"])
def test_hdr_stays_hdr_and_untouched_samples_bit_for_bit(tmp_path: Path, colour: str) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=3, codec="libx265", pix_fmt="yuv420p10le", colour=colour)
    output = edited(source, tmp_path / "out.mkv", "--codec", "lossless")
    assert looks(output) == looks(source) | {"color_range": "tv"}
    rows = rects(output)
    before, after = (outside(path, rows, "yuv420p10le", (96, 64)) for path in (source, output))
    assert np.array_equal(before, after)
    assert (ffprobe.samples(source, "yuv420p10le") != ffprobe.samples(output, "yuv420p10le")).any(1).all()


@pytest.mark.parametrize("codec", ["hevc", "av1", "h264"])
def test_the_mastering_display_and_light_levels_are_kept(tmp_path: Path, codec: str) -> None:
    said = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
    source = make_clip(
        tmp_path / "in.mp4",
        frames=3,
        codec="libx265",
        pix_fmt="yuv420p10le",
        colour="pq",
        options={"x265-params": f"log-level=none:{said}"},
    )
    output = edited(source, tmp_path / "out.mp4", "--codec", codec)
    known, found = (probe.probe(path).mastering for path in (source, output))
    assert found.light == known.light == (1000, 400)
    assert found.primaries + found.luminance == pytest.approx(known.primaries + known.luminance, abs=1e-3)
    if codec == "h264":
        return  # Debian's ffprobe does not read it there
    before, after = (mastering(path) for path in (source, output))
    assert before["Content light level metadata"] == after["Content light level metadata"]
    old, new = (before["Mastering display metadata"], after["Mastering display metadata"])
    assert {key: float(Fraction(value)) for key, value in new.items()} == pytest.approx(
        {key: float(Fraction(value)) for key, value in old.items()}, abs=1e-3
    )


def mastering(path: Path) -> dict[str, dict[str, Any]]:
    data = ffprobe.first_frame(path)["side_data_list"]
    return {item.pop("side_data_type"): item for item in data if "metadata" in item["side_data_type"]}


def test_a_codec_that_cannot_say_mastering_metadata_is_named(tmp_path: Path) -> None:
    said = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    options = {"x265-params": f"log-level=none:{said}"}
    source = make_clip(
        tmp_path / "in.mp4", frames=3, codec="libx265", pix_fmt="yuv420p10le", colour="pq", options=options
    )
    output = edited(source, tmp_path / "out.mkv", "--codec", "lossless")
    assert any("mastering display" in line for line in report_of(output)["warnings"])


@pytest.mark.parametrize("pix_fmt,codec,suffix", [("yuva444p10le", "prores_ks", ".mov"), ("yuva420p", "ffv1", ".mkv")])
def test_alpha_is_kept_bit_for_bit_where_the_codec_can(tmp_path: Path, pix_fmt: str, codec: str, suffix: str) -> None:
    source = make_clip(tmp_path / f"in{suffix}", frames=3, pix_fmt=pix_fmt, codec=codec, alpha=True)
    output = edited(source, tmp_path / "out.mkv")
    fmt = probe.probe(source).pix_fmt
    assert probe.probe(output).pix_fmt == fmt and probe.probe(source).has_alpha
    for (_, old), (_, new) in zip(frames_of(source), frames_of(output), strict=True):
        assert np.array_equal(old[3], new[3]) and len(np.unique(old[3])) > 10


def test_alpha_goes_into_prores(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=3, pix_fmt="yuva444p10le", codec="ffv1", alpha=True, audio=False)
    output = edited(source, tmp_path / "out.mov")
    assert ffprobe.video(output)["codec_name"] == "prores" and probe.probe(output).has_alpha
    for (_, old), (_, new) in zip(frames_of(source), frames_of(output), strict=True):
        depth = probe.probe(output).depth
        assert np.abs(old[3].astype(int) - (new[3] >> (depth - 10))).max() <= 1


def test_alpha_that_the_codec_cannot_hold_is_refused_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_clip(tmp_path / "in.mkv", frames=3, pix_fmt="yuva420p", codec="ffv1", alpha=True)
    command = ["run", str(source), "--edit", "age+2", "-o", str(tmp_path / "out.mp4"), *TINY, "--codec", "h264"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "alpha" in said and "--pix-fmt yuv420p" in said and said.count("\n") == 1
    assert main([*command, "--pix-fmt", "yuv420p"]) == 0
    assert looks(tmp_path / "out.mp4")["pix_fmt"] == "yuv420p"


def test_alpha_in_a_layer_that_is_not_decoded_is_refused_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = make_clip(tmp_path / "whole.mkv", frames=3, pix_fmt="yuva420p", codec="ffv1", alpha=True, audio=False)
    source = tmp_path / "in.webm"
    ffprobe.ffmpeg("-i", whole, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0", source)
    command = ["run", str(source), "--edit", "age+2", "-o", str(tmp_path / "out.webm"), *TINY]
    assert main(command) == 2
    assert "alpha" in capsys.readouterr().err
    assert main([*command, "--pix-fmt", "yuv420p"]) == 0


@pytest.mark.parametrize("order", ["tff", "bff"])
def test_interlaced_pictures_are_named_and_stay_interlaced(tmp_path: Path, order: str) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=4, options={"x264-params": f"{order}=1"})
    output = edited(source, tmp_path / "out.mp4")
    assert (
        ffprobe.video(output)["field_order"]
        == ffprobe.video(source)["field_order"]
        == {"tff": "tt", "bff": "bb"}[order]
    )
    assert ffprobe.first_frame(output)["interlaced_frame"] == 1
    assert any("interlaced" in line and "kept" in line for line in report_of(output)["warnings"])
    other = edited(source, tmp_path / "other.mp4", "--codec", "hevc")
    assert any("interlaced" in line and "not marked" in line for line in report_of(other)["warnings"])


def test_preset_crf_and_pixel_format_reach_the_encoder(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=6, pix_fmt="yuv444p")
    small = edited(source, tmp_path / "small.mp4", "--crf", "40", "--preset", "veryslow", "--pix-fmt", "yuv420p")
    large = edited(source, tmp_path / "large.mp4", "--crf", "5", "--preset", "ultrafast")
    assert looks(small)["pix_fmt"] == "yuv420p" and looks(large)["pix_fmt"] == "yuv444p"
    assert small.stat().st_size < large.stat().st_size / 2
    assert ffprobe.video(small)["profile"] != ffprobe.video(large)["profile"]


@pytest.mark.parametrize("wrong", [("--preset", "sluggish"), ("--pix-fmt", "yuv9"), ("--codec", "h265")])
def test_what_no_encoder_knows_exits_2_before_the_work(
    tmp_path: Path, wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=3)
    assert main(["run", str(source), "--edit", "age+2", "-o", str(tmp_path / "out.mp4"), *TINY, *wrong]) == 2
    assert wrong[1] in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4"}
