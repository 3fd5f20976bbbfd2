"""What came of a batch: its exit code, its JSON, and the page with a line for every clip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vidinv.batch import storage
from vidinv.batch.journal import BatchJournal, ClipRecord
from vidinv.jobs.finalize import installed
from vidinv.report import batch_page

SCHEMA = "vidinv-batch/1"
PAGE = "batch.html"
GRAVEST = (130, 1, 5, 7, 2, 3, 4, 6)  # exit codes; what is wrong here comes before what is wrong with a clip


def worst(codes: Iterable[int]) -> int:
    """The exit code of a batch whose failed clips have these."""
    found = set(codes)
    return next((code for code in GRAVEST if code in found), 0 if not found else max(found))


def document(journal: BatchJournal, source: str, seconds: float) -> dict[str, Any]:
    """The JSON of a batch of the clips in `source`, on which `seconds` of this run were spent."""
    clips = [_clip(clip) for clip in journal.clips()]
    return {
        "schema": SCHEMA,
        "input": source,
        "exit_code": worst(journal.codes()),
        "clips": clips,
        "totals": journal.counts()
        | {
            "clips": len(clips),
            "frames": sum(clip["figures"].get("frames", 0) for clip in clips),
            "clip_seconds": round(sum(clip["seconds"] for clip in clips), 3),
            "wall_s": round(seconds, 3),
        },
        "versions": installed(),
    }


def write_page(found: dict[str, Any], folder: str) -> str:
    """Write the page of a batch into its folder, whole or not at all; returns its place."""
    place = storage.join(folder, PAGE)
    with TemporaryDirectory(prefix="vidinv-") as scratch:
        made = Path(scratch) / PAGE
        made.write_text(batch_page.build_batch_page(found), encoding="utf-8")
        storage.put(made, place)
    return place


def _clip(clip: ClipRecord) -> dict[str, Any]:
    return asdict(clip) | {"seconds": round(clip.seconds, 3), "edits": list(clip.edits)}
