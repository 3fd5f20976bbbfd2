"""The log of a training: one file, or those of its stages, one after the other."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.training_logs import write_log
from vidinv.trainers.core.log_file import read_log


def test_stages_follow_each_other_and_what_a_block_learns_alone_is_left_out(tmp_path: Path) -> None:
    write_log(tmp_path / "auto" / "stage-0004", (8, 16))
    write_log(tmp_path / "auto" / "stage-0008-block", (8, 24))
    write_log(tmp_path / "auto" / "stage-0008", (8, 32))
    (tmp_path / "auto" / "stage-0016").mkdir()  # a stage that has no line yet
    write_log(tmp_path / "plain", (8, 16, 24))
    assert [line["images"] for line in read_log(tmp_path / "auto")] == [8, 16, 24, 48]
    assert [line["images"] for line in read_log(tmp_path / "plain")] == [8, 16, 24]
