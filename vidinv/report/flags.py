"""What a person should look at: frames whose face is not seen, turned away, blurred, hidden, or not the person's."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from vidinv.report import frame_spans

Seconds = Callable[[int], float]  # of a frame
Rows = Sequence[dict[str, Any]]
SAME_PERSON = 0.35  # ArcFace's cosine from which two pictures are usually of one person


@dataclass(frozen=True)
class Rule:
    """Flags the rows whose `column` is `below` a limit or `above` it; `text` says what that means."""

    kind: str
    column: str
    text: str
    below: float = -float("inf")
    above: float = float("inf")

    def holds(self, value: float) -> bool:
        return value < self.below or value > self.above


RULES = (
    Rule("low_similarity", "arcface_edit", "the edited face is hardly the source's", below=SAME_PERSON),
    Rule("another_person", "arcface_medoid_source", "the source itself shows hardly the same person", below=0.25),
    Rule("low_confidence", "confidence", "the inversion is poor; the source shows through", below=0.5),
    Rule("hidden", "hidden", "part of the face is hidden", above=0.25),
)
LOOKS = (  # of every frame of a person, also of those that are left alone
    Rule("profile", "head_yaw", "the head is turned far to the side (from 65 degrees it is not edited)", -40, 40),
    Rule("tiny", "face_px", "the face is too small to be edited well", below=32),
)
SHARP = 0.3  # of the track's median sharpness, below which a frame is called blurred


def find(
    tracks: dict[int, Rows], looks: dict[int, Rows], span: range, cuts: Iterable[int], second: Seconds
) -> list[dict[str, Any]]:
    """Flags in order of time, as the report has them.

    `tracks` hold each track's rows in order of frame, `looks` how each person whom the job is about is seen on every
    frame of `span` that shows the face (none: nobody is looked for); `cuts` are the first frames of later shots.
    """
    found = [
        _flag("cut", None, frame_spans.Span(cut, cut, 1, 0.0), "a new shot begins", second, worst=None) for cut in cuts
    ]
    shown = {row["frame"] for rows in looks.values() for row in rows}
    away = ((frame, 0.0) for frame in span if frame not in shown) if looks else ()
    for gone in frame_spans.join(away, gap=1):
        found.append(_flag("no_face", None, gone, "nobody is seen whose face is edited", second, worst=None))
    for track, rows in looks.items():
        found += _found(track, rows, LOOKS, second)
    for track, rows in tracks.items():
        found += _found(track, rows, (*RULES, *_blur(rows)), second)
    return sorted(found, key=lambda flag: (flag["from_s"], flag["kind"], flag["track"] or 0))


def looked_for(tracks: Iterable[dict[str, Any]]) -> set[str]:
    """The kinds of flags that could have been found, by what was measured of a report's `tracks`."""
    columns = {column for track in tracks for column in track["per_frame"]} | {"face_px"}  # that is of the analysis
    by_rule = {rule.kind: rule.column in columns for rule in (*RULES, *LOOKS)} | {"blur": "sharpness" in columns}
    return {"cut", "no_face"} | {kind for kind, is_measured in by_rule.items() if is_measured}


def _found(track: int, rows: Rows, rules: Iterable[Rule], second: Seconds) -> list[dict[str, Any]]:
    found = []
    for rule in rules:
        measured = [(row["frame"], row[rule.column]) for row in rows if rule.column in row]
        frames = [frame for frame, _ in measured]
        gap = 2 * frame_spans.apart(frames)
        for span in frame_spans.join((each for each in measured if rule.holds(each[1])), gap=gap):
            inside = measured[bisect_left(frames, span.first) : bisect_right(frames, span.last)]
            values = [value for _, value in inside if rule.holds(value)]
            worst = max(values, key=abs) if rule.above < float("inf") else min(values)
            found.append(_flag(rule.kind, track, span, rule.text, second, worst=round(worst, 4)))
    return found


def _blur(rows: Rows) -> list[Rule]:
    """The rule that calls a track's frames blurred, by its own sharpness."""
    known = [row["sharpness"] for row in rows if "sharpness" in row]
    return [Rule("blur", "sharpness", "the source is blurred here", below=SHARP * median(known))] if known else []


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
