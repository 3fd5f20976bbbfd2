"""Flags: find the frames to check: the face is absent, turned away, blurred, hidden, or another person's."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, TypeVar

from vidinv.report import frame_spans
from vidinv.report.face_rows import FaceRow, FaceView

Seconds = Callable[[int], float]  # frame index -> time in seconds
Seen = TypeVar("Seen", FaceRow, FaceView)
SAME_PERSON = 0.35  # ArcFace cosine from which two pictures usually show the same person


@dataclass(frozen=True)
class Rule(Generic[Seen]):
    """A rule that flags the faces whose `value` is below `below` or above `above`; `text` explains the flag."""

    kind: str
    column: str  # the column of the report's `per_frame` that holds the value
    value: Callable[[Seen], float | None]  # None: not measured
    text: str
    below: float = -float("inf")
    above: float = float("inf")

    def holds(self, value: float) -> bool:
        return value < self.below or value > self.above


RULES = (
    Rule[FaceRow](
        "low_similarity",
        "arcface_edit",
        lambda row: row.similarity("arcface").edit,
        "the edited face hardly resembles the source's",
        below=SAME_PERSON,
    ),
    Rule[FaceRow](
        "another_person",
        "arcface_medoid_source",
        lambda row: row.compared("arcface").medoid.source,
        "the face in the source hardly resembles the person of this track",
        below=0.25,
    ),
    Rule[FaceRow](
        "low_confidence",
        "confidence",
        lambda row: row.metrics.faded_confidence,
        "the inversion is poor; the source shows through",
        below=0.5,
    ),
    Rule[FaceRow]("hidden", "hidden", lambda row: row.metrics.hidden, "part of the face is hidden", above=0.25),
)
VIEW_RULES = (  # rules for every frame of a person, including frames without an edit
    Rule[FaceView](
        "profile",
        "head_yaw",
        lambda look: look.head_yaw,
        "the head is turned far to the side (from 65 degrees it is not edited)",
        -40,
        40,
    ),
    Rule[FaceView]("tiny", "face_px", lambda look: look.face_px, "the face is too small to be edited well", below=32),
)
SHARP = 0.3  # share of the track's median sharpness below which a frame counts as blurred


def find_flags(
    tracks: dict[int, Sequence[FaceRow]],
    looks: dict[int, Sequence[FaceView]],
    span: range,
    cuts: Iterable[int],
    second: Seconds,
) -> list[dict[str, Any]]:
    """The report's flags in order of time.

    `tracks` holds the rows of each track in order of frame. `looks` holds the view of each selected person's face on
    every frame of `span` on which it is visible (empty: faces were not searched). `cuts` are the first frames of the
    shots after the first.
    """
    found = [
        _flag("cut", None, frame_spans.Span(cut, cut, 1, 0.0), "a new shot begins", second, worst=None) for cut in cuts
    ]
    shown = {look.frame for seen in looks.values() for look in seen}
    away = ((frame, 0.0) for frame in span if frame not in shown) if looks else ()
    for gone in frame_spans.join_frames(away, gap=1):
        found.append(_flag("no_face", None, gone, "none of the selected persons is visible", second, worst=None))
    for track, seen in looks.items():
        found += _flags_of_track(track, seen, VIEW_RULES, second)
    for track, rows in tracks.items():
        found += _flags_of_track(track, rows, (*RULES, *_blur_rules(rows)), second)
    return sorted(found, key=lambda flag: (flag["from_s"], flag["kind"], flag["track"] or 0))


def detectable_kinds(tracks: Iterable[dict[str, Any]]) -> set[str]:
    """The kinds of flags that can be found in a report's `tracks`, by the columns that were measured."""
    columns = {column for track in tracks for column in track["per_frame"]} | {
        "face_px"
    }  # face_px comes from the analysis
    by_rule = {rule.kind: rule.column in columns for rule in (*RULES, *VIEW_RULES)} | {"blur": "sharpness" in columns}
    return {"cut", "no_face"} | {kind for kind, is_measured in by_rule.items() if is_measured}


def _flags_of_track(
    track: int, seen: Sequence[Seen], rules: Iterable[Rule[Seen]], second: Seconds
) -> list[dict[str, Any]]:
    found = []
    for rule in rules:
        measured = [(face.frame, value) for face in seen if (value := rule.value(face)) is not None]
        frames = [frame for frame, _ in measured]
        gap = 2 * frame_spans.usual_step(frames)
        for span in frame_spans.join_frames((each for each in measured if rule.holds(each[1])), gap=gap):
            inside = measured[bisect_left(frames, span.first) : bisect_right(frames, span.last)]
            values = [value for _, value in inside if rule.holds(value)]
            worst = max(values, key=abs) if rule.above < float("inf") else min(values)
            found.append(_flag(rule.kind, track, span, rule.text, second, worst=round(worst, 4)))
    return found


def _blur_rules(rows: Sequence[FaceRow]) -> list[Rule[FaceRow]]:
    """The rule that flags blurred frames relative to the track's median sharpness; empty where it was not measured."""
    known = [row.metrics.sharpness for row in rows if row.metrics.sharpness is not None]
    if not known:
        return []
    text = "the source is blurred here"
    return [Rule[FaceRow]("blur", "sharpness", lambda row: row.metrics.sharpness, text, below=SHARP * median(known))]


def _flag(
    kind: str, track: int | None, span: frame_spans.Span, text: str, second: Seconds, *, worst: float | None
) -> dict[str, Any]:
    return {
        "kind": kind,
        "track": track,
        "from_s": round(second(span.first), 4),
        "to_s": round(second(span.last), 4),
        "frames": span.frames,
        "worst": worst,
        "text": text,
    }
