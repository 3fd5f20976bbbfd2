"""Compare page: build the HTML page that shows several reports side by side, of clips, encoders or tools."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from vidinv.report import charts, document
from vidinv.report import text as report_text
from vidinv.report.text import HeadlineRow

NETWORKS = {"arcface": "ArcFace", "lightcnn": "LightCNN"}
SIMILARITIES = {"inversion": "arcface_inversion", "edit": "arcface_edit"}


def build_compare_page(reports: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """The HTML of a comparison of named reports (vidinv/assets/report.schema.json), as one file that fetches nothing.

    In the box plots the tracks of reports with the same name, for example one encoder on several clips, share a box.
    The page contains no pictures of faces.
    """
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, report in reports:
        groups.setdefault(name, []).extend(report["identity"]["tracks"])
    rows = [(name, report, _headline_cells(report)) for name, report in reports]
    return document.render(
        "report_compare.html.j2",
        title="Identity reports compared",
        figures=_figures(groups),
        networks=NETWORKS,
        same_person=report_text.SAME_PERSON,
        meanings=[(n, meaning) for n, meaning, _ in report_text.FIGURES if any(n in cells for _, _, cells in rows)],
        rows=rows,
        versions=sorted({report["versions"].get("vidinv", "unknown") for _, report in reports}),
    )


def _figures(groups: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    figures = {"frames": charts.consistency_chart(list(groups.items()))}
    similarities = [
        (name, picture, list(chain.from_iterable(track["per_frame"].get(column, []) for track in tracks)))
        for name, tracks in groups.items()
        for picture, column in SIMILARITIES.items()
    ]
    figures["similarity"] = charts.box_plot(similarities, "Similarity to the source")
    if any(len(tracks) > 1 for tracks in groups.values()):
        means = [
            (name, picture, [track["arcface"]["ic"][picture] for track in tracks])
            for name, tracks in groups.items()
            for picture in charts.COLOURS
        ]
        figures["tracks"] = charts.box_plot(means, "IC of a track")
    return figures


def _headline_cells(report: dict[str, Any]) -> dict[str, HeadlineRow]:
    """The report's headline figures by name."""
    return {row.name: row for row in report_text.headline(report["identity"])}
