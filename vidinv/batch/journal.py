"""Keep the journal of a batch: a SQLite file with the state of every clip: waiting, running, done or failed.

Only one process has it open (`vidinv/batch/lock.py`), so a clip that is running when the journal is opened was left by
a killed batch and becomes waiting again. Every change is on the disk before the batch continues.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidinv.batch.task import Outcome, TaskOrder
from vidinv.errors import OutputUnwritable, UsageError

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
        with self._failing():
            self._open = sqlite3.connect(path, isolation_level=None)
            tables = {name for (name,) in self._open.execute("select name from sqlite_master where type = 'table'")}
            if not tables <= {"clips"}:
                raise OutputUnwritable(f"{path} is no journal of a batch", remedy="choose another -o")
            self._open.execute("pragma journal_mode = wal")
            self._open.execute("pragma synchronous = full")
            self._open.executescript(_TABLE)

    @classmethod
    def draft(cls, known: Path | None) -> BatchJournal:
        """A journal in memory that starts as a copy of the one at `known`, which is not changed."""
        made = cls(Path(":memory:"))
        if known is not None and known.exists():
            source = sqlite3.connect(f"{known.absolute().as_uri()}?mode=ro", uri=True)
            source.backup(made._open)
            source.close()
        return made

    def close(self) -> None:
        """Merge the write-ahead log into the file, if there is room for it, and close it."""
        with contextlib.suppress(sqlite3.Error):
            self._open.execute("pragma wal_checkpoint(truncate)")
            self._open.close()

    def enter(self, orders: Iterable[TaskOrder], *, again: bool = False) -> None:
        """Enter all of the orders, or none; done clips stay done, failed clips are retried if `again`.

        Raises UsageError for two rows with the same output, and for a clip that this folder has with another request,
        unless its order says overwrite: then it is made again.
        """
        self._run("begin immediate")
        try:
            self._run("update clips set row = null")
            self._run("update clips set state = 'waiting' where state = 'running'")
            for order in orders:
                self._enter(order)
            if again:
                self._run("update clips set state = 'waiting', tries = 0, error = '' where state = 'failed'")
            self._run("commit")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._open.execute("rollback")
            raise

    def _enter(self, order: TaskOrder) -> None:
        request = order.to_json()
        found = self._run("select row, asked from clips where name = ?", (order.name,))
        if not found:
            self._run(
                "insert into clips (name, row, asked, fresh) values (?, ?, ?, ?)",
                (order.name, order.row, request, order.overwrite),
            )
            return
        row, asked = found[0]
        if row is not None:
            raise UsageError(
                f"rows {row} and {order.row} would both be written to {order.name}",
                remedy="give --name a template that separates them, such as {parent}/{stem} or {row}-{stem}",
            )
        if asked == request:
            self._run("update clips set row = ? where name = ?", (order.row, order.name))
            return
        if not order.overwrite:
            raise UsageError(
                f"{order.name} was requested with other settings before (row {order.row})",
                remedy="give --overwrite to make it again, or another -o",
            )
        self._run(
            "update clips set row = ?, asked = ?, state = 'waiting', tries = 0, code = 0, error = '', seconds = 0,"
            " figures = '{}', fresh = 1 where name = ?",
            (order.row, request, order.name),
        )

    def take(self) -> TaskOrder | None:
        """Take the next waiting clip and mark it running; clips with fewer tries come first."""
        found = self._run(
            "update clips set state = 'running' where name = (select name from clips where state = 'waiting' and"
            " row is not null order by tries, row limit 1) returning row, name, asked, fresh"
        )
        if not found:
            return None
        row, name, request, fresh = found[0]
        order = TaskOrder.of_json(request, row, name)
        return TaskOrder(row, order.source, name, order.config, order.options, bool(fresh))

    def end(self, order: TaskOrder, outcome: Outcome, tries: int) -> bool:
        """Record the outcome of a clip; returns whether it waits for another of its `tries`."""
        ((before,),) = self._run("select tries from clips where name = ?", (order.name,))
        again = outcome.may_succeed_later and before + 1 < tries
        state = "done" if outcome.code == 0 else "waiting" if again else "failed"
        self._run(
            "update clips set state = ?, tries = tries + 1, code = ?, error = ?, seconds = seconds + ?, figures = ?"
            " where name = ?",
            (state, outcome.code, outcome.error, outcome.seconds, json.dumps(outcome.figures), order.name),
        )
        return again

    def clips(self, state: str | None = None) -> Iterator[ClipRecord]:
        """Yield the clips of this batch's list in order; only those in `state`, if given."""
        where = "row is not null" + ("" if state is None else " and state = ?")
        with self._failing():
            found = self._open.execute(
                "select row, name, asked, state, tries, code, error, seconds, figures from clips"
                f" where {where} order by row",
                () if state is None else (state,),
            )
        for row, name, request, standing, tries, code, error, seconds, figures in found:
            values = json.loads(request)
            edits = tuple(values["config"]["edits"])
            known = json.loads(figures)
            yield ClipRecord(row, name, values["source"], edits, standing, tries, code, error, seconds, known)

    def counts(self) -> dict[str, int]:
        """Number of clips of this batch's list in each state."""
        found = self._run("select state, count(*) from clips where row is not null group by state")
        return {"waiting": 0, "running": 0, "done": 0, "failed": 0} | dict(found)

    def codes(self) -> set[int]:
        """The exit codes of the clips that failed."""
        found = self._run("select distinct code from clips where row is not null and state = 'failed'")
        return {code for (code,) in found}

    def copy(self) -> bytes:
        """The bytes of the journal as a single file."""
        self._run("pragma wal_checkpoint(truncate)")
        return self.path.read_bytes()

    def _run(self, statement: str, values: tuple[Any, ...] = ()) -> list[Any]:
        """Execute a statement and return its rows. Raises OutputUnwritable, such as for a full disk."""
        with self._failing():
            return self._open.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        """Turn an error of SQLite into an OutputUnwritable."""
        try:
            yield
        except sqlite3.Error as error:
            raise OutputUnwritable(
                f"cannot use the journal {self.path} ({error})",
                remedy="free some disk space and run the same command again, or choose another -o",
            ) from error
