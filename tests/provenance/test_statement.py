"""What metadata and the report beside a file say, for every kind of file that is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vidinv.bench.synthetic_clip import make_clip
from vidinv.errors import InputUnreadable
from vidinv.media import photo, picture_folder, remux
from vidinv.provenance import payload, statement

MADE = {"vidinv_version": "9.9", "vidinv_edits": "age+2 smile-1", "vidinv_weights": "a/b c/d"}
SAID = {"version": "9.9", "edits": "age+2 smile-1", "weights": "a/b c/d"}


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_videos_metadata_are_read(tmp_path: Path, suffix: str) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=3, bframes=0)
    output = tmp_path / f"out{suffix}"
    remux.assemble([source], source, output, metadata=MADE)
    assert statement.metadata(output) == SAID
    assert statement.metadata(source) == {}


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp"])
def test_a_pictures_metadata_are_read(tmp_path: Path, suffix: str) -> None:
    output = tmp_path / f"out{suffix}"
    known = photo.Photo(np.full((16, 16, 3), 90, np.uint8))
    photo.write_photo(output, known, MADE)
    assert statement.metadata(output) == SAID
    photo.write_photo(output, known, {})
    assert statement.metadata(output) == {}


def test_a_folders_metadata_are_read(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=3, bframes=0)
    picture_folder.assemble([source], source, tmp_path / "out", metadata=MADE)
    assert statement.metadata(tmp_path / "out") == SAID


@pytest.mark.parametrize("name", ["text.mp4", "text.png"])
def test_what_is_no_media_is_unreadable(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"only text\n" * 100)
    with pytest.raises(InputUnreadable):
        statement.metadata(tmp_path / name)


def test_the_report_says_what_it_is_of(tmp_path: Path) -> None:
    report = {
        "schema": "vidinv-report/2",
        "input": {"sha256": "12" * 32},
        "output": {"path": "out.mp4", "sha256": "ab" * 32},
        "settings": {"edits": ["age+2"]},
        "versions": {"vidinv": "9.9"},
    }
    (tmp_path / "out.mp4.json").write_text(json.dumps(report))
    found = statement.sidecar(tmp_path / "out.mp4", "ab" * 32)
    assert found is not None and found.name_agrees and found.sha256_agrees and not found.problem
    assert found.edits == ("age+2",) and found.version == "9.9"
    assert found.identity == payload.identity("12" * 32, ["age+2"])
    changed = statement.sidecar(tmp_path / "out.mp4", "cd" * 32)
    assert changed is not None and changed.sha256_agrees is False
    (tmp_path / "out.mp4.json").rename(tmp_path / "new.mp4.json")
    renamed = statement.sidecar(tmp_path / "new.mp4", "ab" * 32)
    assert renamed is not None and renamed.name_agrees is False
    assert statement.sidecar(tmp_path / "out.mp4", "ab" * 32) is None


@pytest.mark.parametrize("text", ["no JSON", "[1, 2]", "{}", '{"schema": 3}', '{"schema": "other/1"}', "[" * 100_000])
def test_another_file_of_that_name_is_no_report(tmp_path: Path, text: str) -> None:
    (tmp_path / "out.mp4.json").write_text(text)
    found = statement.sidecar(tmp_path / "out.mp4", "")
    assert found is not None and found.problem and found.edits is None


@pytest.mark.parametrize("settings", [None, [], {"edits": "age"}, {"edits": None}])
def test_a_report_that_lacks_parts_is_read_as_far_as_it_goes(tmp_path: Path, settings: object) -> None:
    (tmp_path / "out.mp4.json").write_text(json.dumps({"schema": "vidinv-report/2", "settings": settings}))
    found = statement.sidecar(tmp_path / "out.mp4", "")
    assert found is not None and not found.problem
    assert found.edits is None and found.identity is None and found.name_agrees is None
