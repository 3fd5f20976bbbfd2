"""Files of every kind in and out, folders of pictures, odd names, damage and headers that lie."""

from __future__ import annotations

import logging
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from tests.helpers import ffprobe
from tests.helpers.runs import TINY, edited, frames_of, report_of
from vidinv.bench.synthetic_clip import gradient, make_clip
from vidinv.cli.main import main

CODECS = {".mp4": "libx264", ".mov": "prores_ks", ".mkv": "libx265", ".webm": "libvpx-vp9", ".avi": "mpeg4"}


@pytest.mark.parametrize("given", [".mp4", ".mov", ".mkv", ".webm", ".avi"])
@pytest.mark.parametrize("wanted", [".mp4", ".mov", ".mkv", ".webm"])
def test_every_kind_of_file_becomes_every_kind(tmp_path: Path, given: str, wanted: str) -> None:
    pix_fmt = "yuv422p10le" if given == ".mov" else "yuv420p"
    source = make_clip(tmp_path / f"in{given}", frames=8, codec=CODECS[given], pix_fmt=pix_fmt, audio=given != ".avi")
    options = ["--pix-fmt", "yuv420p10le"] if (given, wanted) == (".mov", ".webm") else []
    output = edited(source, tmp_path / f"out{wanted}", *options)
    old, new = (np.array(ffprobe.frame_times(path)) for path in (source, output))
    assert len(new) == 8 and np.ptp(new - old) <= 0.001
    name = {".mov": "mov", ".mp4": "mp4", ".mkv": "matroska", ".webm": "webm"}[wanted]
    assert name in ffprobe.container(output)["format_name"]


def test_an_avi_becomes_mkv_where_no_name_is_given(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.avi", frames=4, codec="mpeg4", audio=False)
    assert main(["run", str(source), "--edit", "age+2", *TINY]) == 0
    assert len(ffprobe.frame_times(tmp_path / "in.edited.mkv")) == 4


@pytest.mark.parametrize(
    "name",
    [
        "-clip.mp4",
        "--edit.mp4",
        "a:b.mp4",
        "http:x.mp4",
        "größe 名前 🎬.mp4",
        "100%d.mp4",
        "a'b\"c;$(x) &.mp4",
        "\n.mp4",
    ],
)
def test_odd_names_are_names(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "plain.mp4", frames=3).rename(tmp_path / name)
    output = name.replace(".mp4", ".out.mp4")
    assert main(["run", *TINY, "--edit", "age+2", f"--output={output}", "--", name]) == 0
    assert len(ffprobe.frame_times(tmp_path / output)) == 3
    assert {path.name for path in tmp_path.iterdir()} == {name, output, f"{output}.json"}


def test_long_paths_are_paths(tmp_path: Path) -> None:
    folder = tmp_path.joinpath(*(letter * 200 for letter in "abcdefghij"))
    folder.mkdir(parents=True)
    source = make_clip(folder / f"{'n' * 200}.mp4", frames=3)
    assert len(str(source)) > 2000
    edited(source, folder / f"{'m' * 200}.mp4")


@pytest.mark.parametrize("which", ["input", "output"])
def test_a_name_that_no_disk_takes_exits_with_one_line(
    tmp_path: Path, which: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source, long = make_clip(tmp_path / "in.mp4", frames=3), tmp_path / f"{'ü' * 150}.mp4"
    given = [long, tmp_path / "out.mp4"] if which == "input" else [source, long]
    assert main(["run", str(given[0]), "--edit", "age+2", "-o", str(given[1]), *TINY]) == (3 if which == "input" else 7)
    assert capsys.readouterr().err.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} == {"in.mp4"}


def giant_png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def raw_avi(path: Path, width: int, height: int) -> Path:
    """An AVI of FFV1 whose headers were changed to declare another size."""
    make_clip(path, size=(64, 64), frames=2, codec="ffv1", audio=False)
    data = bytearray(path.read_bytes())
    at = data.find(b"strf") + 8 + 4
    data[at : at + 8] = struct.pack("<II", width, height)
    path.write_bytes(data)
    return path


MEASURED = """
import sys
from pathlib import Path
from vidinv.cli.main import main
code = main(sys.argv[1:])
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(code, int(peak.split()[1]) // 1024)
"""


@pytest.mark.slow
def test_a_header_that_declares_a_giant_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "1.png").write_bytes(giant_png(100_000, 100_000))
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "1.png").write_bytes(giant_png(30_000, 30_000))
    sources = (
        tmp_path / "missing",
        tmp_path / "frames",
        tmp_path / "more",
        raw_avi(tmp_path / "in.avi", 30_000, 30_000),
    )
    megabytes = []
    for source in sources:
        command = [sys.executable, "-c", MEASURED, "run", str(source), "--edit", "age+2", *TINY]
        done = subprocess.run([*command, "-o", str(tmp_path / "out.mkv")], capture_output=True, text=True)
        code, used = map(int, done.stdout.split())
        assert code == 3 and done.stderr.count("\n") == 1, (source, done.stderr)
        megabytes.append(used)
    assert max(megabytes) < megabytes[0] + 300, megabytes  # a frame of 30000 x 30000 alone is 1287 MB


@pytest.mark.parametrize("text", ["#EXTM3U\n#EXTINF:1,\nother.mp4\n", "ffconcat version 1.0\nfile other.mp4\n"])
def test_a_list_that_names_other_files_is_not_followed(tmp_path: Path, text: str) -> None:
    make_clip(tmp_path / "other.mp4", frames=3)
    (tmp_path / "list.mp4").write_text(text)
    assert main(["run", str(tmp_path / "list.mp4"), "--edit", "age+0", "-o", str(tmp_path / "out.mp4"), *TINY]) == 3


def damaged(tmp_path: Path, suffix: str) -> tuple[Path, list[float]]:
    """A clip of intra frames without sound in which 8 packets in the middle are noise, and their times."""
    source, path = tmp_path / f"whole{suffix}", tmp_path / f"in{suffix}"
    make_clip(source, frames=40, codec="mjpeg" if suffix != ".mp4" else "libx264", pix_fmt="yuvj420p", bframes=0)
    lost = []
    with av.open(str(source)) as given, av.open(str(path), "w") as out:
        routes = {s.index: out.add_stream_from_template(s, opaque=True) for s in given.streams}
        for number, packet in enumerate(given.demux(video=0)):
            if packet.dts is None:
                continue
            if 16 <= number < 24:
                noise = av.Packet(np.random.default_rng(number).bytes(packet.size))
                noise.pts, noise.dts, noise.time_base = packet.pts, packet.dts, packet.time_base
                lost.append(float(packet.pts * packet.time_base))
                packet = noise
            packet.stream = routes[0]
            out.mux(packet)
    return path, lost


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".avi"])
def test_damage_in_the_middle_is_passed_over_and_listed(tmp_path: Path, suffix: str) -> None:
    source, lost = damaged(tmp_path, suffix)
    output = edited(source, tmp_path / "out.mkv")
    times = ffprobe.frame_times(output)
    assert np.allclose(times, ffprobe.frame_times(source), atol=0.001)  # what ffprobe can decode
    (gap,) = [line for line in report_of(output)["warnings"] if line.startswith("damaged from")]
    begin, end = float(gap.split()[2]), float(gap.split()[4])
    missing = set(np.round(ffprobe.frame_times(tmp_path / f"whole{suffix}"), 2)) - set(np.round(times, 2))
    assert set(np.round(lost, 2)) <= missing and all(begin < time < end for time in missing)
    assert report_of(output)["faces"] == len(times) >= 25 and end - begin < 0.7


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv", ".webm", ".avi"])
@pytest.mark.parametrize("seed", range(3))
def test_bytes_that_went_bad_cost_no_more_than_ffprobe_loses(tmp_path: Path, suffix: str, seed: int) -> None:
    codec, pix_fmt = INTRA[suffix]
    source = make_clip(tmp_path / f"in{suffix}", frames=50, codec=codec, pix_fmt=pix_fmt, bframes=0)
    random, data = np.random.default_rng(seed), bytearray(source.read_bytes())
    begin = len(data) * 4 // 10
    data[begin : begin + len(data) // 20] = random.bytes(len(data) // 20)
    source.write_bytes(data)
    output = edited(source, tmp_path / "out.mkv")
    assert len(ffprobe.frame_times(output)) >= len(ffprobe.frame_times(source)) - 1
    said = any(line.startswith("damaged from") for line in report_of(output)["warnings"])
    assert said or suffix in (".mkv", ".webm")  # FFmpeg finds its way again in Matroska without a word


MJPEG = ("mjpeg", "yuvj420p")
INTRA = {".mp4": MJPEG, ".mov": MJPEG, ".mkv": MJPEG, ".webm": ("libvpx-vp9", "yuv420p"), ".avi": MJPEG}


def test_a_clip_with_nothing_whole_exits_3(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.avi", frames=10, codec="mjpeg", pix_fmt="yuvj420p", audio=False)
    data = bytearray(source.read_bytes())
    begin = data.find(b"movi")
    data[begin + 12 : -400] = np.random.default_rng(0).bytes(len(data) - begin - 412)
    source.write_bytes(data)
    assert main(["run", str(source), "--edit", "age+0", "-o", str(tmp_path / "out.mkv"), *TINY]) == 3
    assert not (tmp_path / "out.mkv").exists()


def test_a_size_that_changes_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = pictures(tmp_path / "frames", 6)
    cv2.imwrite(str(folder / "4.png"), np.zeros((30, 40, 3), np.uint8))
    assert main(["run", str(folder), "--edit", "age+0", "-o", str(tmp_path / "out.mkv"), *TINY]) == 3
    assert "96x64" in (said := capsys.readouterr().err) and "40x30" in said and said.count("\n") == 1


def pictures(folder: Path, count: int, suffix: str = ".png", deep: bool = False, alpha: bool = False) -> Path:
    folder.mkdir()
    for index in range(count):
        picture = gradient(index, (96, 64))[..., ::-1]
        if alpha:
            picture = np.dstack([picture, gradient(index, (96, 64))[..., 0]])
        picture = picture.astype(np.uint16) * 257 + index if deep else picture
        assert cv2.imwrite(str(folder / f"{index + 1}{suffix}"), picture)
    (folder / "notes.txt").write_text("not a picture")
    return folder


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_a_folder_of_pictures_is_a_video_in_natural_order(tmp_path: Path, suffix: str) -> None:
    folder = pictures(tmp_path / "frames", 12, suffix)
    output = edited(folder, tmp_path / "out.mkv", "--codec", "lossless")
    assert np.allclose(ffprobe.frame_times(output), np.arange(12) / 25, atol=1e-3)
    with av.open(str(output)) as container:
        shown = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    tolerance = 0 if suffix != ".jpg" else 12  # two ways to put chroma between its samples
    for index, frame in enumerate(shown):
        kept = cv2.imread(str(folder / f"{index + 1}{suffix}"))
        assert np.abs(frame[:3].astype(int) - kept[:3]).max() <= tolerance  # the first rows lie outside the face


def test_a_cameras_jpegs_are_shown_upright(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # to be turned clockwise
    for index in range(3):
        Image.fromarray(gradient(index, (96, 64))).save(folder / f"{index}.jpg", exif=exif)
    output = edited(folder, tmp_path / "out.mp4")
    assert ffprobe.video(output)["side_data_list"][0]["rotation"] == -90
    pictures_out = edited(folder, tmp_path / "out")
    assert cv2.imread(str(pictures_out / "000001.png")).shape == (96, 64, 3)


def test_the_folder_says_its_rate(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "frames", 5)
    (folder / "frames.json").write_text('{"rate": "30000/1001"}')
    output = edited(folder, tmp_path / "out.mp4", "--pix-fmt", "yuv420p")
    assert np.allclose(ffprobe.frame_times(output), np.arange(5) * 1001 / 30000, atol=1e-6)
    assert ffprobe.video(output)["color_space"] == "bt709" and ffprobe.video(output)["pix_fmt"] == "yuv420p"
    (folder / "frames.json").write_text('{"rate": "fast"}')
    assert main(["run", str(folder), "--edit", "age+0", "-o", str(tmp_path / "b.mp4"), *TINY]) == 3


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("alpha", [False, True])
def test_pictures_come_out_as_pictures_bit_for_bit(tmp_path: Path, deep: bool, alpha: bool) -> None:
    folder, output = pictures(tmp_path / "frames", 11, deep=deep, alpha=alpha), tmp_path / "out"
    assert main(["run", str(folder), "--edit", "age+0", "-o", str(output), *TINY]) == 0
    made = sorted(path.name for path in output.iterdir())
    assert made == [*(f"{number:06d}.png" for number in range(1, 12)), "frames.json"]
    for index in range(11):
        before = cv2.imread(str(folder / f"{index + 1}.png"), cv2.IMREAD_UNCHANGED)
        after = cv2.imread(str(output / f"{index + 1:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert before.dtype == after.dtype and np.array_equal(before, after)


def test_a_video_comes_out_as_pictures_and_goes_back(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=7, rate=30, pix_fmt="yuv420p10le", codec="libx265")
    folder = edited(source, tmp_path / "frames")
    assert len(list(folder.glob("*.png"))) == 7
    assert cv2.imread(str(folder / "000001.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    assert any("audio" in line for line in report_of(folder)["warnings"])
    assert any("RGB" in line for line in report_of(folder)["warnings"])
    again = edited(folder, tmp_path / "again.mkv")
    assert ffprobe.video(again)["codec_name"] == "ffv1"  # 16 bits of RGB, which no other codec holds
    assert np.allclose(ffprobe.frame_times(again), np.arange(7) / 30, atol=1e-3)


def test_a_folder_that_exists_is_never_emptied(tmp_path: Path) -> None:
    folder, mine = pictures(tmp_path / "frames", 3), tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    assert main(["run", str(folder), "--edit", "age+0", "-o", str(mine), "--overwrite", *TINY]) == 7
    assert [path.name for path in mine.iterdir()] == ["letter.txt"]


@pytest.mark.parametrize("content", ["nothing", "two kinds", "tiff"])
def test_a_folder_that_is_no_sequence_exits_3(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "frames"
    if content == "nothing":
        folder.mkdir()
    elif content == "tiff":
        pictures(folder, 2, ".tiff")
    else:
        cv2.imwrite(str(pictures(folder, 2) / "a.jpg"), np.zeros((8, 8, 3), np.uint8))
    assert main(["run", str(folder), "--edit", "age+0", "-o", str(tmp_path / "out.mkv"), *TINY]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_a_reader_that_cannot_hands_over_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("decord", reason="the extra [decord] is not installed")
    source = make_clip(tmp_path / "in.mp4", frames=4, codec="libx265", pix_fmt="yuv420p10le")
    with caplog.at_level(logging.WARNING):
        output = edited(source, tmp_path / "out.mp4", "--set", "reader=decord")
    assert len(frames_of(output)) == 4
    assert any("10 bits" in line and "pyav" in line for line in caplog.messages)
    assert any("10 bits" in line and "pyav" in line for line in report_of(output)["warnings"])
