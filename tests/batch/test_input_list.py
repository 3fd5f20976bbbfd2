"""Rows and names: what a folder, a pattern or a list means, and what each output is called."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidinv.batch import input_list, output_names
from vidinv.batch.input_list import InputRow
from vidinv.errors import InputUnreadable, UsageError


def folder(place: Path) -> Path:
    """Four videos, one of them below, and what is none."""
    for name in ("b.mp4", "a.MOV", "day 1/c.mkv", "notes.txt", ".hidden.mp4", "b.mp4.vidinv/made/b.mp4", "out/x.mp4"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(b"")
    return place


def test_a_folder_means_its_videos_and_not_its_outputs(tmp_path: Path) -> None:
    found = list(input_list.read_rows(str(folder(tmp_path)), but=str(tmp_path / "out")))
    assert [(row.number, Path(row.source).name, row.folder) for row in found] == [
        (1, "a.MOV", ""),
        (2, "b.mp4", ""),
        (3, "c.mkv", "day 1"),
    ]


def test_a_pattern_means_what_it_matches_and_keeps_the_folders_below_it(tmp_path: Path) -> None:
    folder(tmp_path)
    asked = [input_list.read_rows(str(tmp_path), "**/*.mkv"), input_list.read_rows(f"{tmp_path}/**/*.mkv")]
    for found in asked:
        assert [(Path(row.source).name, row.folder) for row in found] == [("c.mkv", "day 1")]
    with pytest.raises(InputUnreadable, match="no clip"):
        list(input_list.read_rows(str(tmp_path), "*.webm"))


def test_a_csv_list_has_edits_a_name_and_options_for_each_row(tmp_path: Path) -> None:
    folder(tmp_path)
    listed = tmp_path / "list.csv"
    listed.write_text(
        "source,edits,name,quality,mask.blur\nb.mp4,age+2; smile-1@0:03-0:07,old,,0.03\n*/*.mkv,,,fast,\n"
    )
    first, second = input_list.read_rows(str(listed))
    assert first == InputRow(
        1, str(tmp_path / "b.mp4"), "", ("age+2", "smile-1@0:03-0:07"), "old", (("mask.blur", "0.03"),)
    )
    assert (second.number, second.folder, second.options) == (2, "day 1", (("quality", "fast"),))


def test_a_yaml_list_says_the_same(tmp_path: Path) -> None:
    listed = tmp_path / "list.yaml"
    listed.write_text(
        "- b.mp4\n- {source: s3://clips/c.mp4, edits: [age+2], mask: {blur: 0.03, parse_every: 2}}\n", encoding="utf-8"
    )
    first, second = input_list.read_rows(str(listed))
    assert first == InputRow(1, str(tmp_path / "b.mp4"))
    assert second.source == "s3://clips/c.mp4" and second.edits == ("age+2",)
    assert second.options == (("mask.blur", "0.03"), ("mask.parse_every", "2"))


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("list.csv", "file,edits\na.mp4,age+2\n", "no column source"),
        ("list.csv", "source,edits\na.mp4,age+2,smile+1\n", "more cells"),
        ("list.csv", "source,edits\n,age+2\n", "row 1 .* has no source"),
        ("list.yaml", "source: a.mp4\n", "is not a list"),
        ("list.yaml", "- 3\n", "row 1 .* is not a clip"),
        ("list.yaml", "- {source: a.mp4, edits: [3]}\n", "edits must be a list"),
        ("list.yaml", "- [\n", "not valid YAML"),
    ],
)
def test_a_list_that_cannot_be_read_says_where(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=said):
        list(input_list.read_rows(str(tmp_path / name)))


def test_a_list_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        list(input_list.read_rows(str(tmp_path / "list.csv")))


ROW = InputRow(7, "/clips/day/talk.v2.mp4", "day", ("age+2", "smile+1@0:03-0:07"))


@pytest.mark.parametrize(
    ("template", "made"),
    [
        (output_names.DEFAULT, "day/talk.v2.edited.mp4"),
        ("{row:04d}-{stem}.mkv", "0007-talk.v2.mkv"),
        ("{parent}_{name}", "day_talk.v2.mp4"),
        ("{edits}{suffix}", "age+2_smile+1_0_03-0_07.mp4"),
    ],
)
def test_a_name_is_made_of_the_row(template: str, made: str) -> None:
    assert output_names.output_name(ROW, template) == made


def test_a_kind_of_file_that_is_not_written_becomes_mkv() -> None:
    assert output_names.output_name(InputRow(1, "old.avi"), output_names.DEFAULT) == "old.edited.mkv"


@pytest.mark.parametrize(
    "template", ["{stem.__class__}", "{nobody}", "{}", "{stem", "../{stem}{suffix}", "{row:x!}", ""]
)
def test_a_name_that_cannot_be_or_leaves_the_folder_is_a_usage_error(template: str) -> None:
    with pytest.raises(UsageError):
        output_names.output_name(ROW, template)
