"""A batch folder that somebody hands over: its journal is used, or one line says what to do."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.helpers.json_changes import changed
from vidinv import config as configs
from vidinv.batch.journal import BatchJournal
from vidinv.batch.task import BatchOptions, Outcome, TaskOrder
from vidinv.errors import OutputUnwritable, UsageError, VidinvError

CONFIG = configs.with_edits(configs.load_run_config("fast", ["backend=tiny"]), ["age+2"])
ORDER = TaskOrder(1, "a.mp4", "a.edited.mp4", CONFIG, BatchOptions(report=True, min_ic=0.5))
FIGURES = {"frames": 5, "ic": 0.5, "arcface": None, "files": ["a.edited.mp4"]}


def kept(path: Path) -> Path:
    journal = BatchJournal(path)
    journal.enter([ORDER])
    taken = journal.take()
    assert taken is not None
    journal.end(taken, Outcome(0, figures=FIGURES), 3)
    journal.close()
    return path


def run(path: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    with sqlite3.connect(path) as database:
        for statement, values in statements:
            database.execute(statement, values)


def read(path: Path) -> None:
    """What a summary and the next clip read of a journal."""
    journal = BatchJournal(path)
    try:
        list(journal.clips())
        journal.take()
    finally:
        journal.close()


@pytest.mark.parametrize("column", ["asked", "figures"])
def test_any_change_of_what_was_asked_or_found_is_read_or_refused(tmp_path: Path, column: str) -> None:
    path = kept(tmp_path / "j")
    document = json.loads(ORDER.to_json()) if column == "asked" else FIGURES
    refused = 0
    for name, made in list(changed(document))[:: 17 if column == "asked" else 1]:
        run(path, (f"update clips set {column} = ?, state = 'waiting'", (json.dumps(made),)))
        try:
            read(path)
        except VidinvError as error:
            refused += 1
            assert error.exit_code in (2, 7) and "\n" not in str(error), name
    assert refused > 10


@pytest.mark.parametrize("text", ["", "no JSON", "[" * 100_000, "[]", "3", "null", b"\xff\x00"])
@pytest.mark.parametrize("column", ["asked", "figures", "row", "seconds", "tries", "name", "state"])
def test_a_cell_of_another_kind_is_refused_in_one_line(tmp_path: Path, column: str, text: str | bytes) -> None:
    path = kept(tmp_path / "j")
    run(path, (f"update clips set {column} = ?", (text,)))
    try:
        read(path)
    except (UsageError, OutputUnwritable) as error:
        assert "journal" in str(error) and "\n" not in str(error)
    else:
        assert column in ("name", "state") or text == "3"


@pytest.mark.parametrize(
    "statement",
    [
        "drop index next",
        "alter table clips drop column figures",
        "create table more (a)",
        "create view more as select * from clips",
        "create trigger more after update on clips begin update clips set tries = tries + 1; end",
    ],
)
def test_a_journal_with_another_schema_is_not_used(tmp_path: Path, statement: str) -> None:
    path = kept(tmp_path / "j")
    run(path, (statement, ()))
    if statement == "drop index next":  # it is made again
        return read(path)
    with pytest.raises(OutputUnwritable, match="journal"):
        BatchJournal(path)
    with pytest.raises(OutputUnwritable, match="journal"):
        BatchJournal.draft(path)


def test_a_draft_of_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"SQLite format 3\0" + bytes(4000))
    with pytest.raises(OutputUnwritable, match="journal"):
        BatchJournal.draft(tmp_path / "j")


def test_names_that_are_not_utf8_are_kept_and_told_apart(tmp_path: Path) -> None:
    journal = BatchJournal(tmp_path / "j")
    names = [f"lat{letter}.edited.mp4" for letter in ("\udce9", "\udcea", "é")]
    orders = [TaskOrder(n, f"{name}.mp4", name, CONFIG) for n, name in enumerate(names, 1)]
    journal.enter(orders)
    assert [journal.take() for _ in names] == orders
    for order in orders:
        journal.end(order, Outcome(3, error=f"{order.name} is unreadable"), 1)
    assert [clip.name for clip in journal.clips()] == names and journal.counts()["failed"] == 3
    assert [clip.source for clip in journal.clips()] == [order.source for order in orders]
