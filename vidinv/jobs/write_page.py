"""Write the HTML page of a report, readable only by its owner."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidinv import fileio
from vidinv.frames import Evidence

if TYPE_CHECKING:
    from vidinv.report.strips import Strip


def strips(report: dict[str, Any], evidence: Iterable[Evidence]) -> list[Strip]:
    """The face pictures among the evidence, each with its time."""
    from vidinv.report.strips import Strip

    times = {
        (track["id"], frame): time
        for track in report["identity"]["tracks"]
        for frame, time in zip(track["per_frame"]["frame"], track["per_frame"]["time_s"], strict=True)
    }
    known = (each for each in evidence if each.strip and (each.track, each.frame) in times)
    return [Strip(each.track, each.frame, times[each.track, each.frame], each.strip) for each in known]


def write_page(path: Path, report: dict[str, Any], pictures: Sequence[Strip], *, overwrite: bool = True) -> None:
    """Write the page of a report, atomically and readable only by its owner. Raises OutputUnwritable."""
    from vidinv.report import page  # plotting takes a second to import, and few runs need it

    fileio.write_atomically(path, page.build_report_page(report, pictures), overwrite=overwrite, private=True)
