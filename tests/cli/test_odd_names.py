"""Names are bytes: one that is not UTF-8, or holds a newline or an escape, is a name like others, everywhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.runs import TINY
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.encoders.code_file import CodeReader

NAMES = [b"lat\xe9", b"new\nline", b"esc\x1b[31m", b"-dash", "rtl\u202e4pm".encode(), b"n" * 230]
IDS = ["latin", "newline", "escape", "dash", "right to left", "long"]


def vidinv(*arguments: object) -> int:
    return main([*map(str, arguments), *TINY, "--quality", "fast"])


def named(folder: Path, name: bytes, suffix: str) -> Path:
    return folder / os.fsdecode(name + suffix.encode())


@pytest.mark.parametrize("name", NAMES, ids=IDS)
def test_a_clip_of_any_name_goes_from_the_source_to_the_page(
    tmp_path: Path, name: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=8).rename(named(tmp_path, name, ".mp4"))
    out, codes = named(tmp_path, b"o" + name[:220], ".mp4"), named(tmp_path, b"c" + name, ".codes")
    assert vidinv("run", clip, "--edit", "age+2", "-o", out, "--codes", codes, "--report", "--watermark") == 0
    assert vidinv("run", clip, "--edit", "age-1", "-o", out, "--codes", codes, "--overwrite") == 0
    assert len(CodeReader(codes)) == 8
    report = json.loads(out.with_name(out.name + ".json").read_text(encoding="utf-8"))
    assert (report["input"]["path"], report["output"]["path"]) == (clip.name, out.name)
    page = out.with_name(out.name + ".report.html")
    page.unlink()
    assert main(["report", str(out)]) == 0 and page.read_text(encoding="utf-8")
    assert main(["inspect", str(out), "--json", "-"]) == 0
    printed = "".join(capsys.readouterr())
    assert "\x1b" not in printed and "\u202e" not in printed


def test_pictures_of_any_name_are_edited_mixed_and_inverted(tmp_path: Path) -> None:
    picture = named(tmp_path, b"pic\xe9", ".png")
    picture.write_bytes(cv2.imencode(".png", np.full((96, 96, 3), 120, np.uint8))[1].tobytes())
    assert vidinv("edit", picture, "--edit", "age+2", "-o", named(tmp_path, b"e\xe9", ".png"), "--preview") == 0
    assert main(["mix", *map(str, (picture, picture)), "-o", str(named(tmp_path, b"m\xe9", ".png")), *TINY[:2]]) == 0
    codes, sheet = named(tmp_path, b"c\xe9", ""), named(tmp_path, b"s\xe9", ".png")
    assert vidinv("invert", picture, "-o", codes, "--render", sheet) == 0 and sheet.stat().st_size


def test_a_batch_takes_names_of_a_folder_and_of_a_list_as_they_are(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in NAMES[:4]:
        make_clip(tmp_path / "a.mp4", frames=6).rename(named(folder, name, ".mp4"))
    listed = tmp_path / "list.csv"
    listed.write_bytes(b"source,edits\nin/lat\xe9.mp4,age+1\n")
    command = [sys.executable, "-m", "vidinv", "batch", "--workers", "1", *TINY, "--quality", "fast"]
    plain = {**os.environ, "LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    for given, out, count in ((folder, tmp_path / "one", 4), (listed, tmp_path / "two", 1)):
        edits = ["--edit", "age+1"] if given == folder else []
        ended = subprocess.run([*command, given, "-o", out, *edits], env=plain, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr
        assert len(list(out.glob("*.edited.mp4"))) == count and (out / "batch.html").read_text(encoding="utf-8")
        assert len((out / "batch.log").read_bytes().splitlines()) == 3 * count and b"\x1b" not in ended.stderr
