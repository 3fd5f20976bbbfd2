"""Write and check converted weights in the cache: a safetensors file with a JSON record of its origin."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from vidinv import fileio
from vidinv.errors import WeightsUnavailable
from vidinv.weights import importers, places
from vidinv.weights.catalog import Entry, Member

State = Literal["present", "missing", "outdated", "damaged"]


@dataclass(frozen=True)
class Record:
    """Origin of a converted file, with the `sha256` (hex) and size in `bytes` of the safetensors file."""

    name: str
    sha256: str
    bytes: int
    importer: str
    importer_version: int
    archive: str
    archive_sha256: str
    members: dict[str, str]
    licence: str
    terms: str
    origin: str


def write_converted(entry: Entry, members: dict[str, bytes]) -> Path:
    """Convert the members' bytes and write the safetensors file and its record, each atomically.

    Raises OutputUnwritable if the cache cannot be written.
    """
    from safetensors.torch import save

    tensors, metadata = importers.get(entry.importer).convert(members)
    origin = {"name": entry.name, "licence": entry.licence, "origin": entry.origin, "archive": entry.archive}
    plain = {key: tensor.detach().contiguous() for key, tensor in tensors.items()}
    content = _reproducible(save(plain, {**origin, **metadata}))
    record = Record(
        name=entry.name,
        sha256=fileio.sha256_of_bytes(content),
        bytes=len(content),
        importer=entry.importer,
        importer_version=importers.version(entry.importer),
        archive=entry.archive,
        archive_sha256=entry.archive_sha256,
        members=_pins(entry.members),
        licence=entry.licence,
        terms=entry.terms,
        origin=entry.origin,
    )
    path = places.converted(entry.name)
    places.write_cached(path, content)
    places.write_cached(places.record(entry.name), fileio.json_text(asdict(record), indent=2))
    return path


def state(entry: Entry) -> State:
    """Return the state of this entry in the cache, judged by the record and the file size; nothing is hashed.

    `outdated` means: made by another importer version or from other members than the catalogue now names.
    """
    path = places.converted(entry.name)
    if not path.is_file():
        return "missing"
    record = read_record(entry.name)
    if record is None or path.stat().st_size != record.bytes:
        return "damaged"
    current = (entry.importer, importers.version(entry.importer), _pins(entry.members))
    return "present" if (record.importer, record.importer_version, record.members) == current else "outdated"


def check_hash(entry: Entry) -> None:
    """Raise WeightsUnavailable, naming the file, unless its sha256 is the recorded one. Reads the whole file."""
    path = places.converted(entry.name)
    record = read_record(entry.name)
    if record is None or fileio.sha256(path) != record.sha256:
        raise damaged(path)


def damaged(path: Path) -> WeightsUnavailable:
    """Return the error for a corrupted cached file."""
    return WeightsUnavailable(
        f"the cached weights {path} are corrupted (size or sha256 differs from the record)",
        remedy=places.HOW_TO_GET,
    )


def read_record(name: str) -> Record | None:
    """Return the record of a converted file; None if it is missing or unreadable."""
    try:
        return fileio.record_of(Record, fileio.read_json(places.record(name)))
    except (OSError, fileio.BadJson):
        return None


def _reproducible(content: bytes) -> bytes:
    """Return the safetensors file with a sorted header, so that its sha256 is the same on every machine.

    A file is the header's length (8 bytes, little endian), the JSON header, then the tensors at offsets from its end.
    """
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8:end]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the tensors stay aligned to 8 bytes
    return len(header).to_bytes(8, "little") + header + content[end:]


def _pins(members: tuple[Member, ...]) -> dict[str, str]:
    return {member.path: member.sha256 for member in members}
