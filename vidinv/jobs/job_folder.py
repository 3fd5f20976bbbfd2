"""The job folder `<output>.vidinv/`: locked by one run, readable only by its owner, deleted when the job is done.

It is opened once, without following a link, and locked, emptied and deleted through that handle. Only files that a job
makes are ever removed (`job_contents`); a folder that holds anything else is refused before the work.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vidinv import fileio, process
from vidinv.errors import OutputUnwritable, UsageError
from vidinv.frames import Evidence
from vidinv.jobs import job_contents
from vidinv.jobs.request_files import RequestFiles
from vidinv.report import identity_evidence
from vidinv.stages.reencode import SegmentRecord

LOCK, PUBLISHED, RECORD, MADE = "lock", "published", "job.json", "made"
MARK = b"This folder belongs to an unfinished job of vidinv, which deletes it.\n"  # the content of the lock
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | fileio.NO_FOLLOW


class BeingWritten(OutputUnwritable):
    """Another run holds the lock of the job folder until it ends."""


class ResultKept(OutputUnwritable):
    """A finished file could not be published, because its name is in use; it is kept in the job folder."""


class JobFolder:
    """The journal, analysis and segments of one output. As a context manager it holds the folder's lock."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.with_name(output.name + ".vidinv")
        self.codes = self.path / "codes.safetensors"  # the inversion while the job runs
        self.config = self.path / "config.yaml"
        self.report = self.path / "report.json"  # of a finished job that is kept
        self._handle: int | None = None
        self._lock: int | None = None

    def __enter__(self) -> JobFolder:
        while self._lock is None:
            with fileio.writing(self.path, remedy="choose a folder you may write to"):
                self._take_lock()
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in (self._lock, self._handle):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._handle = None

    def check(self) -> None:
        """Raise OutputUnwritable if a folder, file or link has the name that no job has made, or not alone."""
        with fileio.writing(self.path):  # such as a name that is too long
            if self.path.is_symlink():
                raise OutputUnwritable(
                    f"{self.path} is a link to another folder", remedy="remove it, or choose another -o"
                )
            if self.path.exists() and not self.path.is_dir():
                raise OutputUnwritable(f"{self.path} is not a folder", remedy="remove it, or choose another -o")
            with self._opened() as handle:
                if handle is not None:
                    self._check_contents(handle)

    def _check_contents(self, handle: int) -> None:
        """Raise OutputUnwritable unless the folder is empty, or a job's, with nothing else in it."""
        found = list(job_contents.entries(handle))
        other = next((entry.path for entry in found if not entry.is_known), None)
        if other is None and found and not self._is_marked(handle, {entry.path for entry in found}):
            other = found[0].path
        if other is not None:
            raise OutputUnwritable(
                f"{self.path} holds {other}, which no job of vidinv made", remedy="move it away, or choose another -o"
            )

    def _is_marked(self, handle: int, names: set[str]) -> bool:
        """Whether a job began this folder: by its lock, or by a record with a checksum."""
        lock = b""
        with contextlib.suppress(FileNotFoundError):  # the run that holds the folder has just removed it
            descriptor = os.open(LOCK, os.O_RDONLY | fileio.NO_FOLLOW, dir_fd=handle)
            with os.fdopen(descriptor, "rb") as stream:
                lock = stream.read(len(MARK) + 1)
        if lock == MARK or (names == {LOCK} and not lock):  # killed before it wrote into its lock
            return True
        return any(fileio.read_sealed(self.path / name) is not None for name in (RECORD, PUBLISHED))

    def _take_lock(self) -> None:
        """Take the lock, unless the run that held it has just removed the folder."""
        with contextlib.suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        self.check()
        try:
            handle = os.open(self.path, _OPEN)
        except FileNotFoundError:
            return
        lock = None
        try:
            os.fchmod(handle, 0o700)
            lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | fileio.NO_FOLLOW, 0o600, dir_fd=handle)
            if not process.lock_descriptor(lock):
                raise BeingWritten(
                    f"{self.output} is being written by another run", remedy="wait for it, or choose another -o"
                )
            with contextlib.suppress(FileNotFoundError):  # the run that held it may have deleted the folder
                if os.path.samestat(os.fstat(lock), os.stat(self.path / LOCK, follow_symlinks=False)):
                    if os.fstat(lock).st_size < len(MARK):
                        os.pwrite(lock, MARK, 0)
                    self._lock, self._handle = lock, handle
        finally:
            if self._lock is None:
                for descriptor in (lock, handle):
                    if descriptor is not None:
                        os.close(descriptor)

    @property
    def is_begun(self) -> bool:
        """Whether the folder holds an unfinished job."""
        return (self.path / RECORD).exists()

    def claim(self, fingerprint: str, config: str) -> None:
        """Start the job, or resume it if the fingerprint of the folder is equal. Raises UsageError if it differs."""
        if not self.is_begun:
            self.empty()
            fileio.write_atomically(self.config, config)
            fileio.write_sealed(self.path / RECORD, json.dumps({"fingerprint": fingerprint}).encode())
            return
        known = self._known_fingerprint()
        if known != fingerprint:
            what = "a damaged job" if known is None else "an unfinished job"
            raise UsageError(
                f"{self.path} holds {what} with another source, edit or configuration",
                remedy="repeat that command, or delete the folder to start again",
            )

    def _known_fingerprint(self) -> str | None:
        """The fingerprint of the unfinished job; None where its record is damaged."""
        try:
            return str(fileio.parse_json(fileio.read_sealed(self.path / RECORD) or b"")["fingerprint"])
        except (fileio.BadJson, KeyError, TypeError):
            return None

    def empty(self) -> None:
        """Remove the files of a killed job that cannot be resumed. Raises UsageError if it can be resumed."""
        if self.is_begun:
            raise UsageError(
                f"{self.path} holds an unfinished job", remedy="finish it, or delete the folder to start again"
            )
        self._remove_known(but=(LOCK, PUBLISHED))

    def start_making(self, files: RequestFiles) -> RequestFiles:
        """Paths in this folder at which the `files` are made, before `publish` gives them their names.

        Files that a killed run had made there are removed.
        """
        self._remove_known(within=MADE)
        drafts = replace(files, codes=None).drafts(self.path / MADE)
        with fileio.writing(self.path):
            for path in drafts.paths():
                path.parent.mkdir(parents=True, mode=0o700)
        return replace(drafts, codes=None if files.codes is None else self.codes)

    def scratch(self, name: str) -> Path:
        """The path of a file that a job needs while it makes its files; `job_contents` knows its name."""
        with fileio.writing(self.path):
            (self.path / MADE / "scratch").mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.path / MADE / "scratch" / name

    def publish(self, made: Path, target: Path, *, overwrite: bool = False) -> None:
        """Rename `made`, a path of this folder, to `target`, and record that the target belongs to this job.

        Raises ResultKept if another file has the name, unless `overwrite` allows to replace a file or this job
        published it, and OutputUnwritable if the disk is full.
        """
        is_own = self.is_own(target)
        with fileio.writing(target):
            if is_own and target.is_dir():
                shutil.rmtree(target)
            try:
                fileio.publish(made, target, overwrite=overwrite or is_own, note=self._note_published)
            except OSError as error:
                if error.errno not in fileio.TAKEN:
                    raise
                raise ResultKept(
                    f"{target} exists: it was made while the job ran",
                    remedy=f"the result is kept as {made}; move one of them, or choose another -o",
                ) from error

    def is_own(self, target: Path) -> bool:
        """Whether `target` is a file or folder that this job published, before it was killed."""
        try:
            return fileio.identity(target).decode() in self._published()
        except FileNotFoundError:
            return False
        except OSError as error:  # such as a name that is too long
            raise fileio.unwritable(target, error, "choose another name") from error

    def _published(self) -> list[str]:
        known = fileio.read_sealed(self.path / PUBLISHED)
        return [] if known is None else known.decode().split("\n")

    def _note_published(self, identity: bytes) -> None:
        known = self._published()
        if identity.decode() not in known:
            fileio.write_sealed(self.path / PUBLISHED, "\n".join([*known, identity.decode()]).encode())

    def evidence(self, records: Sequence[SegmentRecord]) -> Callable[[], Iterator[Evidence]]:
        """A function that iterates over the evidence of the journal's `records` from the start on every call."""
        paths = [self.path / name for record in records for name in record.files if name.startswith("evidence-")]
        return lambda: identity_evidence.load_all_evidence(paths)

    def delete(self) -> None:
        """Remove the job's files and the folder; the record of what belongs to this job goes last.

        What is not the job's stays, and with it the folder.
        """
        self._remove_known(but=(LOCK, PUBLISHED))
        with contextlib.suppress(OSError), self._opened() as handle:
            if handle is None:
                return
            for name in (LOCK, PUBLISHED):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=handle)
            if os.path.samestat(os.fstat(handle), os.stat(self.path, follow_symlinks=False)):
                self.path.rmdir()

    def _remove_known(self, but: tuple[str, ...] = (), within: str = "") -> None:
        """Remove the files and folders that a job makes, all or those in the folder `within`, except `but`."""
        with self._opened() as handle:
            for entry in () if handle is None else job_contents.entries(handle):
                if (
                    not entry.is_known
                    or entry.path in but
                    or not f"{entry.path}/".startswith(f"{within}/" * bool(within))
                ):
                    continue
                with contextlib.suppress(OSError):
                    remove = os.rmdir if entry.is_folder else os.unlink
                    remove(entry.name, dir_fd=entry.folder)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int | None]:
        """Open the folder without following a link, and yield its handle; None if it does not exist."""
        if self._handle is not None:
            yield self._handle
            return
        try:
            handle = os.open(self.path, _OPEN)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
                raise
            yield None
            return
        try:
            yield handle
        finally:
            os.close(handle)


@contextlib.contextmanager
def fresh_job(output: Path) -> Iterator[JobFolder]:
    """Yield the locked, empty folder of a job that is never resumed; it is deleted at the end.

    It is kept if a finished file could not be published. Raises UsageError if it holds a job that can be resumed.
    """
    with JobFolder(output) as folder:
        folder.empty()
        try:
            yield folder
        except ResultKept:
            raise
        except BaseException:
            folder.delete()
            raise
        folder.delete()
