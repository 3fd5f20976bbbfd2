"""The job folder `<output>.vidinv/`: locked by one run, readable only by its owner, deleted when the job is done."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from vidinv import fileio, process
from vidinv.errors import OutputUnwritable, UsageError
from vidinv.frames import Evidence
from vidinv.media import photo
from vidinv.report import identity_evidence
from vidinv.stages.reencode import SegmentRecord

LOCK, PUBLISHED = "lock", "published"


class BeingWritten(OutputUnwritable):
    """Another run holds the lock of the job folder until it ends."""


class JobFolder:
    """The journal, analysis and segments of one output. As a context manager it holds the folder's lock."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.with_name(output.name + ".vidinv")
        self.codes = self.path / "codes.safetensors"  # the inversion while the job runs
        self.config = self.path / "config.yaml"
        self.report = self.path / "report.json"  # of a finished job that is kept
        self._lock: IO[str] | None = None

    def __enter__(self) -> JobFolder:
        while self._lock is None:
            self._lock = self._locked()
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def _locked(self) -> IO[str] | None:
        """Take the lock; None if the run that held it has just removed the folder."""
        if self.path.is_symlink():
            raise OutputUnwritable(f"{self.path} is a link to another folder", remedy="remove it, or choose another -o")
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            self.path.chmod(0o700)
            lock = (self.path / LOCK).open("w")
        except OSError as error:
            raise OutputUnwritable(
                f"{self.output.parent} cannot be written ({error.strerror})", remedy="choose a folder you may write to"
            ) from error
        if not process.lock_descriptor(lock.fileno()):
            lock.close()
            raise BeingWritten(
                f"{self.output} is being written by another run", remedy="wait for it, or choose another -o"
            )
        with contextlib.suppress(FileNotFoundError):  # the run that held it may have deleted the folder
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(self.path / LOCK)):
                return lock
        lock.close()
        return None

    @property
    def is_begun(self) -> bool:
        """Whether the folder holds an unfinished job."""
        return self._record.exists()

    @property
    def _record(self) -> Path:
        return self.path / "job.json"

    def claim(self, fingerprint: str, config: str) -> None:
        """Start the job, or resume it if the fingerprint of the folder is equal. Raises UsageError if it differs."""
        if not self.is_begun:
            self.empty()
            self.config.write_text(config, encoding="utf-8")
            fileio.write_sealed(self._record, json.dumps({"fingerprint": fingerprint}).encode())
            return
        known = fileio.read_sealed(self._record)
        if known is None or json.loads(known)["fingerprint"] != fingerprint:
            what = "a damaged job" if known is None else "an unfinished job"
            raise UsageError(
                f"{self.path} holds {what} with another source, edit or configuration",
                remedy="repeat that command, or delete the folder to start again",
            )

    def empty(self) -> None:
        """Remove the files of a killed job that cannot be resumed. Raises UsageError if it can be resumed."""
        if self.is_begun:
            raise UsageError(
                f"{self.path} holds an unfinished job", remedy="finish it, or delete the folder to start again"
            )
        for entry in self.path.iterdir():
            if entry.name not in (LOCK, PUBLISHED):
                _remove(entry)

    def place(self, output: Path) -> Path:
        """A path in an empty folder where `output` is made before it is published."""
        place = self.path / "made"
        _remove(place)
        place.mkdir()
        return place / output.name

    def publish(self, made: Path, output: Path, *, overwrite: bool = False) -> None:
        """Rename `made`, a path of this folder, to `output`, and record that the output belongs to this job.

        Raises OutputUnwritable, also if another file took the name while the job ran, unless `overwrite` allows it.
        """
        with fileio.writing(output):
            may_replace = overwrite or _is_own(output, self.output)
            fileio.write_sealed(self.path / PUBLISHED, _identity(made))
            if may_replace and output.is_dir():
                shutil.rmtree(output)
            if may_replace:
                made.replace(output)
                return
            try:
                fileio.publish_exclusively(made, output)
            except FileExistsError:
                (self.path / PUBLISHED).unlink()
                _check_free(output, overwrite=False)
                raise

    def evidence(self, records: Sequence[SegmentRecord]) -> Callable[[], Iterator[Evidence]]:
        """A function that iterates over the evidence of the journal's `records` from the start on every call."""
        paths = [self.path / name for record in records for name in record.files if name.startswith("evidence-")]
        return lambda: identity_evidence.load_all_evidence(paths)

    def delete(self) -> None:
        """Remove the folder; the record that the output belongs to this job goes last.

        The drafts that killed runs left next to the output go too: only the holder of this folder writes them.
        """
        for output in (self.output, missed_path(self.output)):
            for path in (output, sidecar_path(output), page_path(output), preview_path(output)):
                fileio.remove_drafts(path)
        for entry in sorted(self.path.iterdir(), key=lambda entry: (LOCK, PUBLISHED).count(entry.name)):
            with contextlib.suppress(OSError):
                _remove(entry)
        with contextlib.suppress(OSError):
            self.path.rmdir()


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink(missing_ok=True)


def _identity(path: Path) -> bytes:
    """What identifies a file or folder across a rename: device, inode and modification time."""
    known = path.stat()
    return f"{known.st_dev} {known.st_ino} {known.st_mtime_ns}".encode()


def check_output(output: Path, source: Path, overwrite: bool, job: Path | None = None) -> None:
    """Raise OutputUnwritable if `output` exists or cannot be written, UsageError if it is the input itself.

    A file that a killed run of the same job published may be replaced; `job` is that job's output (None: `output`).
    """
    try:
        _check_place(output, source)
        if not _is_own(output, job or output):
            _check_free(output, overwrite)
    except OSError as error:  # such as a name that is too long
        raise OutputUnwritable(
            f"{output} cannot be written ({error.strerror})", remedy="choose another name"
        ) from error


def _is_own(output: Path, job: Path) -> bool:
    published = fileio.read_sealed(JobFolder(job).path / PUBLISHED)
    return published is not None and output.exists() and published == _identity(output)


def _check_place(output: Path, source: Path) -> None:
    if not output.parent.is_dir():
        raise OutputUnwritable(f"the folder {output.parent} does not exist", remedy="create it first")
    if output.exists() and source.exists() and os.path.samefile(output, source):
        raise UsageError(f"{output} is the input itself", remedy="choose another -o")
    if not os.access(output.parent, os.W_OK):
        raise OutputUnwritable(f"{output.parent} cannot be written", remedy="choose a folder you may write to")


def _check_free(output: Path, overwrite: bool) -> None:
    if output.is_dir():
        raise OutputUnwritable(f"{output} is a folder", remedy="give another name with -o")
    if output.exists() and not overwrite:
        raise OutputUnwritable(f"{output} exists", remedy="give --overwrite or another -o")


def preview_path(output: Path) -> Path:
    """The path of the side-by-side preview of `output`: a video, or a picture for a picture."""
    return output.with_name(output.name + (".preview.png" if photo.is_photo(output) else ".preview.mp4"))


def page_path(output: Path) -> Path:
    """The path of the report page of `output`."""
    return output.with_name(output.name + ".report.html")


def missed_path(output: Path) -> Path:
    """The path of `output` if its gate is missed."""
    return output.with_name(
        f"{output.stem}.gate-missed{output.suffix}" if output.suffix else f"{output.name}-gate-missed"
    )


def sidecar_path(output: Path) -> Path:
    """The path of the JSON report of `output`."""
    return output.with_name(output.name + ".json")
