"""Inspect a file's provenance: read every kind of evidence and check that it is consistent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vidinv import fileio
from vidinv.errors import InputUnreadable, UsageError
from vidinv.frames import Colour, FrameBatch, Planes
from vidinv.media import photo, reader
from vidinv.media.probe import probe
from vidinv.provenance import manifest, statement, watermark_embed
from vidinv.provenance.payload import Message
from vidinv.provenance.watermark_detect import Votes

STRETCH = 48  # frames after which the watermark is decoded
LOOKED_AT = 1500  # maximum number of frames read per clip


@dataclass(frozen=True)
class Inspection:
    """Provenance of a file; `notes` describe unreadable evidence and contradictions."""

    file: str
    sha256: str
    metadata: dict[str, str]
    sidecar: statement.Sidecar | None
    c2pa: manifest.ReadManifest | None
    watermark: Message | None
    notes: tuple[str, ...]

    @property
    def is_ours(self) -> bool:
        """Return whether any evidence shows that vidinv made the file."""
        has_report = self.sidecar is not None and not self.sidecar.problem
        signed = self.c2pa is not None and self.c2pa.edit is not None
        return bool(self.metadata) or has_report or signed or self.watermark is not None

    def document(self) -> dict[str, Any]:
        """Return the inspection as a JSON document."""
        parts = {name: getattr(self, name) for name in ("sidecar", "c2pa", "watermark")}
        return {
            "file": self.file,
            "sha256": self.sha256,
            "made_by_vidinv": self.is_ours,
            "metadata": self.metadata or None,
            **{name: None if part is None else asdict(part) for name, part in parts.items()},
            "notes": list(self.notes),
        }


def inspect(
    path: Path,
    roots: Path | None = None,
    phase: Callable[[int], None] = lambda frames: None,
    done: Callable[[int], None] = lambda frames: None,
) -> Inspection:
    """Inspect a video, a picture or a folder of pictures; `roots` are trusted root certificates (PEM).

    `phase(frames)` and `done(frames)` report the progress of the watermark search. Raises InputUnreadable for any
    other file.
    """
    stored, notes = statement.metadata(path), list[str]()
    sha256 = fileio.content_sha256(path)
    report = statement.sidecar(path, sha256)
    signed = _manifest(path, roots, notes)
    message = _picture_mark(path) if photo.is_photo(path) else _video_mark(path, phase, done, notes)
    notes += _disagreements(path, stored, report, signed, message)
    return Inspection(path.name, sha256, stored, report, signed, message, tuple(notes))


def _manifest(path: Path, roots: Path | None, notes: list[str]) -> manifest.ReadManifest | None:
    try:
        return manifest.read_manifest(path, roots)
    except InputUnreadable as error:
        notes.append(str(error))
    except UsageError as error:
        if roots is not None:
            raise
        if manifest.is_there(path):
            notes.append(f"there may be a C2PA manifest, which was not read: {error}")
            return manifest.UNREAD
    return None


def _picture_mark(path: Path) -> Message | None:
    votes, rgb = Votes(), photo.read_photo(path).rgb
    planes = Planes((rgb[:, :, 1], rgb[:, :, 2], rgb[:, :, 0]), "gbrp", 0, 0, 8)
    votes.add(watermark_embed.luma_of(planes, Colour("bt709", True)))
    return votes.read()


def _video_mark(
    path: Path, phase: Callable[[int], None], done: Callable[[int], None], notes: list[str]
) -> Message | None:
    """Return the first watermark found in a part of the clip, else the one decoded from the whole clip."""
    info = probe(path)
    every = max(1, info.frame_count // LOOKED_AT)
    phase(info.frame_count)
    whole, stretch = Votes(info.display.pixel_aspect), Votes(info.display.pixel_aspect)
    for number, frame in enumerate(_frames(path, notes)):
        done(1)
        if number % every:
            continue
        stretch.add(watermark_embed.luma_of(frame.native[0], frame.colour))
        if stretch.frames == STRETCH:
            message = stretch.read()
            if message is not None:
                return message
            whole.join(stretch)
            stretch = Votes(info.display.pixel_aspect)
    whole.join(stretch)
    return stretch.read() or whole.read() if stretch.frames else whole.read()


def _frames(path: Path, notes: list[str]) -> Iterator[FrameBatch]:
    """Yield the frames one by one; stop with a note where the file is damaged."""
    try:
        yield from reader.read_frames(path, batch=1)
    except InputUnreadable as error:
        notes.append(f"the search for a watermark ended early: {error.what}")


def _disagreements(
    path: Path,
    stored: dict[str, str],
    report: statement.Sidecar | None,
    signed: manifest.ReadManifest | None,
    message: Message | None,
) -> Iterator[str]:
    """Yield the contradictions between the kinds of evidence."""
    if report is not None:
        yield from _of_report(path, stored, report)
    if signed is not None and signed.state == "Invalid":
        yield f"the C2PA manifest is invalid: {', '.join(signed.problems)}"
    if message is None:
        return
    claimed = signed.edit.get("watermark") if signed is not None and signed.edit is not None else None
    known = {"report": report.identity if report is not None else None, "C2PA manifest": claimed}
    for where, identity in known.items():
        if identity and identity != message.identity:
            yield (
                f"the watermark has the identity {message.identity}, the {where} {identity}: "
                "another source or other edits"
            )


def _of_report(path: Path, stored: dict[str, str], report: statement.Sidecar) -> Iterator[str]:
    if report.problem:
        yield f"{report.path}: {report.problem}"
    if report.name_agrees is False:
        yield f"{report.path} is the report of a file with another name"
    if report.sha256_agrees is False:
        yield f"{path.name} differs from the file that {report.path} describes: it was changed afterwards"
    if stored and report.edits is not None and stored.get("edits") != (" ".join(report.edits) or "none"):
        yield "the metadata and the report name different edits"
