"""The report of a run, a JSON beside every output: what was edited, by what, and how well the person was kept.

`vidinv/assets/report.schema.json` is its form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

SCHEMA = "vidinv-report/2"
NETWORKS = ("arcface", "lightcnn")
PICTURES = ("source", "inversion", "edit")
Rows = Sequence[dict[str, Any]]


def identity(
    tracks: dict[int, Rows], medoids: dict[int, int], second: Callable[[int], float], units: dict[str, str]
) -> dict[str, Any]:
    """The report's `identity`: means over all faces, and every track's means and rows.

    `tracks` hold each track's rows in order of frame, `medoids` their medoid's frame, `units` those of the attributes.
    """
    every = [row for rows in tracks.values() for row in rows]
    return {network: _network(every, network) for network in NETWORKS} | {
        "tracks": [_track(number, rows, medoids.get(number), second, units) for number, rows in tracks.items()]
    }


def by_track(rows: Rows) -> dict[int, Rows]:
    """The rows of each track, in the order in which they came."""
    return {number: [row for row in rows if row["track"] == number] for number in sorted({r["track"] for r in rows})}


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write the report, whole or not at all: indented, a list of numbers on one line."""
    text = json.dumps(report, indent=1, ensure_ascii=False)
    text = re.sub(r'\[\n[^\[\]{}"]*\]', lambda found: " ".join(found[0].split()), text)
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(path)


def _network(rows: Rows, network: str) -> dict[str, Any]:
    """Means over rows; IC is taken over all of them but each track's first."""
    edits = [row[f"{network}_edit"] for row in rows if f"{network}_edit" in row]
    return {
        "inversion_mean": _mean(rows, f"{network}_inversion"),
        "edit_mean": _mean(rows, f"{network}_edit"),
        "edit_min": round(min(edits), 4) if edits else None,
        "ic": {picture: _mean(rows, f"{network}_ic_{picture}") for picture in PICTURES},
        "medoid": {picture: _mean(rows, f"{network}_medoid_{picture}") for picture in PICTURES},
    }


def _track(
    number: int, rows: Rows, medoid: int | None, second: Callable[[int], float], units: dict[str, str]
) -> dict[str, Any]:
    flicker = {picture: _mean(rows, f"flicker_{picture}", 6) for picture in PICTURES[1:]}
    inversion, edit = flicker.values()
    return {
        "id": number,
        "frames": len(rows),
        "from_s": round(second(rows[0]["frame"]), 4),
        "to_s": round(second(rows[-1]["frame"]), 4),
        "medoid_s": None if medoid is None else round(second(medoid), 4),
        **{network: _network(rows, network) for network in NETWORKS},
        "inversion": {name: _mean(rows, name) for name in ("psnr", "ssim", "lpips")},
        "flicker": flicker | {"ratio": round(edit / inversion, 4) if edit and inversion else None},
        "attributes": {
            name: {"unit": unit} | {picture: _mean(rows, f"{name}_{picture}") for picture in PICTURES}
            for name, unit in units.items()
            if any(f"{name}_source" in row for row in rows)
        },
        "mask_cover_mean": _mean(rows, "cover"),
        "mask_cover_min": _short(min((row["cover"] for row in rows if "cover" in row), default=None)),
        "residual_mean": _mean(rows, "residual"),
        "confidence_mean": _mean(rows, "confidence"),
        "per_frame": _columns(rows, second),
    }


def _columns(rows: Rows, second: Callable[[int], float]) -> dict[str, list[Any]]:
    """One list for each thing that was measured, with an entry for every row."""
    names = dict.fromkeys(key for row in rows for key in row if key not in ("frame", "track"))
    times = {"frame": [row["frame"] for row in rows], "time_s": [round(second(row["frame"]), 4) for row in rows]}
    return times | {name: [_short(row.get(name)) for row in rows] for name in names}


def _mean(rows: Rows, key: str, digits: int = 4) -> float | None:
    values = [row[key] for row in rows if key in row]
    return round(fmean(values), digits) if values else None


def _short(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value
