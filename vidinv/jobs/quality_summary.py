"""The quality summary of a job: identity, flags, edit effects and the gate, from its face rows and its evidence."""

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
    """What was measured of a clip: the journal's rows, and the evidence behind them."""

    rows: Sequence[FaceRow]
    evidence: identity.Found


def verdict(
    analysis: Analysis, people: Sequence[Track], span: range, moves: ResolvedEdits, measured: MeasuredFaces, asked: Gate
) -> dict[str, Any]:
    """The report's `identity`, `cuts_s`, `flags` and `gate`.

    `people` are the whole tracks of those whom the job is about, `span` the frames that were gone through.
    """
    whole = {track.id: track for track in (*analysis.tracks, *people)}
    seen = {number: looks(track, span) for number, track in whole.items()}
    yaws = {(look.frame, number): look.head_yaw for number, found in seen.items() for look in found}
    rows, medoids = identity.compare_over_time(turned(measured.rows, yaws), measured.evidence)
    tracks = sidecar.by_track(rows)

    def second(frame: int) -> float:
        return analysis.second(analysis.pts[frame])

    cuts = [shot.start for shot in analysis.shots[1:] if shot.start in span]
    units = {move.edit.name: unit for move in moves for unit in move.direction.calibration}
    return {
        "identity": sidecar.identity_summary(tracks, medoids, second, UNITS | units),
        "cuts_s": [round(second(cut), 4) for cut in cuts],
        "flags": flags.find_flags(tracks, {person.id: seen[person.id] for person in people}, span, cuts, second),
        "gate": gate.judge_gate(asked, tracks, second),
    }


def turned(rows: Iterable[FaceRow], yaws: Mapping[tuple[int, int], float | None]) -> Iterator[FaceRow]:
    """The rows with the head yaw of their (frame, track), where there is one."""
    for row in rows:
        yield replace(row, head_yaw=yaws[row.frame, row.track])


def looks(person: Track, span: range) -> list[FaceView]:
    """How a person is seen on every frame of `span` that shows the face, edited or not."""
    return [
        FaceView(frame, edit_confidence.crop_side(person, k), edit_confidence.pose(person, k).get("head_yaw"))
        for k, frame in enumerate(person.frames.tolist())  # numpy's numbers would be looked for one by one in a range
        if frame in span
    ]


def effect(moves: ResolvedEdits, k: int, rows: Sequence[FaceRow], analysis: Analysis) -> dict[str, Any] | None:
    """What move `k` was to do by its direction's calibration, and what was measured while it was wholly there.

    None where the direction is not calibrated in something that was measured.
    """
    move = moves[k]
    name, edit, calibration = move.edit.name, move.edit, move.direction.calibration
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
