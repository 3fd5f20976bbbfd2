"""What is written is whole or not there, nothing is left of what failed, and errors name the path."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from vidinv import fileio, process
from vidinv.errors import OutputUnwritable


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_only_when_its_block_ends_well(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(RuntimeError), fileio.replacing(path) as draft:
        draft.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and names(tmp_path) == ["file"]
    with fileio.replacing(path) as draft:
        draft.write_text("new")
        assert path.read_text() == "old" and draft.parent == tmp_path and draft.name.startswith(".")
    assert path.read_text() == "new" and names(tmp_path) == ["file"]


def test_two_writers_of_one_file_have_drafts_of_their_own(tmp_path: Path) -> None:
    with fileio.replacing(tmp_path / "file") as one, fileio.replacing(tmp_path / "file") as two:
        one.write_text("one")
        two.write_text("two")
    assert (tmp_path / "file").read_text() == "one" and names(tmp_path) == ["file"]  # the last that ended


def test_the_longest_name_that_a_disk_takes_is_written(tmp_path: Path) -> None:
    name = "ü" * 127
    fileio.write_atomically(tmp_path / name, "text")
    assert names(tmp_path) == [name]


def test_a_private_file_is_its_owners_alone_from_the_start_and_others_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with fileio.replacing(tmp_path / "private", private=True) as draft:
            assert mode(draft) == 0o600
        fileio.write_atomically(tmp_path / "plain", b"")
    finally:
        os.umask(before)
    assert mode(tmp_path / "private") == 0o600 and mode(tmp_path / "plain") == 0o640


def test_what_cannot_be_written_is_one_line_with_its_path_and_a_remedy(tmp_path: Path) -> None:
    path = tmp_path / "none" / "file"
    with pytest.raises(OutputUnwritable) as refused:
        fileio.write_atomically(path, "text")
    assert str(refused.value) == f"{path} cannot be written (No such file or directory); create the folder first"
    fileio.write_atomically(path, "text", parents=True)
    assert path.read_text() == "text"
    full = pytest.raises(OutputUnwritable, match=r"No space left on device.*; choose another disk")
    with full, fileio.replacing(path, remedy="choose another disk"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert path.read_text() == "text" and names(path.parent) == ["file"]


def test_a_folder_appears_when_it_is_whole_and_does_not_hide_another(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    with pytest.raises(RuntimeError), fileio.creating_folder(folder) as draft:
        (draft / "file").write_text("half")
        raise RuntimeError
    assert names(tmp_path) == []
    with fileio.creating_folder(folder) as draft:
        (draft / "file").write_text("whole")
        assert not folder.exists()
    with pytest.raises(OutputUnwritable, match="folder cannot be written"), fileio.creating_folder(folder) as draft:
        (draft / "file").write_text("other")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutputUnwritable, match="empty cannot be written"), fileio.creating_folder(tmp_path / "empty"):
        pass
    (tmp_path / "empty").rmdir()
    assert (folder / "file").read_text() == "whole" and names(tmp_path) == ["folder"]


def without_links(*_: object, **__: object) -> None:
    raise PermissionError(errno.EPERM, "this disk has no links")


def on_another_disk(*_: object, **__: object) -> None:
    raise OSError(errno.EXDEV, "another disk")


def test_a_file_goes_to_another_disk_whole_and_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made, wanted, plain = tmp_path / "made", tmp_path / "wanted", os.link

    def across(source: str, *given: object, **options: object) -> None:
        on_another_disk() if source == "made" else plain(source, *given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "link", across)
    made.write_bytes(b"codes")
    fileio.publish(made, wanted)
    assert wanted.read_bytes() == b"codes" and mode(wanted) == 0o600 and names(tmp_path) == ["wanted"]
    made.write_bytes(b"other codes")
    with pytest.raises(FileExistsError):
        fileio.publish(made, wanted)
    assert wanted.read_bytes() == b"codes" and names(tmp_path) == ["made", "wanted"]


DISKS = ("links", "exclusive renames", "neither")


def has_only(disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a disk with hard links, or without them but with exclusive renames, or with neither."""
    if disk != "links":
        monkeypatch.setattr(os, "link", without_links)
    if disk == "neither":
        monkeypatch.setattr(process, "rename_exclusively", lambda *_: False)


@pytest.mark.parametrize("disk", DISKS)
def test_publishing_does_not_overwrite(tmp_path: Path, disk: str, monkeypatch: pytest.MonkeyPatch) -> None:
    has_only(disk, monkeypatch)
    made, wanted, noted = tmp_path / "made", tmp_path / "wanted", list[bytes]()
    made.write_text("made")
    fileio.publish(made, wanted, note=noted.append)
    assert wanted.read_text() == "made" and names(tmp_path) == ["wanted"]
    assert fileio.identity(wanted) in noted
    made.write_text("again")
    with pytest.raises(FileExistsError):
        fileio.publish(made, wanted)
    assert wanted.read_text() == "made" and made.read_text() == "again"
    fileio.publish(made, wanted, overwrite=True)
    assert wanted.read_text() == "again" and names(tmp_path) == ["wanted"]


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_link_is_never_written_through(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "wanted").symlink_to(tmp_path / "nothing")
    if overwrite:
        fileio.write_atomically(tmp_path / "wanted", "text")
        assert not (tmp_path / "wanted").is_symlink()
    else:
        with pytest.raises(OutputUnwritable, match="wanted exists"):
            fileio.write_atomically(tmp_path / "wanted", "text", overwrite=False)
        assert (tmp_path / "wanted").is_symlink()
    assert not (tmp_path / "nothing").exists()


def test_what_came_while_a_file_was_written_stays_and_the_file_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    with pytest.raises(OutputUnwritable) as refused, fileio.replacing(path, overwrite=False) as draft:
        draft.write_text("made")
        path.write_text("somebody's")
    assert path.read_text() == "somebody's"
    (kept,) = tmp_path.glob("scores.kept-*.json")
    assert kept.read_text() == "made" and str(kept) in str(refused.value)
    assert len(names(tmp_path)) == 2


@pytest.mark.parametrize("kind", ["file", "link", "folder", "pipe"])
def test_a_name_is_free_where_nothing_is_harmed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "path"
    fileio.check_free(path)
    make = {"file": path.touch, "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}
    make.get(kind, lambda: path.symlink_to("nothing"))()
    with pytest.raises(OutputUnwritable, match="path"):
        fileio.check_free(path)
    if kind in ("file", "link"):
        fileio.check_free(path, overwrite=True)
    else:
        with pytest.raises(OutputUnwritable, match="path"):
            fileio.check_free(path, overwrite=True)


@pytest.mark.parametrize("disk", DISKS)
def test_a_folder_is_published_and_does_not_overwrite(
    tmp_path: Path, disk: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    has_only(disk, monkeypatch)
    made, wanted = tmp_path / "made", tmp_path / "wanted"
    for _ in range(2):
        made.mkdir(exist_ok=True)
        (made / "file").write_text("made")
        if not wanted.exists():
            fileio.publish(made, wanted)
    with pytest.raises(FileExistsError):
        fileio.publish(made, wanted)
    assert names(tmp_path) == ["made", "wanted"] and (wanted / "file").read_text() == "made"


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    program = "import os, sys; from pathlib import Path; from vidinv import fileio\n"
    program += "with fileio.replacing(Path(sys.argv[1])) as draft: os.kill(os.getpid(), 9)"
    long = "x" * 60  # names with the same beginning
    for name in ("a", "a.b", f"{long}1", f"{long}2"):
        subprocess.run([sys.executable, "-c", program, str(tmp_path / name)], cwd=Path(__file__).parents[1])
    (tmp_path / ".a.part").write_text("somebody's own")
    assert len(names(tmp_path)) == 5
    fileio.remove_drafts(tmp_path / "a")
    fileio.remove_drafts(tmp_path / f"{long}1")
    left = names(tmp_path)
    assert len(left) == 3 and ".a.part" in left and any(name.startswith(".a.b.") for name in left)
    fileio.remove_drafts(tmp_path / f"{long}2")
    assert len(names(tmp_path)) == 2


def test_tensors_are_written_whole_and_a_full_disk_is_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    value = torch.arange(6.0).reshape(2, 3).T  # not contiguous
    fileio.write_tensors(tmp_path / "below" / "file", {"value": value}, {"key": "text"}, parents=True)
    assert torch.equal(load_file(tmp_path / "below" / "file")["value"], value)
    (tmp_path / "file").mkdir()
    with pytest.raises(OutputUnwritable, match="file cannot be written"):
        fileio.write_tensors(tmp_path / "file", {"value": value})
    assert names(tmp_path) == ["below", "file"]


def test_digests_are_of_bytes_files_and_folders(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one" * 1_000_000)
    known = hashlib.sha256(b"one" * 1_000_000).hexdigest()
    assert fileio.sha256(tmp_path / "a") == fileio.content_sha256(tmp_path / "a") == known
    assert fileio.sha256_of_bytes("zwölf") == hashlib.sha256("zwölf".encode()).hexdigest()
    assert fileio.sha256_of_blocks([b"on", b"e"]) == fileio.sha256_of_bytes(b"one")
    before = fileio.content_sha256(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    assert fileio.content_sha256(tmp_path) != before


@pytest.mark.parametrize("data", [b"", b"one\ntwo", bytes(range(256)) * 40])
def test_what_was_sealed_is_read_back(tmp_path: Path, data: bytes) -> None:
    fileio.write_sealed(tmp_path / "file", data)
    assert fileio.read_sealed(tmp_path / "file") == data
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_is_cut_off_or_changed_anywhere_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert fileio.read_sealed(path) is None
    fileio.write_sealed(path, b"a few bytes")
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at])
        assert fileio.read_sealed(path) is None
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        assert fileio.read_sealed(path) is None


def test_no_file_stands_for_another(tmp_path: Path) -> None:
    fileio.write_sealed(tmp_path / "one", b"data")
    (tmp_path / "two").write_bytes((tmp_path / "one").read_bytes())
    assert fileio.read_sealed(tmp_path / "two") is None


def test_lines_are_trusted_up_to_the_first_that_is_damaged() -> None:
    lines = [fileio.sealed_line(text) for text in ('{"a": 1}', "zwölf", "last")]
    assert fileio.sealed_lines(b"".join(lines)) == ['{"a": 1}', "zwölf", "last"]
    assert fileio.sealed_lines(b"".join(lines)[:-3]) == ['{"a": 1}', "zwölf"]
    assert fileio.sealed_lines(lines[0] + b"\xff\xfe\n" + lines[2]) == ['{"a": 1}']
    assert fileio.sealed_lines(b"") == []
