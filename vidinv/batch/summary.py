"""Summarize a batch: its exit code, its JSON, and its page with a line per clip."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from vidinv import fileio
from vidinv.batch import storage
from vidinv.batch.journal import BatchJournal, ClipRecord
from vidinv.jobs.finalize import package_versions
from vidinv.report import batch_page

SCHEMA = "vidinv-batch/1"
PAGE = "batch.html"
EXIT_CODES_BY_SEVERITY = (
    130,
    1,
    5,
    7,
    2,
    3,
    4,
    6,
)  # errors of this machine come before errors of a clip


def worst_exit_code(codes: Iterable[int]) -> int:
    """The exit code of a batch whose failed clips have the exit codes `codes`."""
    found = set(codes)
    return next((code for code in EXIT_CODES_BY_SEVERITY if code in found), 0 if not found else max(found))


def build_summary(journal: BatchJournal, source: str, seconds: float) -> dict[str, Any]:
    """The JSON of a batch of the clips in `source`; this run took `seconds`."""
    clips = [_clip(clip) for clip in journal.clips()]
    return {
        "schema": SCHEMA,
        "input": source,
        "exit_code": worst_exit_code(journal.codes()),
        "clips": clips,
        "totals": journal.counts()
        | {
            "clips": len(clips),
            "frames": sum(clip["figures"].get("frames", 0) for clip in clips),
            "clip_seconds": round(sum(clip["seconds"] for clip in clips), 3),
            "wall_s": round(seconds, 3),
        },
        "versions": package_versions(),
    }


def write_page(found: dict[str, Any], folder: str) -> str:
    """Write the page of a batch into its folder, atomically; returns its path or URL."""
    place = storage.join(folder, PAGE)
    with fileio.writing(place), TemporaryDirectory(prefix="vidinv-") as scratch:
        made = Path(scratch) / PAGE
        made.write_text(batch_page.build_batch_page(found), encoding="utf-8")
        storage.upload(made, place)
    return place


def _clip(clip: ClipRecord) -> dict[str, Any]:
    return asdict(clip) | {"seconds": round(clip.seconds, 3), "edits": list(clip.edits)}
