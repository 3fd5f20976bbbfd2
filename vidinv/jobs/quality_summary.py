"""The verdict on a job: of its rows and its evidence, what the report says of identity, flags, edits and the gate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vidinv.editing import plan
from vidinv.editing.plan import ResolvedEdits
from vidinv.faces import edit_confidence
from vidinv.faces.attribute_meter import UNITS
from vidinv.frames import Analysis, Track
from vidinv.report import flags, gate, identity, sidecar
from vidinv.report.gate import Gate


@dataclass(frozen=True)
class MeasuredFaces:
    """What was measured of a clip: the journal's rows, and the evidence behind them."""

    rows: list[dict[str, Any]]
    evidence: identity.Found


def verdict(
    analysis: Analysis, people: Sequence[Track], span: range, moves: ResolvedEdits, measured: MeasuredFaces, asked: Gate
) -> dict[str, Any]:
    """The report's `identity`, `cuts_s`, `flags` and `gate`.

    `people` are the whole tracks of those whom the job is about, `span` the frames that were gone through.
    """
    whole = {track.id: track for track in (*analysis.tracks, *people)}
    seen = {number: looks(track, span) for number, track in whole.items()}
    yaws = {(look["frame"], number): look.get("head_yaw") for number, found in seen.items() for look in found}
    rows, medoids = identity.compared(turned(measured.rows, yaws), measured.evidence)
    tracks = sidecar.by_track(rows)

    def second(frame: int) -> float:
        return analysis.second(analysis.pts[frame])

    cuts = [shot.start for shot in analysis.shots[1:] if shot.start in span]
    units = {move.edit.name: unit for move in moves for unit in move.direction.calibration}
    return {
        "identity": sidecar.identity(tracks, medoids, second, UNITS | units),
        "cuts_s": [round(second(cut), 4) for cut in cuts],
        "flags": flags.find(tracks, {person.id: seen[person.id] for person in people}, span, cuts, second),
        "gate": gate.judge(asked, tracks, second),
    }


def turned(rows: Iterable[dict[str, Any]], yaws: Mapping[tuple[int, int], float | None]) -> Iterator[dict[str, Any]]:
    """The rows with the `head_yaw` of their frame and track, where there is one."""
    for row in rows:
        yaw = yaws[row["frame"], row["track"]]
        yield row if yaw is None else {**row, "head_yaw": yaw}


def looks(person: Track, span: range) -> list[dict[str, Any]]:
    """How a person is seen on every frame of `span` that shows the face, edited or not: `head_yaw`, `face_px`.

    The yaw is in degrees, positive to the picture's right.
    """
    return [
        {"frame": frame, **edit_confidence.pose(person, k), "face_px": edit_confidence.side(person, k)}
        for k, frame in enumerate(person.frames.tolist())  # numpy's numbers would be looked for one by one in a range
        if frame in span
    ]


def effect(moves: ResolvedEdits, k: int, rows: Sequence[dict[str, Any]], analysis: Analysis) -> dict[str, Any] | None:
    """What move `k` was to do by its direction's calibration, and what was measured while it was wholly there.

    None where the direction is not calibrated in something that was measured.
    """
    move = moves[k]
    name, edit, calibration = move.edit.name, move.edit, move.direction.calibration
    there = [
        row[f"{name}_edit"] - row[f"{name}_source"]
        for row in rows
        if f"{name}_edit" in row
        and f"{name}_source" in row
        and plan.share(edit, analysis.second(analysis.pts[row["frame"]]), row["track"]) == 1
    ]
    if not calibration or not there:
        return None
    ((unit, slope),) = calibration.items()
    return {"unit": unit, "asked": round(edit.strength * slope, 4), "found": round(sum(there) / len(there), 4)}
