"""The job folder `<output>.vidinv/`: one job at a time, readable by its owner alone, gone when the job is done."""

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
    """Another run holds the job folder; it lets go when it ends."""


class JobFolder:
    """Holds the journal, the analysis and the segments of one output. Use as a context manager: it holds the lock."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.with_name(output.name + ".vidinv")
        self.codes = self.path / "codes.safetensors"  # the inversion, until the job is done
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
        """The lock, held; None where the run that held it removed the folder just before."""
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
        with contextlib.suppress(FileNotFoundError):  # a run that ended now took its folder along
            if os.path.samestat(os.fstat(lock.fileno()), os.stat(self.path / LOCK)):
                return lock
        lock.close()
        return None

    @property
    def is_begun(self) -> bool:
        """Whether a job in it was begun and not finished."""
        return self._record.exists()

    @property
    def _record(self) -> Path:
        return self.path / "job.json"

    def claim(self, fingerprint: str, config: str) -> None:
        """Start the job, or resume it if the folder's own fingerprint is equal; UsageError if it is another."""
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
                remedy="repeat that command, or delete the folder to start anew",
            )

    def empty(self) -> None:
        """Remove what a killed job left that cannot be gone on from; UsageError where another job could go on."""
        if self.is_begun:
            raise UsageError(
                f"{self.path} holds an unfinished job", remedy="finish it, or delete the folder to start anew"
            )
        for entry in self.path.iterdir():
            if entry.name not in (LOCK, PUBLISHED):
                _remove(entry)

    def place(self, output: Path) -> Path:
        """Where to make what is to be `output`; nothing is there yet."""
        place = self.path / "made"
        _remove(place)
        place.mkdir()
        return place / output.name

    def publish(self, made: Path, output: Path, *, overwrite: bool = False) -> None:
        """Rename what was `made` in this folder to `output`; a run that is repeated from here on recognises it.

        Raises OutputUnwritable, also where something that is not this job's came to have the name while the job ran,
        unless that is to be overwritten.
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
        """Remove the folder and everything in it: last what says that the output is its own.

        The drafts that killed runs left beside the output go too: whoever holds this folder is the only writer of them.
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
    """What stays of a file or folder when it is renamed."""
    known = path.stat()
    return f"{known.st_dev} {known.st_ino} {known.st_mtime_ns}".encode()


def check_output(output: Path, source: Path, overwrite: bool, job: Path | None = None) -> None:
    """Raise OutputUnwritable where `output` cannot become the result; UsageError where it is the input itself.

    What a killed run of the job of output `job` (itself, if None) put there may be replaced.
    """
    try:
        _check_place(output, source)
        if not _is_own(output, job or output):
            _check_free(output, overwrite)
    except OSError as error:  # a name that no disk takes
        raise OutputUnwritable(
            f"{output} cannot be written ({error.strerror})", remedy="choose another name"
        ) from error


def _is_own(output: Path, job: Path) -> bool:
    published = fileio.read_sealed(JobFolder(job).path / PUBLISHED)
    return published is not None and output.exists() and published == _identity(output)


def _check_place(output: Path, source: Path) -> None:
    if not output.parent.is_dir():
        raise OutputUnwritable(f"the folder {output.parent} does not exist", remedy="create it first")
    if output.exists() and os.path.samefile(output, source):
        raise UsageError(f"{output} is the input itself", remedy="choose another -o")
    if not os.access(output.parent, os.W_OK):
        raise OutputUnwritable(f"{output.parent} cannot be written", remedy="choose a folder you may write to")


def _check_free(output: Path, overwrite: bool) -> None:
    if output.is_dir():
        raise OutputUnwritable(f"{output} is a folder", remedy="give a name with -o that is not taken")
    if output.exists() and not overwrite:
        raise OutputUnwritable(f"{output} exists", remedy="give --overwrite or another -o")


def preview_path(output: Path) -> Path:
    """Where the side-by-side video of `output` goes; of a picture, the side-by-side picture."""
    return output.with_name(output.name + (".preview.png" if photo.is_photo(output) else ".preview.mp4"))


def page_path(output: Path) -> Path:
    """Where the page that shows the report on `output` goes."""
    return output.with_name(output.name + ".report.html")


def missed_path(output: Path) -> Path:
    """Where `output` goes when its gate is missed."""
    return output.with_name(
        f"{output.stem}.gate-missed{output.suffix}" if output.suffix else f"{output.name}-gate-missed"
    )


def sidecar_path(output: Path) -> Path:
    """Where the report on `output` goes."""
    return output.with_name(output.name + ".json")
