"""The journal of a job: one checksummed line for every finished segment, so that a killed job is resumed."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from vidinv import fileio


class Journal:
    """`journal.jsonl`: one sealed line per finished segment, in order; what follows a damaged one is not trusted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "journal.jsonl"

    def finished(self) -> list[dict[str, Any]]:
        """The records whose files are there and have the sha256 that was written; stops at the first that has not."""
        if not self.path.exists():
            return []
        records: list[dict[str, Any]] = []
        for line in fileio.sealed_lines(self.path.read_bytes()):
            record = json.loads(line)
            files = record["files"].items()
            if record["segment"] != len(records) or not all(
                fileio.has_sha256(self.folder / name, sha) for name, sha in files
            ):
                break
            records.append(record)
        return records

    def keep(self, records: list[dict[str, Any]]) -> None:
        """Rewrite the journal to hold `records` alone."""
        partial = self.path.with_suffix(".tmp")
        partial.write_bytes(b"".join(fileio.sealed_line(json.dumps(record)) for record in records))
        partial.replace(self.path)

    def append(self, record: dict[str, Any]) -> None:
        """Add one record and wait until it is on the disk."""
        with self.path.open("ab") as stream:
            stream.write(fileio.sealed_line(json.dumps(record)))
            stream.flush()
            os.fsync(stream.fileno())
