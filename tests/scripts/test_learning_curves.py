"""The curves of a training: a file of its log, or those of its stages, one after the other."""

from __future__ import annotations

import json
from pathlib import Path

from scripts.experiments.curves import draw, log


def _write(folder: Path, images: tuple[int, ...]) -> None:
    folder.mkdir(parents=True)
    same = {"encoder/real": 2.0, "encoder/reconstruction": 0.1}
    lines = [{"images": seen, "decoder/code": 1 / seen} | same for seen in images]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_stages_follow_each_other_and_what_a_block_learns_alone_is_left_out(tmp_path: Path) -> None:
    _write(tmp_path / "auto" / "stage-0004", (8, 16))
    _write(tmp_path / "auto" / "stage-0008-block", (8, 24))
    _write(tmp_path / "auto" / "stage-0008", (8, 32))
    (tmp_path / "auto" / "stage-0016").mkdir()  # has just begun
    _write(tmp_path / "plain", (8, 16, 24))
    assert [line["images"] for line in log(tmp_path / "auto")] == [8, 16, 24, 48]
    assert [line["images"] for line in log(tmp_path / "plain")] == [8, 16, 24]
    draw({"one": tmp_path / "auto", "two": tmp_path / "plain"}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
