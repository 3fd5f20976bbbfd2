"""Publish a clip's files to shared storage without replacing what others put there.

Object stores cannot create a file exclusively: files are checked before the work and again just before each upload.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vidinv import fileio
from vidinv.batch import storage
from vidinv.errors import OutputUnwritable


@dataclass(frozen=True)
class RemoteFiles:
    """The files of one clip in `folder`, a URL. `record` is the URL of the digests of what its worker uploads.

    A worker that is killed between two uploads leaves the record, by which the next one recognises its files.
    """

    folder: str
    record: str
    overwrite: bool

    def check(self, files: Iterable[Path]) -> None:
        """Raise OutputUnwritable if a file of one of these names exists that no worker uploaded for this clip."""
        known = [] if self.overwrite else storage.names(self.folder)
        for name in (path.name for path in files):
            if name in known and not self._is_own(name):
                raise OutputUnwritable(
                    f"{storage.join(self.folder, name)} exists", remedy="give --overwrite or another -o"
                )

    def publish(self, files: list[Path]) -> None:
        """Upload the files; the report comes last, since it marks the output as complete."""
        digests = {path.name: fileio.sha256(path) for path in files}
        self.check(files)
        storage.write_small(self.record, json.dumps(digests).encode())
        for path in sorted(files, key=lambda path: path.suffix == ".json"):
            storage.upload(path, storage.join(self.folder, path.name))
        storage.remove(self.record)

    def _is_own(self, name: str) -> bool:
        known = storage.read_small(self.record)
        if known is None:
            return False
        with tempfile.TemporaryDirectory(prefix="vidinv-") as scratch:
            storage.fetch(storage.join(self.folder, name), Path(scratch) / "file")
            return fileio.has_sha256(Path(scratch) / "file", json.loads(known).get(name, ""))
