"""Read the provenance in a file's metadata and its report file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags

from vidinv import fileio
from vidinv.media import photo, sequence
from vidinv.media.picture_file import opening_picture
from vidinv.media.source import open_video
from vidinv.provenance import payload
from vidinv.report.sidecar import SCHEMA

PREFIX = "vidinv_"


@dataclass(frozen=True)
class Sidecar:
    """Provenance in a file's report; a field is None if the report does not hold it.

    `identity` is that of the watermark for this source and these edits; `problem` is the reason why the report could
    not be read.
    """

    path: str
    version: str | None = None
    edits: tuple[str, ...] | None = None
    source_sha256: str | None = None
    identity: str | None = None
    name_agrees: bool | None = None
    sha256_agrees: bool | None = None
    problem: str = ""


def metadata(path: Path) -> dict[str, str]:
    """Return `version`, `edits` and `weights` that vidinv wrote to a video, a picture or a folder's frames.json.

    The result is empty if there is no entry of vidinv. Raises InputUnreadable.
    """
    if path.is_dir():
        given = _of_folder(path)
    elif photo.is_photo(path):
        given = _of_picture(path)
    else:
        with open_video(path) as container:
            given = dict(container.metadata)
    lower = {key.lower(): value for key, value in given.items()}  # Matroska writes its tags in capitals
    return {key.removeprefix(PREFIX): value for key, value in lower.items() if key.startswith(PREFIX)}


def sidecar(path: Path, sha256: str) -> Sidecar | None:
    """Read the report file of `path`, whose bytes have `sha256`; None if there is none."""
    report_path = path.with_name(path.name + ".json")
    if not report_path.is_file():
        return None
    try:
        report = fileio.read_json(report_path)
    except OSError as error:
        return Sidecar(report_path.name, problem=f"cannot be read ({error.strerror})")
    except fileio.BadJson as error:
        return Sidecar(report_path.name, problem=f"cannot be read: {error}")
    kind = _of(report, "schema")
    if not isinstance(kind, str) or kind.partition("/")[0] != SCHEMA.partition("/")[0]:
        return Sidecar(report_path.name, problem="not a report of vidinv")
    edits, source = _of(report, "settings", "edits"), _of(report, "input", "sha256")
    name, digest = _of(report, "output", "path"), _of(report, "output", "sha256")
    version = _of(report, "versions", "vidinv")
    edits = tuple(map(str, edits)) if isinstance(edits, list) else None
    source = source if isinstance(source, str) else None
    return Sidecar(
        path=report_path.name,
        version=version if isinstance(version, str) else None,
        edits=edits,
        source_sha256=source,
        identity=payload.identity(source, edits) if source and edits is not None else None,
        name_agrees=None if name is None else name == path.name,
        sha256_agrees=None if digest is None else digest == sha256,
    )


def _of(report: Any, *keys: str) -> Any:
    """Return the value under the nested `keys`; None if one is missing."""
    for key in keys:
        report = report.get(key) if isinstance(report, dict) else None
    return report


def _of_folder(path: Path) -> dict[str, str]:
    sequence.list_pictures(path)
    try:
        made = _of(fileio.read_json(path / sequence.TIMES, sequence.MOST_TIMES), "made")
    except (OSError, fileio.BadJson):
        return {}
    return {str(key): str(value) for key, value in made.items()} if isinstance(made, dict) else {}


def _of_picture(path: Path) -> dict[str, str]:
    """Return a PNG's text entries, or the EXIF field Software parsed as `key=value; key=value`."""
    with opening_picture(path) as file:
        software = str(file.getexif().get(ExifTags.Base.Software, ""))
        pairs = dict(part.split("=", 1) for part in software.split("; ") if "=" in part)
        text = {key: str(value) for key, value in file.info.items() if isinstance(key, str)}
        return pairs | {key: value for key, value in text.items() if key.startswith(PREFIX)}
