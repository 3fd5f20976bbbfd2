"""Keep the journal of a batch: a SQLite file with the state of every clip: waiting, running, done or failed.

Only one process has it open (`vidinv/batch/lock.py`), so a clip that is running when the journal is opened was left by
a killed batch and becomes waiting again. Every change is on the disk before the batch continues.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidinv import fileio
from vidinv.batch.task import Outcome, TaskOrder
from vidinv.errors import OutputUnwritable, UsageError
from vidinv.terminal import escape_surrogates

NAME = "batch.sqlite"
_TABLE = """
create table if not exists clips (
    name text primary key,  -- of the output, below the batch's folder
    row integer unique,     -- in the list of this batch; null if it is no longer in the list
    asked text not null,
    state text not null default 'waiting',  -- waiting, running, done, failed
    tries integer not null default 0,       -- finished tries
    code integer not null default 0,
    error text not null default '',
    seconds real not null default 0,
    figures text not null default '{}',
    fresh integer not null default 0        -- whether an existing output is replaced
);
create index if not exists next on clips (state, tries, row);
"""


@dataclass(frozen=True)
class ClipRecord:
    """The journal's entry on a clip."""

    row: int
    name: str
    source: str
    edits: tuple[str, ...]
    state: str
    tries: int
    code: int
    error: str
    seconds: float
    figures: dict[str, Any]


class BatchJournal:
    """The open journal at `path`. Raises OutputUnwritable if it cannot be opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._open = sqlite3.connect(path, isolation_level=None)
            self._open.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
            self._open.execute("pragma trusted_schema = off")
            tables = {name for (name,) in self._open.execute("select name from sqlite_master where type = 'table'")}
            if not tables <= {"clips"}:  # another program's file, which must stay as it is
                raise self._unusable("it is no journal of a batch")
            self._open.execute("pragma journal_mode = wal")
            self._open.execute("pragma synchronous = full")
            self._open.executescript(_TABLE)
        except sqlite3.Error as error:
            raise self._unusable(error) from error
        self._check_schema()

    @classmethod
    def draft(cls, known: Path | None) -> BatchJournal:
        """A journal in memory that starts as a copy of the one at `known`, which is not changed."""
        made = cls(Path(":memory:"))
        if known is not None and known.exists():
            made.path = known
            try:
                source = sqlite3.connect(f"{known.absolute().as_uri()}?mode=ro", uri=True)
                with closing(source):
                    source.backup(made._open)
            except sqlite3.Error as error:
                raise made._unusable(error) from error
            made._check_schema()
        return made

    def close(self) -> None:
        """Merge the write-ahead log into the file, if there is room for it, and close it."""
        with suppress(sqlite3.Error):
            self._open.execute("pragma wal_checkpoint(truncate)")
            self._open.close()

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """Run one statement. Raises OutputUnwritable where the disk is full or the file is damaged."""
        try:
            return self._open.execute(statement, values)
        except sqlite3.Error as error:
            raise self._unusable(error) from error

    def _check_schema(self) -> None:
        """Raise OutputUnwritable unless the file holds the table and the index above, and no views or triggers."""
        fresh = sqlite3.connect(":memory:")
        fresh.executescript(_TABLE)
        with closing(fresh):
            wanted = fresh.execute("select type, name, sql from sqlite_master order by name").fetchall()
        found = self._execute("select type, name, sql from sqlite_master order by name").fetchall()
        if found != wanted:
            raise self._unusable("it was not made by this version")

    def _unusable(self, reason: object) -> OutputUnwritable:
        is_full = isinstance(reason, sqlite3.Error) and "full" in str(reason)
        remedy = "free some space and run the same command again" if is_full else "choose another -o"
        return OutputUnwritable(f"cannot use the journal {self.path} ({reason})", remedy=remedy)

    def enter(self, orders: Iterable[TaskOrder], *, again: bool = False) -> None:
        """Enter all of the orders, or none; done clips stay done, failed clips are retried if `again`.

        Raises UsageError for two rows with the same output, and for a clip that this folder has with another request,
        unless its order says overwrite: then it is made again.
        """
        self._execute("begin immediate")
        try:
            self._execute("update clips set row = null")
            self._execute("update clips set state = 'waiting' where state = 'running'")
            for order in orders:
                self._enter(order)
            if again:
                self._execute("update clips set state = 'waiting', tries = 0, error = '' where state = 'failed'")
            self._execute("commit")
        except BaseException:
            with suppress(sqlite3.Error):
                self._open.execute("rollback")
            raise

    def _enter(self, order: TaskOrder) -> None:
        request = order.to_json()
        name = _stored(order.name)
        known = self._execute("select row, asked from clips where name = cast(? as text)", (name,)).fetchone()
        if known is None:
            self._execute(
                "insert into clips (name, row, asked, fresh) values (cast(? as text), ?, ?, ?)",
                (name, order.row, request, order.overwrite),
            )
            return
        if known[0] is not None:
            raise UsageError(
                f"rows {known[0]} and {order.row} would both be written to {order.name}",
                remedy="give --name a template that separates them, such as {parent}/{stem} or {row}-{stem}",
            )
        if known[1] == request:
            self._execute("update clips set row = ? where name = cast(? as text)", (order.row, name))
            return
        if not order.overwrite:
            raise UsageError(
                f"{order.name} was requested with other settings before (row {order.row})",
                remedy="give --overwrite to make it again, or another -o",
            )
        self._execute(
            "update clips set row = ?, asked = ?, state = 'waiting', tries = 0, code = 0, error = '', seconds = 0,"
            " figures = '{}', fresh = 1 where name = cast(? as text)",
            (order.row, request, name),
        )

    def take(self) -> TaskOrder | None:
        """Take the next waiting clip and mark it running; clips with fewer tries come first."""
        found = self._execute(
            "update clips set state = 'running' where name = (select name from clips where state = 'waiting' and"
            " row is not null order by tries, row limit 1) returning row, name, asked, fresh"
        ).fetchall()
        if not found:
            return None
        row, name, request, fresh = found[0]
        try:
            order = TaskOrder.of_json(request, row, name)
        except (ValueError, KeyError, TypeError, AttributeError, UsageError) as error:
            raise self._damaged(row) from error
        return TaskOrder(row, order.source, name, order.config, order.options, bool(fresh))

    def end(self, order: TaskOrder, outcome: Outcome, tries: int) -> bool:
        """Record the outcome of a clip; returns whether it waits for another of its `tries`."""
        name = _stored(order.name)
        (before,) = self._execute("select tries from clips where name = cast(? as text)", (name,)).fetchone()
        again = outcome.may_succeed_later and before + 1 < tries
        state = "done" if outcome.code == 0 else "waiting" if again else "failed"
        error = escape_surrogates(outcome.error)
        self._execute(
            "update clips set state = ?, tries = tries + 1, code = ?, error = ?, seconds = seconds + ?, figures = ?"
            " where name = cast(? as text)",
            (state, outcome.code, error, outcome.seconds, json.dumps(outcome.figures), name),
        )
        return again

    def clips(self, state: str | None = None) -> Iterator[ClipRecord]:
        """Yield the clips of this batch's list in order; only those in `state`, if given."""
        where = "row is not null" + ("" if state is None else " and state = ?")
        found = self._execute(
            "select row, name, asked, state, tries, code, error, seconds, figures from clips"
            f" where {where} order by row",
            () if state is None else (state,),
        )
        for row, name, request, standing, tries, code, error, seconds, figures in found:
            try:
                values, known = fileio.parse_json(request), fileio.parse_json(figures)
                edits, source = tuple(map(str, values["config"]["edits"])), str(values["source"])
                record = ClipRecord(
                    int(row), name, source, edits, standing, int(tries), int(code), error, float(seconds), known
                )
                _check_figures(known)
            except (ValueError, KeyError, TypeError) as error:
                raise self._damaged(row) from error
            yield record

    def _damaged(self, row: object) -> UsageError:
        return UsageError(
            f"the journal {self.path} is damaged in row {row}", remedy="delete it to look at every clip again"
        )

    def counts(self) -> dict[str, int]:
        """Number of clips of this batch's list in each state."""
        found = self._execute("select state, count(*) from clips where row is not null group by state")
        return {"waiting": 0, "running": 0, "done": 0, "failed": 0} | dict(found.fetchall())

    def codes(self) -> set[int]:
        """The exit codes of the clips that failed."""
        found = self._execute("select distinct code from clips where row is not null and state = 'failed'")
        return {code for (code,) in found}

    def copy(self) -> bytes:
        """The bytes of the journal as a single file."""
        self._execute("pragma wal_checkpoint(truncate)")
        return self.path.read_bytes()


def _stored(name: str) -> bytes:
    """A name as it is stored: the bytes of the file system, which need not be UTF-8."""
    return name.encode("utf-8", "surrogateescape")


def _check_figures(figures: dict[str, Any]) -> None:
    """Raise ValueError where a figure of a clip is neither a number nor the list of its files."""
    if not isinstance(figures, dict):
        raise ValueError("the figures are not an object")
    for name, value in figures.items():
        if name == "files" and isinstance(value, list) and all(isinstance(each, str) for each in value):
            continue
        if name == "files" or isinstance(value, bool) or not isinstance(value, int | float | None):
            raise ValueError(f"the figure {name} is {value!r}")
