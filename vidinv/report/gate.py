"""Gate: check whether identity was preserved as well as the user requires, and list the spans in which it was not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vidinv.report import frame_spans
from vidinv.report.face_rows import FaceRow
from vidinv.report.flags import Seconds

NETWORK = "arcface"
SLACK = 1e-4  # tolerance of a cosine, for rounding


@dataclass(frozen=True)
class Gate:
    """The requirement: no measured face below `identity` (cosine of edit and source), no track's IC below `ic`."""

    identity: float | None = None
    ic: float | None = None

    @property
    def is_set(self) -> bool:
        return self.identity is not None or self.ic is not None


def judge_gate(gate: Gate, tracks: dict[int, Sequence[FaceRow]], second: Seconds) -> dict[str, Any] | None:
    """The report's `gate`: whether it was passed, and every span in which it was missed; None where no gate is set.

    `tracks` holds the rows of each track in order of frame, as `identity.compare_over_time` returns them. An unmeasured
    face does not miss the gate, but a gate without any measurement is not passed.
    """
    if not gate.is_set:
        return None
    misses = [miss for track, rows in tracks.items() for miss in _misses(gate, track, rows, second)]
    wanted = ((_similarity, gate.identity), (_consistency, gate.ic))
    asked = [value for value, limit in wanted if limit is not None]
    every = [row for rows in tracks.values() for row in rows]
    measured = all(any(value(row) is not None for row in every) for value in asked)
    return {"min_identity": gate.identity, "min_ic": gate.ic, "passed": measured and not misses, "misses": misses}


def describe_misses(verdict: dict[str, Any]) -> str:
    """One line that says where the gate was missed."""
    if not verdict["misses"]:
        return "too little was measured"
    parts = []
    for miss in verdict["misses"][:6]:
        when = f"{miss['from_s']:.2f}-{miss['to_s']:.2f} s"
        what = "similarity" if miss["what"] == "identity" else "identity consistency"
        parts.append(f"person {miss['track']} at {when}: {what} {miss['worst']:.2f}")
    more = len(verdict["misses"]) - len(parts)
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")


def _similarity(row: FaceRow) -> float | None:
    return row.similarity(NETWORK).edit


def _consistency(row: FaceRow) -> float | None:
    return row.compared(NETWORK).ic.edit


def _misses(gate: Gate, track: int, rows: Sequence[FaceRow], second: Seconds) -> list[dict[str, Any]]:
    found = []
    if gate.identity is not None:
        known = [(row.frame, value) for row in rows if (value := _similarity(row)) is not None]
        low = [each for each in known if not each[1] >= gate.identity - SLACK]
        for span in frame_spans.join_frames(low, gap=frame_spans.usual_step([frame for frame, _ in known])):
            found.append(_miss(track, "identity", second(span.first), second(span.last), span.worst))
    values = [value for row in rows if (value := _consistency(row)) is not None]
    if gate.ic is not None and values and not sum(values) / len(values) >= gate.ic - SLACK:
        ends = second(rows[0].frame), second(rows[-1].frame)
        found.append(_miss(track, "ic", *ends, sum(values) / len(values)))
    return found


def _miss(track: int, what: str, begin: float, end: float, worst: float) -> dict[str, Any]:
    return {
        "track": track,
        "what": what,
        "from_s": round(begin, 4),
        "to_s": round(end, 4),
        "worst": round(worst, 4),
    }
