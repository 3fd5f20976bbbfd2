"""Keep the journal of a job: one checksummed line per finished segment, from which a killed job is resumed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidinv import fileio
from vidinv.report.face_rows import from_row, to_row
from vidinv.stages.reencode import SegmentRecord

FORMAT = 2  # of a line; segments of lines in another format are rendered again


class Journal:
    """`journal.jsonl`: one sealed line per finished segment, in order; lines after a damaged one are ignored."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "journal.jsonl"

    def finished(self) -> list[SegmentRecord]:
        """The leading records that have this FORMAT and whose files still have their recorded sha256."""
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
        """Rewrite the journal with only `records`."""
        lines = b"".join(fileio.sealed_line(_record_line(record)) for record in records)
        fileio.write_atomically(self.path, lines, synced=True)

    def append(self, record: SegmentRecord) -> None:
        """Add one record and wait until it is on the disk."""
        fileio.append_sealed_line(self.path, _record_line(record))


def _record_line(record: SegmentRecord) -> str:
    return json.dumps({"format": FORMAT, **vars(record), "faces": [to_row(face) for face in record.faces]})


def _read_record(line: str) -> SegmentRecord | None:
    """The record of a line; None for a line of another FORMAT or form."""
    try:
        values = fileio.parse_json(line)
        if values.pop("format", None) != FORMAT:
            return None
        faces = tuple(map(from_row, values.pop("faces")))
        record = replace(fileio.record_of(SegmentRecord, values | {"faces": []}), faces=faces)
        return record if all(Path(name).name == name for name in record.files) else None
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
