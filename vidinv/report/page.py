"""Page: build the HTML page of a report, which answers whether the video still shows the same person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from vidinv.report import charts, document, flags
from vidinv.report import text as report_text
from vidinv.report.strips import Strip, choose_strips, strips_to_html


def build_report_page(report: dict[str, Any], strips: Sequence[Strip]) -> str:
    """The HTML of a report (vidinv/assets/report.schema.json) as one self-contained file that fetches nothing.

    The page contains some of `strips` (see `strips.choose_strips`), and `strips.strips_from_html` reads them back;
    without strips the page says that pictures were left out. The same report and strips give the same bytes.
    """
    tracks = report["identity"]["tracks"]
    figures = {f"over-time-{track['id']}": charts.track_chart(report, track) for track in tracks}
    figures["consistency"] = charts.consistency_chart([(f"track {track['id']}", [track]) for track in tracks])
    timeline, worst = choose_strips(report, strips)
    similarity = _similarity_by_face(tracks)
    return document.render(
        "report.html.j2",
        title=f"Identity report: {report['input']['path']}",
        figures=figures,
        report=report,
        answer=report_text.answer(report),
        gate=report["gate"] and report_text.gate_lines(report["gate"]),
        missed=report_text.MISSED,
        kinds=report_text.KINDS,
        unseen=[name for kind, name in report_text.KINDS.items() if kind in flags.detectable_kinds(tracks)],
        flags=sorted(report["flags"], key=lambda flag: (list(report_text.KINDS).index(flag["kind"]), flag["from_s"])),
        headline=report_text.headline(report["identity"]),
        inversion=report_text.has_inversion(report),
        same_person=report_text.SAME_PERSON,
        effects=[(edit, report_text.effect(edit)) for edit in report["edits"]],
        summaries={track["id"]: report_text.summary(track) for track in tracks},
        details={track["id"]: report_text.details(track) for track in tracks},
        panels="source | inversion | edit" if report_text.has_inversion(report) else "source | edit",
        timeline=Markup(strips_to_html(timeline)),
        worst=[(strip, Markup(strips_to_html([strip])), similarity[strip.track, strip.frame]) for strip in worst],
        pictures=len(timeline) + len(worst),
    )


def _similarity_by_face(tracks: list[dict[str, Any]]) -> dict[tuple[int, int], float | None]:
    """The ArcFace similarity of edit and source by (track, frame)."""
    return {
        (track["id"], frame): value
        for track in tracks
        for frame, value in zip(track["per_frame"]["frame"], track["per_frame"].get("arcface_edit", []), strict=False)
    }
