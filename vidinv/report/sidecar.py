"""The JSON beside every output: what was edited, by what, how well the person was kept, and how long it took."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean
from typing import Any

SCHEMA = "vidinv-run/1"
PICTURES = ("source", "inversion", "edit")


def build(
    *,
    source: dict[str, Any],
    output: dict[str, Any],
    frames: int,
    edits: list[dict[str, Any]],
    faces: Iterable[dict[str, Any]],
    versions: dict[str, str],
    weights: dict[str, str],
    timing: dict[str, Any],
    warnings: list[str],
) -> dict[str, Any]:
    """The report of one run. `faces` are the per-face records of the journal, in frame order."""
    records = list(faces)
    return {
        "schema": SCHEMA,
        "input": source,
        "output": output,
        "frames": frames,
        "faces": len(records),
        "edits": edits,
        "versions": versions,
        "weights": weights,
        "identity": identity(records),
        "timing": timing,
        "warnings": warnings,
    }


def identity(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Means over all faces per network, IC (Eq. 9: the mean over i >= 1 of <R(x_i), R(x_0)>), and the tracks' rows.

    IC is taken per track, then averaged over tracks weighted by their frames. A mean over nothing is None.
    """
    result: dict[str, Any] = {}
    for network in ("arcface", "lightcnn"):
        result[network] = {
            "inversion_mean": _mean(records, f"{network}_inversion"),
            "edit_mean": _mean(records, f"{network}_edit"),
            "ic": {picture: _mean(records, f"{network}_ic_{picture}") for picture in PICTURES},
        }
    ids = sorted({record["track"] for record in records})
    result["tracks"] = [_track(number, [r for r in records if r["track"] == number]) for number in ids]
    return result


def write(path: Path, report: dict[str, Any]) -> None:
    """Write the report, whole or not at all."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    partial.replace(path)


def _track(number: int, records: list[dict[str, Any]]) -> dict[str, Any]:
    rows = [{key: _short(value) for key, value in record.items() if key != "track"} for record in records]
    return {
        "id": number,
        "frames": len(records),
        "mask_cover_mean": _mean(records, "cover"),
        "mask_cover_min": min((r["cover"] for r in records), default=None),
        "residual_mean": _mean(records, "residual"),
        "confidence_mean": _mean(records, "confidence"),
        "per_frame": rows,
    }


def _mean(records: list[dict[str, Any]], key: str) -> float | None:
    values = [record[key] for record in records if key in record]
    return round(fmean(values), 4) if values else None


def _short(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value
