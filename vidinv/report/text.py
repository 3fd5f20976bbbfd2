"""Text: put a report's figures into plain words, for people who do not know the networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SAME_PERSON = 0.35  # ArcFace cosine that pictures of one person usually exceed; the tracker joins faces from it on
NOT_MEASURED = "—"
KINDS = {
    "another_person": "another person",
    "low_similarity": "low similarity",
    "low_confidence": "poor inversion",
    "no_face": "no face",
    "profile": "profile view",
    "tiny": "tiny face",
    "hidden": "face hidden",
    "blur": "blur",
    "cut": "cut",
}  # the kinds of flags, most serious first
MISSED = {"identity": "similarity of edit and source", "ic": "identity consistency (IC)"}


@dataclass(frozen=True)
class Answer:
    """The answer to "is it still the same person?"; `level` is good, doubtful, bad or unknown."""

    level: str
    short: str
    long: str


@dataclass(frozen=True)
class HeadlineRow:
    """A row of the table of headline figures, with the formatted values of both networks."""

    name: str
    meaning: str
    arcface: str
    lightcnn: str


def clock(seconds: float) -> str:
    """Format a time in seconds as 0:07.40 or 1:02:03.50; negative times count as 0."""
    hundredths = round(max(seconds, 0.0) * 100)
    minutes, rest = divmod(hundredths, 6000)
    text = f"{rest // 100:02d}.{rest % 100:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{text}" if minutes >= 60 else f"{minutes}:{text}"


def span(entry: dict[str, Any]) -> str:
    """The time span of a flag, a miss or an edit."""
    begin, end = entry["from_s"], entry["to_s"]
    if end is None:
        return f"{clock(begin)} to the end"
    return clock(begin) if end == begin else f"{clock(begin)} to {clock(end)}"


def number(value: float | None, digits: int = 2) -> str:
    """Format a value with `digits` decimals; None, not measured, is a dash."""
    if value is None:
        return NOT_MEASURED
    return f"{value:.{digits}f}" if round(value, digits) else f"{0:.{digits}f}"


def answer(report: dict[str, Any]) -> Answer:
    """The answer that a report's figures support."""
    arcface, lightcnn = report["identity"]["arcface"], report["identity"]["lightcnn"]
    mean, lowest = arcface["edit_mean"], arcface.get("edit_min")
    if mean is None:
        return Answer("unknown", "Not measured", "No face was compared with its source.")
    measured = f"On average an edited frame is {number(mean)} similar to its source by ArcFace"
    if lightcnn["edit_mean"] is not None:
        measured += f" and {number(lightcnn['edit_mean'])} by LightCNN, an independent network"
    measured += " (1 is the same picture)."
    if lowest is not None:
        measured += f" The lowest frame has {number(lowest)}."
    found = {kind: [flag for flag in report["flags"] if flag["kind"] == kind] for kind in KINDS}
    if found["another_person"]:
        return Answer(
            "bad", "Not all the way through", f"Another face was seen {_when(found['another_person'])}. {measured}"
        )
    if report["gate"] is not None and not report["gate"]["passed"]:
        return Answer("bad", "Not as surely as was asked", f"The gate was missed. {measured}")
    if mean < SAME_PERSON:
        return Answer("bad", "Doubtful", f"{measured} Pictures of one person are usually above {SAME_PERSON}.")
    if found["low_similarity"]:
        return Answer("doubtful", "Not everywhere", f"Similarity is low {_when(found['low_similarity'])}. {measured}")
    if lowest is not None and lowest < SAME_PERSON:
        return Answer("doubtful", "Not in every frame", f"{measured} One person is usually above {SAME_PERSON}.")
    networks = "two networks" if lightcnn["edit_mean"] is not None else "one network"
    return Answer("good", f"Yes, as far as {networks} can tell", measured)


def has_inversion(report: dict[str, Any]) -> bool:
    """Whether an inversion was measured; a comparison of two files has none."""
    means = [report["identity"][network]["inversion_mean"] for network in ("arcface", "lightcnn")]
    return any(mean is not None for mean in means)


def headline(identity: dict[str, Any]) -> list[HeadlineRow]:
    """The measured headline figures of a report's `identity` or of one of its tracks, with their meanings."""
    arcface, lightcnn = identity["arcface"], identity["lightcnn"]
    rows = [HeadlineRow(name, meaning, number(of(arcface)), number(of(lightcnn))) for name, meaning, of in FIGURES]
    return [row for row in rows if {row.arcface, row.lightcnn} != {NOT_MEASURED}]


def ic_gap(network: dict[str, Any]) -> float | None:
    """IC of the source minus IC of the edit, by one network; None where one of them was not measured."""
    source, edit = network["ic"]["source"], network["ic"]["edit"]
    return None if source is None or edit is None else source - edit


def effect(edit: dict[str, Any]) -> str:
    """The requested and the measured effect of an edit: `asked +2 = about +20 years, measured +18 years`."""
    strength, target, found = edit["strength"], edit.get("target"), edit.get("effect") or {}
    unit = _unit(found.get("unit", ""))
    parts = []
    if target is not None:
        reached = edit.get("reached")
        sought = f"asked for {_amount(target)} {unit}".strip()
        parts.append(f"{sought}, reached {_amount(reached)}" if reached is not None else sought)
    asked = f"strength {_signed(strength)}" if target is not None else f"asked {_signed(strength)}"
    if found.get("asked") is not None:
        asked += f" = about {_signed(found['asked'], 2)} {unit}"
    parts.append(asked)
    measured = found.get("found")
    parts.append(f"measured {_signed(measured, 2)} {unit}" if measured is not None else "effect not measured")
    return ", ".join(parts)


def gate_lines(gate: dict[str, Any]) -> list[str]:
    """The requirements of a gate, in words."""
    asked = []
    if gate["min_identity"] is not None:
        asked.append(f"similarity of edit and source at least {gate['min_identity']:g}")
    if gate["min_ic"] is not None:
        asked.append(f"identity consistency of the edit at least {gate['min_ic']:g}")
    return asked


def details(track: dict[str, Any]) -> list[tuple[str, str]]:
    """The other measured figures of a track as (name, value)."""
    inversion, flicker = track.get("inversion", {}), track.get("flicker", {})
    shown = [
        ("PSNR of the inversion within the face", inversion.get("psnr"), 1, " dB"),
        ("SSIM of the inversion within the face", inversion.get("ssim"), 3, ""),
        ("LPIPS of the inversion within the face", inversion.get("lpips"), 3, ""),
        ("Flicker of the inversion (share of full range)", flicker.get("inversion"), 4, ""),
        ("Flicker of the edit (share of full range)", flicker.get("edit"), 4, ""),
        ("Flicker, edit over inversion", flicker.get("ratio"), 2, ""),
        ("Mask's cover of the face, mean", track.get("mask_cover_mean"), 2, ""),
        ("Mask's cover of the face, least", track.get("mask_cover_min"), 2, ""),
        ("Difference of inversion and source", track.get("residual_mean"), 3, ""),
        ("Confidence in the inversion", track.get("confidence_mean"), 2, ""),
    ]
    found = [(name, number(value, digits) + unit) for name, value, digits, unit in shown if value is not None]
    for name, means in track.get("attributes", {}).items():
        before, after = number(means["source"]), number(means["edit"])
        found.append((f"{name.replace('_', ' ')}, before and after", f"{before} → {after} {_unit(means['unit'])}"))
    return found


def summary(track: dict[str, Any]) -> str:
    """One sentence about a track, for readers who cannot see its chart."""
    network = track["arcface"]
    text = f"{track['frames']} frames; ArcFace similarity of edit and source {number(network['edit_mean'])} on average"
    rows = track["per_frame"]
    known = [(v, t) for v, t in zip(rows.get("arcface_edit", []), rows["time_s"], strict=False) if v is not None]
    if known:
        value, time = min(known)
        text += f", lowest {number(value)} at {clock(time)}"
    return text


def _when(flags: list[dict[str, Any]]) -> str:
    first = f"at {span(flags[0])}"
    return first if len(flags) == 1 else f"{first} and at {len(flags) - 1} more places"


def _unit(name: str) -> str:
    return name.replace("_", " ")


def _amount(value: float) -> str:
    return f"{value:.3g}"


def _signed(value: float, digits: int = 3) -> str:
    return f"{float(f'{value:.{digits}g}'):+g}"


FIGURES: tuple[tuple[str, str, Callable[[dict[str, Any]], float | None]], ...] = (
    ("Edit and source", "the mean similarity of an edited frame and its source", lambda n: n["edit_mean"]),
    ("Edit and source, lowest", "the same for the least similar frame", lambda n: n.get("edit_min")),
    (
        "Inversion and source",
        "the mean similarity of the inverted face, before any edit, and its source",
        lambda n: n["inversion_mean"],
    ),
    (
        "IC of the source",
        "the mean similarity of its frames to its own first frame (Eq. 9)",
        lambda n: n["ic"]["source"],
    ),
    ("IC of the inversion", "the same for the inversion", lambda n: n["ic"]["inversion"]),
    ("IC of the edit", "the same for the edited video", lambda n: n["ic"]["edit"]),
    ("IC gap", "IC of the source minus IC of the edit; 0: as consistent as the source", ic_gap),
    (
        "Edit and typical face",
        "the mean similarity to the source's most typical face",
        lambda n: n.get("medoid", {}).get("edit"),
    ),
)  # name, meaning, and the value by one network
