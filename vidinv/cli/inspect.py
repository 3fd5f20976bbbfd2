"""`vidinv inspect`: show the provenance that a file carries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vidinv.cli import folders, json_target, options, progress
from vidinv.terminal import print_table

if TYPE_CHECKING:
    from vidinv.provenance.inspection import Inspection
    from vidinv.provenance.manifest import ReadManifest
    from vidinv.provenance.statement import Sidecar

NOTHING = "no trace of vidinv was found. This is no proof: metadata are easily lost, and most outputs have no watermark"


def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A video, a picture, or a folder of pictures.")],
    trust: Annotated[
        Path | None, typer.Option("--trust", metavar="PEM", help="Root certificates whose C2PA signers are trusted.")
    ] = None,
    show: options.Show = None,
    quiet: options.Quiet = False,
    json_to: options.JsonTo = None,
    debug: options.Debug = False,
) -> None:
    """Show a file's provenance: metadata, report file, C2PA manifest and watermark.

    Example: vidinv inspect older.mp4
    """
    from vidinv.provenance import inspection

    file = folders.with_pictures(file)
    with progress.show(show, quiet=quiet) as shown:
        found = inspection.inspect(file, trust, lambda frames: shown.phase("watermark", frames), shown.advance)
    if json_to is not None:
        json_target.write_json(found.document(), json_to)
    if json_to != "-":
        _print(found)


def _print(found: Inspection) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table("where", "content", box=None, pad_edge=False, title=Text(found.file), title_justify="left")
    for where, words in _rows(found):
        table.add_row(where, Text(words))
    for note in found.notes:
        table.add_row("note", Text(note))
    table.add_row("summary", Text(_short(found)))
    table.columns[0].no_wrap = True
    print_table(table)


def _rows(found: Inspection) -> list[tuple[str, str]]:
    stored, mark = found.metadata, found.watermark
    rows = [("metadata", "none of vidinv")]
    if stored:
        weights = stored.get("weights", "").replace(" ", ", ") or "unknown"
        edits = stored.get("edits", "unknown")
        rows = [("metadata", f"vidinv {stored.get('version', 'unknown')}; edits: {edits}; weights: {weights}")]
    rows.append(("report", "no report file" if found.sidecar is None else _report(found.sidecar)))
    rows.append(("C2PA", "none found" if found.c2pa is None else _manifest(found.c2pa)))
    words = "none found"
    if mark is not None:
        words = f"{mark.identity} (version {mark.version}; {mark.score:.1f} standard deviations, noise: 7)"
    return [*rows, ("watermark", words)]


def _report(sidecar: Sidecar) -> str:
    if sidecar.problem:
        return f"{sidecar.path}: {sidecar.problem}"
    agrees = {True: "agrees", False: "does not agree", None: "is not given"}
    edits = "unknown" if sidecar.edits is None else " ".join(sidecar.edits) or "none"
    return (
        f"{sidecar.path}: vidinv {sidecar.version or 'unknown'}; edits: {edits}; the file's name "
        f"{agrees[sidecar.name_agrees]}, its sha256 {agrees[sidecar.sha256_agrees]}"
    )


def _manifest(signed: ReadManifest) -> str:
    if signed.state == "Unread":
        return "there may be a manifest; it was not read"
    kinds = {"Trusted": "valid and trusted", "Valid": "valid; its signer is not trusted (see --trust)"}
    words = f"{kinds.get(signed.state, 'INVALID')}; signed by {signed.signer or 'unknown'}; made by {signed.generator}"
    words += f"; {', '.join(signed.actions)}"
    return words if signed.edit is None else f"{words}; edits: {' '.join(signed.edit.get('edits', [])) or 'none'}"


def _short(found: Inspection) -> str:
    if not found.is_ours:
        return NOTHING
    where = {
        "its metadata": bool(found.metadata),
        "its report file": found.sidecar is not None and not found.sidecar.problem,
        "its C2PA manifest": found.c2pa is not None and found.c2pa.edit is not None,
        "its watermark": found.watermark is not None,
    }
    return "made by vidinv, according to " + ", ".join(name for name, is_there in where.items() if is_there)
