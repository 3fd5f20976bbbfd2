"""Reports of runs that never were, of any length, with strips of drawn faces: what pages are built and tested on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import cv2
import jsonschema
import numpy as np

from vidinv.frames import Array
from vidinv.report.document import ASSETS
from vidinv.report.strips import Strip

FPS = 25
PANEL = 160
PICTURES = ("source", "inversion", "edit")
EVERY = 5  # frames between two that the second network sees
SWAPPED = (0.5, 0.55)  # share of the clip in which another person is shown


def report(
    frames: int = 200, *, tracks: int = 1, swapped: bool = True, inversion: bool = True, gate: float | None = 0.5
) -> dict[str, Any]:
    """A report of a clip with cuts and flags; with `swapped` another person's face is there for a while.

    Without `inversion` it is one of two compared files. `gate` is a lowest similarity that was asked for.
    """
    seconds = frames / FPS
    rows = [_track(number, frames, swapped and number == 0, inversion) for number in range(tracks)]
    stretch = {"track": 0, "from_s": SWAPPED[0] * seconds, "to_s": SWAPPED[1] * seconds}
    missed = swapped and gate is not None
    identity = {name: _pooled([track[name] for track in rows]) for name in ("arcface", "lightcnn")}
    return {
        "schema": "vidinv-report/2",
        "input": {"path": "talk.mp4", "sha256": "a" * 64, "frames": frames, "width": 1280, "height": 720}
        | {"duration_s": seconds},
        "output": {"path": "talk.edited.mp4"},
        "frames": frames,
        "faces": frames * tracks,
        "edits": _edits() if inversion else [],
        "versions": {"vidinv": "0.1.0", "torch": "2.8.0", "numpy": "2.2.0"},
        "weights": {"identity/arcface-mbf": "b" * 64, "identity/lightcnn-v4": "c" * 64},
        "parts": [
            {"name": "identity/arcface-mbf", "licence": "non-commercial research use only", "origin": "InsightFace"},
            {"name": "identity/lightcnn-v4", "licence": "MIT as packaged", "origin": "Xiang Wu"},
        ],
        "measured": {"arcface_every": 1, "witness_every": EVERY},
        "identity": {**identity, "tracks": rows},
        "cuts_s": [round(share * seconds, 3) for share in (0.3, 0.75)],
        "flags": _flags(seconds) + ([stretch | _another(frames)] if swapped else []),
        "gate": None
        if gate is None
        else {"min_identity": gate, "min_ic": None, "passed": not missed}
        | {"misses": [stretch | {"what": "identity", "worst": 0.08}] if missed else []},
        "timing": {"wall_s": 1.0},
        "warnings": [],
    }


def check(made: dict[str, Any]) -> None:
    """Raises where the report is not what the published schema says."""
    jsonschema.validate(made, json.loads((ASSETS / "report.schema.json").read_text()))


def strips(made: dict[str, Any], every: int = 1) -> list[Strip]:
    """A strip of each `every`-th row of each track."""
    panels = 2 if made["identity"]["arcface"]["inversion_mean"] is None else 3
    found = []
    for track in made["identity"]["tracks"]:
        rows = track["per_frame"]
        for frame, time in list(zip(rows["frame"], rows["time_s"], strict=True))[::every]:
            found.append(Strip(track["id"], frame, time, _drawn(track["id"], frame, panels)))
    return found


def _track(number: int, frames: int, swapped: bool, inversion: bool) -> dict[str, Any]:
    random = np.random.default_rng(number)
    time = np.arange(frames) / FPS
    columns: dict[str, Any] = {"frame": list(range(frames)), "time_s": [round(t, 4) for t in time.tolist()]}
    columns["rect"] = [[40, 30, 200, 220]] * frames
    for network, level in (("arcface", 0.78), ("lightcnn", 0.7)):
        slow = 0.04 * np.sin(time * 0.9 + number)
        kept = level + slow + 0.02 * random.standard_normal(frames)
        values = {f"{network}_edit": kept, f"{network}_inversion": kept + 0.1}
        for picture, base in zip(PICTURES, (0.86, 0.84, 0.83), strict=True):
            values[f"{network}_ic_{picture}"] = base + slow + 0.03 * random.standard_normal(frames)
        if swapped:
            begin, end = (round(share * frames) for share in SWAPPED)
            for name in (f"{network}_edit", f"{network}_ic_edit"):
                values[name][begin:end] = 0.1 + 0.02 * random.standard_normal(end - begin)
        every = 1 if network == "arcface" else EVERY
        for name, column in values.items():
            columns[name] = [round(float(v), 4) if i % every == 0 else None for i, v in enumerate(column)]
            if "_ic_" in name:
                columns[name][0] = None  # the first frame is not compared with itself
    for picture, age in zip(PICTURES, (34.0, 34.5, 52.0), strict=True):
        aged = age + 1.5 * random.standard_normal(frames)
        columns[f"age_{picture}"] = [round(float(v), 2) if i % EVERY == 0 else None for i, v in enumerate(aged)]
    for picture in PICTURES[1:]:
        columns[f"flicker_{picture}"] = [round(float(v), 5) for v in 0.004 + 0.001 * random.random(frames)]
    if not inversion:
        columns = {name: values for name, values in columns.items() if "inversion" not in name}
    return {
        "id": number,
        "frames": frames,
        "from_s": columns["time_s"][0],
        "to_s": columns["time_s"][-1],
        "medoid_s": columns["time_s"][frames // 2],
        "arcface": _network(columns, "arcface"),
        "lightcnn": _network(columns, "lightcnn"),
        "attributes": {"age": {"unit": "years", **{picture: _mean(columns, f"age_{picture}") for picture in PICTURES}}},
        "per_frame": columns,
    }


def _network(columns: dict[str, Any], name: str) -> dict[str, Any]:
    return {
        "inversion_mean": _mean(columns, f"{name}_inversion"),
        "edit_mean": _mean(columns, f"{name}_edit"),
        "edit_min": min(value for value in columns[f"{name}_edit"] if value is not None),
        "ic": {picture: _mean(columns, f"{name}_ic_{picture}") for picture in PICTURES},
    }


def _mean(columns: dict[str, Any], name: str) -> float | None:
    values = [value for value in columns.get(name, []) if value is not None]
    return round(float(np.mean(values)), 4) if values else None


def _pooled(networks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    def mean(values: Sequence[float | None]) -> float | None:
        return None if None in values else round(float(np.mean(values)), 4)  # type: ignore[arg-type]

    return {
        "inversion_mean": mean([network["inversion_mean"] for network in networks]),
        "edit_mean": mean([network["edit_mean"] for network in networks]),
        "edit_min": min(network["edit_min"] for network in networks),
        "ic": {picture: mean([network["ic"][picture] for network in networks]) for picture in PICTURES},
    }


def _edits() -> list[dict[str, Any]]:
    whole = {"track": None, "from_s": 0.0, "to_s": None}
    effect = {"unit": "years", "asked": 20.0, "found": 18.0}
    return [
        {"name": "age", "strength": 2.0, "target": None, "reached": None, "effect": effect} | whole,
        {"name": "smile", "strength": 1.0, "target": None, "reached": None, "effect": None} | whole,
    ]


def _flags(seconds: float) -> list[dict[str, Any]]:
    def flag(kind: str, track: int | None, begin: float, end: float, text: str) -> dict[str, Any]:
        return {"kind": kind, "track": track, "from_s": begin * seconds, "to_s": end * seconds, "text": text}

    return [
        flag("cut", None, 0.3, 0.3, "a new shot begins"),
        flag("blur", 0, 0.62, 0.66, "the face is blurred: an eighth of its usual sharpness"),
        flag("profile", 0, 0.1, 0.14, "seen from the side: the head is turned by 48 degrees"),
    ]


def _another(frames: int) -> dict[str, Any]:
    count = round(SWAPPED[1] * frames) - round(SWAPPED[0] * frames)
    return {"kind": "another_person", "frames": count, "worst": 0.08, "text": "another face than in the source"}


def _drawn(track: int, frame: int, panels: int) -> bytes:
    """A face of a few ellipses in each panel, over noise as a camera has it."""
    noise = np.random.default_rng([track, frame]).normal(0, 4, (PANEL, PANEL * panels, 3))
    canvas = np.full((PANEL, PANEL * panels, 3), (200, 190, 170), np.uint8)
    for panel in range(panels):
        _face(canvas[:, panel * PANEL : (panel + 1) * PANEL], track, frame, smile=8 + 5 * panel)
    picture = np.clip(canvas + noise, 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


def _face(panel: Array, track: int, frame: int, smile: int) -> None:
    x, y = 80 + round(10 * np.sin(frame / 20)), 84
    skin = [(150, 180, 225), (90, 125, 175), (170, 200, 240)][track % 3]
    cv2.ellipse(panel, (x, y - 14), (58, 66), 0, 0, 360, (40, 45, 60 + 30 * (track % 3)), -1)
    cv2.ellipse(panel, (x, y), (46, 60), 0, 0, 360, skin, -1)
    for side in (-18, 18):
        cv2.circle(panel, (x + side, y - 12), 5, (50, 40, 30), -1)
    cv2.ellipse(panel, (x, y + 24), (18, smile), 0, 0, 180, (70, 60, 170), 3)
