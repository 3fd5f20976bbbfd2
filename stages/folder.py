"""The job folder `<output>.vidinv/`: one job at a time, readable by its owner alone, gone when the job is done."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from stages import evidence
from vidinv.errors import OutputUnwritable, UsageError
from vidinv.frames import Evidence
from vidinv.media import photo


class JobFolder:
    """Holds the journal, the analysis and the segments of one output. Use as a context manager: it holds the lock."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.path = output.with_name(output.name + ".vidinv")
        self.codes = self.path / "codes.safetensors"  # the inversion, until the job is done
        self.config = self.path / "config.yaml"
        self.resumed = False
        self._lock: IO[str] | None = None

    def __enter__(self) -> JobFolder:
        try:
            self.path.mkdir(mode=0o700, exist_ok=True)
            self.path.chmod(0o700)
            self._lock = (self.path / "lock").open("w")
        except OSError as error:
            raise OutputUnwritable(
                f"{self.output.parent} cannot be written ({error.strerror})", remedy="choose a folder you may write to"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise OutputUnwritable(
                f"{self.output} is being written by another run", remedy="wait for it, or choose another -o"
            ) from error
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def claim(self, fingerprint: str, config: str) -> None:
        """Start the job, or resume it if the folder's own fingerprint is equal; UsageError if it is another."""
        record = self.path / "job.json"
        if record.exists():
            known = json.loads(record.read_text(encoding="utf-8"))
            if known["fingerprint"] != fingerprint:
                raise UsageError(
                    f"{self.path} holds an unfinished job with another source, edit or configuration",
                    remedy="repeat that command, or delete the folder to start anew",
                )
            self.resumed = True
            return
        self.config.write_text(config, encoding="utf-8")
        partial = record.with_suffix(".tmp")
        partial.write_text(json.dumps({"fingerprint": fingerprint}), encoding="utf-8")
        partial.replace(record)

    def empty(self) -> None:
        """Remove what a killed job left that cannot be gone on from; UsageError where another job could go on."""
        if (self.path / "job.json").exists():
            raise UsageError(
                f"{self.path} holds an unfinished job", remedy="finish it, or delete the folder to start anew"
            )
        for entry in self.path.iterdir():
            if entry.name != "lock":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    def evidence(self, records: Sequence[dict[str, Any]]) -> Callable[[], Iterator[Evidence]]:
        """What begins anew with the evidence of the journal's `records` whenever it is called."""
        paths = [self.path / name for record in records for name in record["files"] if name.startswith("evidence-")]
        return lambda: evidence.every(paths)

    def delete(self) -> None:
        """Remove the folder and everything in it."""
        shutil.rmtree(self.path, ignore_errors=True)


def check_output(output: Path, source: Path, overwrite: bool) -> None:
    """Raise OutputUnwritable where `output` cannot become the result; UsageError where it is the input itself."""
    try:
        _check_place(output, source, overwrite)
    except OSError as error:  # a name that no disk takes
        raise OutputUnwritable(
            f"{output} cannot be written ({error.strerror})", remedy="choose another name"
        ) from error


def _check_place(output: Path, source: Path, overwrite: bool) -> None:
    if not output.parent.is_dir():
        raise OutputUnwritable(f"the folder {output.parent} does not exist", remedy="create it first")
    if output.is_dir():
        raise OutputUnwritable(f"{output} is a folder", remedy="give a name with -o that is not taken")
    if output.exists() and os.path.samefile(output, source):
        raise UsageError(f"{output} is the input itself", remedy="choose another -o")
    if output.exists() and not overwrite:
        raise OutputUnwritable(f"{output} exists", remedy="give --overwrite or another -o")
    if not os.access(output.parent, os.W_OK):
        raise OutputUnwritable(f"{output.parent} cannot be written", remedy="choose a folder you may write to")


def preview_path(output: Path) -> Path:
    """Where the side-by-side video of `output` goes; of a picture, the side-by-side picture."""
    return output.with_name(output.name + (".preview.png" if photo.is_photo(output) else ".preview.mp4"))


def page_path(output: Path) -> Path:
    """Where the page that shows the report on `output` goes."""
    return output.with_name(output.name + ".report.html")


def missed_path(output: Path) -> Path:
    """Where `output` goes when its gate is missed."""
    return output.with_name(f"{output.stem}.gate-missed{output.suffix}")


def sidecar_path(output: Path) -> Path:
    """Where the report on `output` goes."""
    return output.with_name(output.name + ".json")
