"""Sidecar: build the JSON report that is written next to every output: the edits, the networks, identity similarity.

Its schema is `vidinv/assets/report.schema.json`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from vidinv import fileio
from vidinv.frames import PictureValues
from vidinv.report.face_rows import PICTURES, FaceRow, to_columns

SCHEMA = "vidinv-report/2"
NETWORKS = ("arcface", "lightcnn")
Rows = Sequence[FaceRow]


def identity_summary(
    tracks: dict[int, Rows], medoids: dict[int, int], second: Callable[[int], float], units: dict[str, str]
) -> dict[str, Any]:
    """The report's `identity`: means over all faces, and the means and rows of every track.

    `tracks` holds the rows of each track in order of frame, `medoids` the frame of each track's medoid, `units` the
    unit of each attribute; `second` converts a frame index to seconds.
    """
    every = [row for rows in tracks.values() for row in rows]
    return {network: _network(every, network) for network in NETWORKS} | {
        "tracks": [_track(number, rows, medoids.get(number), second, units) for number, rows in tracks.items()]
    }


def by_track(rows: Rows) -> dict[int, Rows]:
    """The rows of each track, in their given order."""
    return {number: [row for row in rows if row.track == number] for number in sorted({row.track for row in rows})}


def write_report(path: Path, report: dict[str, Any]) -> None:
    """Write the report atomically as indented JSON with each list of numbers on one line. Raises OutputUnwritable."""
    text = fileio.json_text(report, indent=1)
    text = re.sub(r'\[\n[^\[\]{}"]*\]', lambda found: " ".join(found[0].split()), text)
    fileio.write_atomically(path, text + "\n")


def _network(rows: Rows, network: str) -> dict[str, Any]:
    """Means over rows for one network; IC excludes the first row of each track."""
    similarities, over_time = [row.similarity(network) for row in rows], [row.compared(network) for row in rows]
    edits = [each.edit for each in similarities if each.edit is not None]
    return {
        "inversion_mean": _mean(each.inversion for each in similarities),
        "edit_mean": _mean(edits),
        "edit_min": round(min(edits), 4) if edits else None,
        "ic": _means(each.ic for each in over_time),
        "medoid": _means(each.medoid for each in over_time),
    }


def _track(
    number: int, rows: Rows, medoid: int | None, second: Callable[[int], float], units: dict[str, str]
) -> dict[str, Any]:
    metrics = [row.metrics for row in rows]
    inversion = _mean((each.flicker_inversion for each in metrics), 6)
    edit = _mean((each.flicker_edit for each in metrics), 6)
    covers = [cover for each in metrics if (cover := each.shown_cover) is not None]
    readings = {name: [each.attributes[name] for each in metrics if name in each.attributes] for name in units}
    return {
        "id": number,
        "frames": len(rows),
        "from_s": round(second(rows[0].frame), 4),
        "to_s": round(second(rows[-1].frame), 4),
        "medoid_s": None if medoid is None else round(second(medoid), 4),
        **{network: _network(rows, network) for network in NETWORKS},
        "inversion": {name: _mean(getattr(each, name) for each in metrics) for name in ("psnr", "ssim", "lpips")},
        "flicker": {
            "inversion": inversion,
            "edit": edit,
            "ratio": round(edit / inversion, 4) if edit and inversion else None,
        },
        "attributes": {
            name: {"unit": unit} | _means(readings[name])
            for name, unit in units.items()
            if any(each.source is not None for each in readings[name])
        },
        "mask_cover_mean": _mean(covers),
        "mask_cover_min": _five_digits(min(covers, default=None)),
        "residual_mean": _mean(each.residual for each in metrics),
        "confidence_mean": _mean(each.faded_confidence for each in metrics),
        "per_frame": _columns(rows, second),
    }


def _columns(rows: Rows, second: Callable[[int], float]) -> dict[str, list[Any]]:
    """One list per measured column, with an entry for every row."""
    columns: dict[str, list[Any]] = {}
    for k, row in enumerate(rows):  # one row's entries in memory at a time: there may be 100,000
        for name, value in to_columns(row).items():
            columns.setdefault(name, [None] * k).append(_five_digits(value))
        for column in columns.values():
            if len(column) == k:
                column.append(None)
    return {
        "frame": [row.frame for row in rows],
        "time_s": [round(second(row.frame), 4) for row in rows],
        **columns,
    }


def _mean(values: Iterable[float | None], digits: int = 4) -> float | None:
    """The mean of the measured values; None where there are none."""
    known = [value for value in values if value is not None]
    return round(fmean(known), digits) if known else None


def _means(values: Iterable[PictureValues]) -> dict[str, float | None]:
    """The means by kind of picture."""
    every = list(values)
    return {picture: _mean(getattr(each, picture) for each in every) for picture in PICTURES}


def _five_digits(value: Any) -> Any:
    return float(f"{value:.5g}") if isinstance(value, float) else value
