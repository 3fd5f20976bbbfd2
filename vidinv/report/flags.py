"""What a person should look at: frames whose face is not seen, turned away, blurred, hidden, or not the person's."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, TypeVar

from vidinv.report import frame_spans
from vidinv.report.face_rows import FaceRow, FaceView

Seconds = Callable[[int], float]  # of a frame
Seen = TypeVar("Seen", FaceRow, FaceView)
SAME_PERSON = 0.35  # ArcFace's cosine from which two pictures are usually of one person


@dataclass(frozen=True)
class Rule(Generic[Seen]):
    """Flags the faces whose `value` is `below` a limit or `above` it; `text` says what that means."""

    kind: str
    column: str  # of the report's `per_frame`, in which the value is published
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
        "the edited face is hardly the source's",
        below=SAME_PERSON,
    ),
    Rule[FaceRow](
        "another_person",
        "arcface_medoid_source",
        lambda row: row.compared("arcface").medoid.source,
        "the source itself shows hardly the same person",
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
LOOKS = (  # of every frame of a person, also of those that are left alone
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
SHARP = 0.3  # of the track's median sharpness, below which a frame is called blurred


def find(
    tracks: dict[int, Sequence[FaceRow]],
    looks: dict[int, Sequence[FaceView]],
    span: range,
    cuts: Iterable[int],
    second: Seconds,
) -> list[dict[str, Any]]:
    """Flags in order of time, as the report has them.

    `tracks` hold each track's rows in order of frame, `looks` how each person whom the job is about is seen on every
    frame of `span` that shows the face (none: nobody is looked for); `cuts` are the first frames of later shots.
    """
    found = [
        _flag("cut", None, frame_spans.Span(cut, cut, 1, 0.0), "a new shot begins", second, worst=None) for cut in cuts
    ]
    shown = {look.frame for seen in looks.values() for look in seen}
    away = ((frame, 0.0) for frame in span if frame not in shown) if looks else ()
    for gone in frame_spans.join(away, gap=1):
        found.append(_flag("no_face", None, gone, "nobody is seen whose face is edited", second, worst=None))
    for track, seen in looks.items():
        found += _found(track, seen, LOOKS, second)
    for track, rows in tracks.items():
        found += _found(track, rows, (*RULES, *_blur(rows)), second)
    return sorted(found, key=lambda flag: (flag["from_s"], flag["kind"], flag["track"] or 0))


def looked_for(tracks: Iterable[dict[str, Any]]) -> set[str]:
    """The kinds of flags that could have been found, by what was measured of a report's `tracks`."""
    columns = {column for track in tracks for column in track["per_frame"]} | {"face_px"}  # that is of the analysis
    by_rule = {rule.kind: rule.column in columns for rule in (*RULES, *LOOKS)} | {"blur": "sharpness" in columns}
    return {"cut", "no_face"} | {kind for kind, is_measured in by_rule.items() if is_measured}


def _found(track: int, seen: Sequence[Seen], rules: Iterable[Rule[Seen]], second: Seconds) -> list[dict[str, Any]]:
    found = []
    for rule in rules:
        measured = [(face.frame, value) for face in seen if (value := rule.value(face)) is not None]
        frames = [frame for frame, _ in measured]
        gap = 2 * frame_spans.apart(frames)
        for span in frame_spans.join((each for each in measured if rule.holds(each[1])), gap=gap):
            inside = measured[bisect_left(frames, span.first) : bisect_right(frames, span.last)]
            values = [value for _, value in inside if rule.holds(value)]
            worst = max(values, key=abs) if rule.above < float("inf") else min(values)
            found.append(_flag(rule.kind, track, span, rule.text, second, worst=round(worst, 4)))
    return found


def _blur(rows: Sequence[FaceRow]) -> list[Rule[FaceRow]]:
    """The rule that calls a track's frames blurred, by its own sharpness."""
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
