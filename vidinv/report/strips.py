"""Strips, a face's pictures side by side: which of them a page shows, and how a page carries them."""

from __future__ import annotations

import base64
import binascii
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from itertools import groupby
from typing import Any

import cv2
import numpy as np

from vidinv.errors import InputUnreadable
from vidinv.report.text import clock

TIMELINE = 120  # strips along the clip, of all tracks together; a track's two ends may come on top
WORST = 12
APART = 0.5  # seconds between two of the worst of a track
PANEL = 72  # pixels, side of a panel on the timeline
QUALITY = 80  # of its JPEGs
PREFIX = "data:image/jpeg;base64,"


@dataclass(frozen=True)
class Strip:
    """A JPEG of square panels side by side: source | inversion | edit, or source | edit where two files are compared.

    `time_s` is in seconds from the clip's first frame.
    """

    track: int
    frame: int
    time_s: float
    jpeg: bytes


def chosen(report: dict[str, Any], strips: Sequence[Strip]) -> tuple[list[Strip], list[Strip]]:
    """(timeline, worst) of `strips`: some evenly in time with small panels, and the lowest `arcface_edit` as they are.

    A track's share of the timeline is its share of the time. The worst come lowest first, at most WORST, those of one
    track at least APART seconds from one another. Choosing again from what was chosen gives the same.
    """
    unique: dict[tuple[int, int], Strip] = {}
    for strip in strips:
        key = strip.track, strip.frame
        if key not in unique or len(strip.jpeg) > len(unique[key].jpeg):  # the larger picture of the same face
            unique[key] = strip
    ordered = [unique[key] for key in sorted(unique)]
    return [shrunk(strip) for strip in _evenly(ordered)], _lowest(report, ordered)


def shrunk(strip: Strip) -> Strip:
    """The strip with panels of PANEL pixels; itself where they are no larger."""
    picture = cv2.imdecode(np.frombuffer(strip.jpeg, np.uint8), cv2.IMREAD_COLOR)  # [H,W,3]
    if picture is None:
        raise ValueError(f"the strip of track {strip.track}, frame {strip.frame} is no picture")
    height, width = picture.shape[:2]
    if height <= PANEL:
        return strip
    small = cv2.resize(picture, (round(width * PANEL / height), PANEL), interpolation=cv2.INTER_AREA)
    return replace(strip, jpeg=cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())


def packed(strips: Iterable[Strip]) -> str:
    """The strips as HTML images that hold their bytes, one a line; `unpacked` finds them again."""
    return "\n".join(
        f'<img data-track="{strip.track}" data-frame="{strip.frame}" data-time="{strip.time_s!r}"'
        f' alt="{html.escape(f"track {strip.track} at {clock(strip.time_s)}, pictures side by side")}"'
        f' src="{PREFIX}{base64.b64encode(strip.jpeg).decode()}">'
        for strip in strips
    )


def unpacked(page: str) -> list[Strip]:
    """All strips in the HTML of a page, in its order. Raises InputUnreadable where one is damaged."""
    finder = _Finder()
    finder.feed(page)
    return finder.strips


class _Finder(HTMLParser):
    """Collects the images that `packed` writes."""

    def __init__(self) -> None:
        super().__init__()
        self.strips: list[Strip] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attrs}
        if tag != "img" or "data-frame" not in held:
            return
        try:
            numbers = int(held["data-track"]), int(held["data-frame"]), float(held["data-time"])
            jpeg = base64.b64decode(held["src"].removeprefix(PREFIX), validate=True)
        except (KeyError, ValueError, binascii.Error) as error:
            raise InputUnreadable(
                f"a picture in the report page is damaged ({error})", remedy="rebuild the page with --no-thumbnails"
            ) from error
        self.strips.append(Strip(*numbers, jpeg))


def _evenly(strips: list[Strip]) -> list[Strip]:
    """The strips nearest to evenly spaced times of each track; both its ends are among them."""
    tracks = [list(group) for _, group in groupby(strips, key=lambda strip: strip.track)]
    spans = [group[-1].time_s - group[0].time_s for group in tracks]
    picked: list[Strip] = []
    for group, span in zip(tracks, spans, strict=True):
        times = np.array([strip.time_s for strip in group])  # [n]
        targets = np.linspace(times[0], times[-1], max(2, round(TIMELINE * span / (sum(spans) or 1))))  # [m]
        nearest = np.abs(times[:, None] - targets).argmin(0)  # [n,m] -> [m]
        picked += [group[index] for index in np.unique(nearest)]
    return picked


def _lowest(report: dict[str, Any], strips: list[Strip]) -> list[Strip]:
    similarity: dict[tuple[int, int], float] = {}
    for track in report["identity"]["tracks"]:
        rows = track["per_frame"]
        for frame, value in zip(rows["frame"], rows.get("arcface_edit", ()), strict=False):
            if value is not None:
                similarity[track["id"], frame] = value
    known = [strip for strip in strips if (strip.track, strip.frame) in similarity]
    picked: list[Strip] = []
    for strip in sorted(known, key=lambda strip: (similarity[strip.track, strip.frame], strip.track, strip.frame)):
        near = (p for p in picked if p.track == strip.track and abs(p.time_s - strip.time_s) < APART)
        if len(picked) < WORST and not any(near):
            picked.append(strip)
    return picked
