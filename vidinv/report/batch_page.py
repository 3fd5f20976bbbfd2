"""Batch page: build the HTML page of a batch, a table with one row per clip that can be sorted by any figure."""

from __future__ import annotations

import os
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from vidinv.report import document
from vidinv.report import text as report_text

FIGURES = {
    "arcface": "ArcFace",
    "arcface_min": "lowest frame",
    "ic": "IC",
    "lightcnn": "LightCNN",
    "inversion": "inversion",
}
HEADS = ("Row", "Clip", "Edits", "State", "Frames", *FIGURES.values(), "Flags", "Warnings", "Tries", "Seconds")


def build_batch_page(found: dict[str, Any]) -> str:
    """The HTML of a batch summary (its form is in `vidinv/batch/summary.py`) as one file that fetches nothing.

    The page contains no pictures.
    """
    return document.render(
        "report_batch.html.j2",
        title=f"Batch: {found['input']}",
        figures={},
        programs=["sort.js"],
        found=found,
        totals=found["totals"],
        heads=HEADS,
        rows=[(clip, _cells(clip), _links(clip)) for clip in found["clips"]],
        same_person=report_text.SAME_PERSON,
    )


def _cells(clip: dict[str, Any]) -> list[str]:
    return [report_text.number(clip["figures"].get(name)) for name in FIGURES]


def _links(clip: dict[str, Any]) -> list[tuple[str, str]]:
    """The clip's output files as (label, address) relative to the page: the video, its report page, its JSON."""
    folder, found = PurePosixPath(clip["name"]).parent, []
    for name in clip["figures"].get("files", ()):
        kind = "report" if name.endswith(".report.html") else "JSON" if name.endswith(".json") else "video"
        kind = "preview" if name.endswith((".preview.mp4", ".preview.png")) else kind
        found.append((kind, quote(os.fsencode(folder / name))))
    return found
