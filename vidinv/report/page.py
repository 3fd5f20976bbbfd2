"""The page that shows a report to a person: is it still the same person, all the way through?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from vidinv.report import charts, document, flags, words
from vidinv.report.strips import Strip, chosen, packed


def build(report: dict[str, Any], strips: Sequence[Strip]) -> str:
    """The HTML of a report (vidinv/assets/report.schema.json) as one self-contained file that fetches nothing.

    Some of `strips` are held in it (see `strips.chosen`), from which `strips.unpacked` takes them out again; without
    any the page says that pictures were left out. An equal report and equal strips give the same bytes.
    """
    tracks = report["identity"]["tracks"]
    figures = {f"over-time-{track['id']}": charts.of_track(report, track) for track in tracks}
    figures["consistency"] = charts.consistency([(f"track {track['id']}", [track]) for track in tracks])
    timeline, worst = chosen(report, strips)
    similarity = _similarities(tracks)
    return document.render(
        "report.html.j2",
        title=f"Identity report: {report['input']['path']}",
        figures=figures,
        report=report,
        answer=words.answer(report),
        gate=report["gate"] and words.gate_lines(report["gate"]),
        missed=words.MISSED,
        kinds=words.KINDS,
        unseen=[name for kind, name in words.KINDS.items() if kind in flags.looked_for(tracks)],
        flags=sorted(report["flags"], key=lambda flag: (list(words.KINDS).index(flag["kind"]), flag["from_s"])),
        headline=words.headline(report["identity"]),
        inversion=words.has_inversion(report),
        same_person=words.SAME_PERSON,
        effects=[(edit, words.effect(edit)) for edit in report["edits"]],
        summaries={track["id"]: words.summary(track) for track in tracks},
        details={track["id"]: words.details(track) for track in tracks},
        panels="source | inversion | edit" if words.has_inversion(report) else "source | edit",
        timeline=Markup(packed(timeline)),
        worst=[(strip, Markup(packed([strip])), similarity[strip.track, strip.frame]) for strip in worst],
        pictures=len(timeline) + len(worst),
    )


def _similarities(tracks: list[dict[str, Any]]) -> dict[tuple[int, int], float | None]:
    """(track, frame) -> ArcFace similarity of edit and source, where there is one."""
    return {
        (track["id"], frame): value
        for track in tracks
        for frame, value in zip(track["per_frame"]["frame"], track["per_frame"].get("arcface_edit", []), strict=False)
    }
