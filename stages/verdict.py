"""The verdict on a job: of its rows and its evidence, what the report says of identity, flags, edits and the gate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stages.request import Moves
from vidinv.editing import plan
from vidinv.faces import geometry, similarity
from vidinv.faces.meter import UNITS
from vidinv.frames import Analysis, Track
from vidinv.report import flags, gate, identity, sidecar
from vidinv.report.gate import Gate


@dataclass(frozen=True)
class Measured:
    """What was measured of a clip: the journal's rows, and the evidence behind them."""

    rows: list[dict[str, Any]]
    evidence: identity.Found


def verdict(
    analysis: Analysis, seen: Sequence[tuple[int, bool]], moves: Moves, measured: Measured, asked: Gate
) -> dict[str, Any]:
    """The report's `identity`, `cuts_s`, `flags` and `gate`.

    `seen` says of every frame that was gone through whether somebody is on it whom the job is about.
    """
    rows, medoids = identity.compared(turned(measured.rows, analysis.tracks), measured.evidence)
    tracks = sidecar.by_track(rows)

    def second(frame: int) -> float:
        return analysis.second(analysis.pts[frame])

    through = {frame for frame, _ in seen}
    cuts = [shot.start for shot in analysis.shots[1:] if shot.start in through]
    units = {move.edit.name: next(iter(move.direction.calibration), "") for move in moves}
    return {
        "identity": sidecar.identity(tracks, medoids, second, UNITS | units),
        "cuts_s": [round(second(cut), 4) for cut in cuts],
        "flags": flags.find(tracks, seen, cuts, second),
        "gate": gate.judge(asked, tracks, second),
    }


def turned(rows: list[dict[str, Any]], tracks: Sequence[Track]) -> list[dict[str, Any]]:
    """The rows with `head_yaw`, in degrees, by the landmarks of the analysis; positive to the picture's right."""
    place = {(int(frame), track.id): (track, k) for track in tracks for k, frame in enumerate(track.frames)}
    found = []
    for row in rows:
        track, k = place[row["frame"], row["track"]]
        upright = similarity.apply(similarity.invert(track.to_frame[k]), track.landmarks[k].astype(float))
        found.append({**row, "head_yaw": geometry.head_pose(upright, track.crop, track.crop)[0]})
    return found


def effect(moves: Moves, k: int, rows: Sequence[dict[str, Any]], analysis: Analysis) -> dict[str, Any] | None:
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
