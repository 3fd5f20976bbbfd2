"""The journal of a job: one checksummed line for every finished segment, so that a killed job is resumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vidinv import fileio
from vidinv.report.face_rows import from_row, to_row
from vidinv.stages.reencode import SegmentRecord

FORMAT = 2  # of a line; raised whenever its form changes: segments listed in another form are rendered again


class Journal:
    """`journal.jsonl`: one sealed line per finished segment, in order; what follows a damaged one is not trusted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "journal.jsonl"

    def finished(self) -> list[SegmentRecord]:
        """The records of FORMAT whose files are there with the sha256 that was written; stops at the first other."""
        if not self.path.exists():
            return []
        records: list[SegmentRecord] = []
        for line in fileio.sealed_lines(self.path.read_bytes()):
            record = _read_record(line)
            if record is None or record.segment != len(records):
                break
            if not all(fileio.has_sha256(self.folder / name, sha) for name, sha in record.files.items()):
                break
            records.append(record)
        return records

    def keep(self, records: Sequence[SegmentRecord]) -> None:
        """Rewrite the journal to hold `records` alone."""
        lines = b"".join(fileio.sealed_line(_record_line(record)) for record in records)
        fileio.write_atomically(self.path, lines, synced=True)

    def append(self, record: SegmentRecord) -> None:
        """Add one record and wait until it is on the disk."""
        fileio.append_sealed_line(self.path, _record_line(record))


def _record_line(record: SegmentRecord) -> str:
    return json.dumps({"format": FORMAT, **vars(record), "faces": [to_row(face) for face in record.faces]})


def _read_record(line: str) -> SegmentRecord | None:
    """The record of a line; None for one that another version of vidinv wrote in another form."""
    values = json.loads(line)
    if values.pop("format", None) != FORMAT:
        return None
    faces = tuple(map(from_row, values.pop("faces")))
    gaps = tuple((begin, end) for begin, end in values.pop("gaps"))
    return SegmentRecord(**values, faces=faces, gaps=gaps)
