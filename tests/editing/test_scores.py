"""Scores in a CSV: whose they are, and a line that cannot be read is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidinv.editing import scores
from vidinv.errors import UsageError


def test_seeds_come_before_files_and_a_spreadsheets_mark_is_no_letter(tmp_path: Path) -> None:
    path = tmp_path / "faces.csv"
    path.write_bytes(b"\xef\xbb\xbfseed,file,tan\r\n7,7.png,0.5\r\n12,12.png,-1e-1\r\n")
    found = scores.read_scores(path, "tan")
    assert found.seeds == (7, 12) and found.files == () and found.values.tolist() == pytest.approx([0.5, -0.1])


def test_files_lie_in_the_folder_or_beside_the_table(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a, b.jpg").touch()
    path = tmp_path / "s.csv"
    path.write_text('tan, file\n1, "a, b.jpg"\n')
    assert scores.read_scores(path, "tan", tmp_path / "photos").files == (tmp_path / "photos" / "a, b.jpg",)
    path.rename(tmp_path / "photos" / "s.csv")
    assert scores.read_scores(tmp_path / "photos" / "s.csv", "tan").files == (tmp_path / "photos" / "a, b.jpg",)


BAD = {
    "seed,glow\n1,2\n": r"line 1: no column 'tan' among seed, glow",
    "tan,name\n1,2\n": r"line 1: no column 'seed' or 'file'",
    "seed,tan\n1,2\n2,much\n": r"line 3: tan 'much' is not a number",
    "seed,tan\n1,2\n2,nan\n": r"line 3: tan 'nan' is not a number",
    "seed,tan\n1,2\n\n2,\n": r"line 4: tan '' is not a number",
    "seed,tan\n1,2\n2\n": r"line 3: tan '' is not a number",
    "seed,tan\n1.5,2\n": r"line 2: seed '1.5' is not a seed",
    "seed,tan\n-3,2\n": r"line 2: seed '-3' is not a seed",
    "seed,tan\n" + "9" * 30 + ",2\n": r"line 2: seed '9+' is not a seed",
    "file,tan\nnobody.jpg,2\n": r"line 2: the picture .*nobody.jpg",
    "file,tan\n,2\n": r"line 2: the picture",
    "seed,tan\n1,2,3\n": r"line 2: more cells than columns",
    "seed,tan\n": r"holds no scores",
    "": r"holds no scores",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_line_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(text)
    with pytest.raises(UsageError, match=BAD[text]):
        scores.read_scores(path, "tan")


def test_a_table_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read"):
        scores.read_scores(tmp_path / "none.csv", "tan")
    (tmp_path / "s.csv").write_bytes(b"seed,tan\n\xff\xfe\x00")
    with pytest.raises(UsageError, match="is not a CSV"):
        scores.read_scores(tmp_path / "s.csv", "tan")
