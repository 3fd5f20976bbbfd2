"""What a person should look at: frames whose face is not seen, turned away, blurred, hidden, or not the person's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from vidinv.report import spans

Seconds = Callable[[int], float]  # of a frame
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
    Rule("profile", "head_yaw", "the head is turned far to the side", below=-40, above=40),
    Rule("hidden", "hidden", "part of the face is hidden", above=0.25),
)
SHARP = 0.3  # of the track's median sharpness, below which a frame is called blurred


def find(
    tracks: dict[int, Sequence[dict[str, Any]]], seen: Sequence[tuple[int, bool]], cuts: Iterable[int], second: Seconds
) -> list[dict[str, Any]]:
    """Flags in order of time, as the report has them.

    `tracks` hold each track's rows in order of frame; `seen` says of every frame whether a face is on it that the job
    is about; `cuts` are the first frames of shots but the first.
    """
    found = [_flag("cut", None, spans.Span(cut, cut, 1, 0.0), "a new shot begins", second, worst=None) for cut in cuts]
    for span in spans.join(((frame, 0.0) for frame, is_seen in seen if not is_seen), gap=1):
        found.append(_flag("no_face", None, span, "nobody is seen whose face is edited", second, worst=None))
    for track, rows in tracks.items():
        for rule in (*RULES, *_blur(rows)):
            measured = [(row["frame"], row[rule.column]) for row in rows if rule.column in row]
            gap = 2 * spans.apart([frame for frame, _ in measured])
            for span in spans.join((each for each in measured if rule.holds(each[1])), gap=gap):
                values = [value for frame, value in measured if span.first <= frame <= span.last and rule.holds(value)]
                worst = max(values, key=abs) if rule.above < float("inf") else min(values)
                found.append(_flag(rule.kind, track, span, rule.text, second, worst=round(worst, 4)))
    return sorted(found, key=lambda flag: (flag["from_s"], flag["kind"], flag["track"] or 0))


def _blur(rows: Sequence[dict[str, Any]]) -> list[Rule]:
    """The rule that calls a track's frames blurred, by its own sharpness."""
    known = [row["sharpness"] for row in rows if "sharpness" in row]
    return [Rule("blur", "sharpness", "the source is blurred here", below=SHARP * median(known))] if known else []


def _flag(
    kind: str, track: int | None, span: spans.Span, text: str, second: Seconds, *, worst: float | None
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
