"""Summarize the quality of a job from its face rows and evidence: identity, flags, edit effects and gate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vidinv.editing import plan
from vidinv.editing.plan import ResolvedEdits
from vidinv.faces import edit_confidence
from vidinv.faces.attribute_meter import UNITS
from vidinv.frames import Analysis, PictureValues, Track
from vidinv.report import flags, gate, identity, sidecar
from vidinv.report.face_rows import FaceRow, FaceView
from vidinv.report.gate import Gate


@dataclass(frozen=True)
class MeasuredFaces:
    """The measurements of a clip: the face rows of its journal, and the evidence behind them."""

    rows: Sequence[FaceRow]
    evidence: identity.Found


def summarize(
    analysis: Analysis,
    people: Sequence[Track],
    span: range,
    edits: ResolvedEdits,
    measured: MeasuredFaces,
    gate_options: Gate,
) -> dict[str, Any]:
    """The report's `identity`, `cuts_s`, `flags` and `gate`.

    `people` are the full tracks of the persons that the job edits, `span` is the range of processed frames.
    """
    whole = {track.id: track for track in (*analysis.tracks, *people)}
    seen = {number: face_views(track, span) for number, track in whole.items()}
    yaws = {(look.frame, number): look.head_yaw for number, found in seen.items() for look in found}
    rows, medoids = identity.compare_over_time(with_head_yaw(measured.rows, yaws), measured.evidence)
    tracks = sidecar.by_track(rows)

    def second(frame: int) -> float:
        return analysis.second(analysis.pts[frame])

    cuts = [shot.start for shot in analysis.shots[1:] if shot.start in span]
    units = {resolved.edit.name: unit for resolved in edits for unit in resolved.direction.calibration}
    return {
        "identity": sidecar.identity_summary(tracks, medoids, second, UNITS | units),
        "cuts_s": [round(second(cut), 4) for cut in cuts],
        "flags": flags.find_flags(tracks, {person.id: seen[person.id] for person in people}, span, cuts, second),
        "gate": gate.judge_gate(gate_options, tracks, second),
    }


def with_head_yaw(rows: Iterable[FaceRow], yaws: Mapping[tuple[int, int], float | None]) -> Iterator[FaceRow]:
    """Add to each row the head yaw of its (frame, track); None if unknown."""
    for row in rows:
        yield replace(row, head_yaw=yaws[row.frame, row.track])


def face_views(person: Track, span: range) -> list[FaceView]:
    """Face size and head yaw on every frame of `span` that shows the person, edited or not."""
    return [
        FaceView(frame, edit_confidence.crop_side(person, k), edit_confidence.pose(person, k).get("head_yaw"))
        for k, frame in enumerate(person.frames.tolist())  # `in` is slow for numpy integers in a range
        if frame in span
    ]


def edit_effect(edits: ResolvedEdits, k: int, rows: Sequence[FaceRow], analysis: Analysis) -> dict[str, Any] | None:
    """The effect of edit `k`: expected by its direction's calibration, and measured on frames at full strength.

    None if the direction has no calibration or nothing was measured.
    """
    resolved = edits[k]
    name, edit, calibration = resolved.edit.name, resolved.edit, resolved.direction.calibration
    there = []
    for row in rows:
        read = row.metrics.attributes.get(name, PictureValues())
        if read.edit is None or read.source is None:
            continue
        if plan.share(edit, analysis.second(analysis.pts[row.frame]), row.track) == 1:
            there.append(read.edit - read.source)
    if not calibration or not there:
        return None
    ((unit, slope),) = calibration.items()
    return {"unit": unit, "asked": round(edit.strength * slope, 4), "found": round(sum(there) / len(there), 4)}
