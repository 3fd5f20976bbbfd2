"""Open the folder of a batch: lock it, and keep its journal and log there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vidinv import fileio
from vidinv.batch import journal, storage, summary
from vidinv.batch import lock as batch_lock
from vidinv.batch.journal import BatchJournal
from vidinv.batch.lock import HeldFolder
from vidinv.errors import OutputUnwritable
from vidinv.terminal import escape_controls

LOG = "batch.log"
EXCHANGE = ".batch"  # the folder where workers exchange the parts of outputs; it is removed at the end
COPY_INTERVAL = 10.0  # seconds between copies of the journal to shared storage


@dataclass(frozen=True)
class BatchFolder:
    """The locked folder of a batch. `keep()` must be called after each change of the journal."""

    folder: str
    held: HeldFolder
    journal: BatchJournal
    log: Path
    keep: Callable[[], None]

    def note(self, line: str) -> None:
        """Add a line to the log."""
        shown = escape_controls(line).replace("\n", "\\n")
        with fileio.writing(self.log), self.log.open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {shown}\n")


@contextmanager
def open_batch_folder(folder: str) -> Iterator[BatchFolder]:
    """Lock and open the folder (a path or URL) of a batch. Raises OutputUnwritable.

    For shared storage the journal is a local SQLite file that is fetched at the start and copied back every
    COPY_INTERVAL seconds while it changes and at the end; the log is copied at the end. What a killed driver did not
    copy back is recovered from the reports next to the outputs.
    """
    if storage.is_url(folder) or storage.is_network(Path(folder)):
        with batch_lock.lease_folder(folder) as held, TemporaryDirectory(prefix="vidinv-") as scratch:
            yield from _shared(folder, held, Path(scratch))
        return
    with fileio.writing(folder, remedy="choose another -o"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    _check_own_files(folder)
    with batch_lock.lock_folder(Path(folder)) as held:
        known = BatchJournal(Path(folder) / journal.NAME)
        try:
            yield BatchFolder(folder, held, known, Path(folder) / LOG, lambda: None)
        except BaseException:
            if not sum(known.counts().values()):  # refused before its first clip
                known.close()
                _remove_unused(Path(folder))
            raise
        finally:
            known.close()


def _remove_unused(folder: Path) -> None:
    """Remove the files of a batch without clips, and its folder if nothing else is in it."""
    for name in (*(f"{journal.NAME}{suffix}" for suffix in ("", "-wal", "-shm")), batch_lock.LOCK):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):  # it holds something else
        folder.rmdir()


def _check_own_files(folder: str) -> None:
    """Check that the files that a batch keeps in its folder are a batch's, as far as any are there.

    They are if there is a journal, which is the first that a batch makes there. Raises OutputUnwritable.
    """
    remedy = "move it away, or choose another -o"
    is_local = not storage.is_url(folder)
    known = set(storage.names(folder)) | ({each.name for each in Path(folder).iterdir()} if is_local else set())
    for name in (journal.NAME, LOG, summary.PAGE, EXCHANGE):
        if is_local and (Path(folder) / name).is_symlink():
            raise OutputUnwritable(f"{storage.join(folder, name)} is a link", remedy=remedy)
        if name in known and journal.NAME not in known:
            raise OutputUnwritable(f"{storage.join(folder, name)} exists, and no batch has made it", remedy=remedy)


def _shared(folder: str, held: HeldFolder, scratch: Path) -> Iterator[BatchFolder]:
    _check_own_files(folder)
    for name in (journal.NAME, LOG):
        data = storage.read_small(storage.join(folder, name))
        if data is not None:
            (scratch / name).write_bytes(data)
    known = BatchJournal(scratch / journal.NAME)

    put = 0.0

    def keep(*, now: bool = False) -> None:
        nonlocal put
        held.check()
        if now or time.monotonic() - put > COPY_INTERVAL:
            storage.write_small(storage.join(folder, journal.NAME), known.copy())
            put = time.monotonic()

    try:
        yield BatchFolder(folder, held, known, scratch / LOG, keep)
        keep(now=True)
        if (scratch / LOG).exists():
            storage.upload(scratch / LOG, storage.join(folder, LOG))
    finally:
        known.close()
