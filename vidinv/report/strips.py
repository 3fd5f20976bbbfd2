"""Strips: choose which strips (a face's pictures side by side) a page shows, and store them in its HTML."""

from __future__ import annotations

import base64
import binascii
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from vidinv.errors import InputUnreadable
from vidinv.media.picture_file import decode_rgb
from vidinv.report.text import clock

TIMELINE = 120  # strips along the clip, for all tracks together; each track's two ends may be added to them
WORST = 12  # least similar strips that a page shows
APART = 0.5  # least seconds between two of the worst strips of a track
PANEL = 72  # pixels, side of a panel on the timeline
QUALITY = 80  # JPEG quality of the timeline's strips
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


def choose_strips(report: dict[str, Any], strips: Sequence[Strip]) -> tuple[list[Strip], list[Strip]]:
    """Choose (timeline, worst) from `strips`: small ones at even times, and those of lowest `arcface_edit`.

    A track's share of the timeline is its share of the time. At most WORST strips are worst, in ascending order of
    similarity, and those of one track are at least APART seconds apart. Choosing again from the result gives the same
    strips.
    """
    unique: dict[tuple[int, int], Strip] = {}
    for strip in strips:
        key = strip.track, strip.frame
        if key not in unique or len(strip.jpeg) > len(unique[key].jpeg):  # prefer the larger picture of a face
            unique[key] = strip
    ordered = [unique[key] for key in sorted(unique)]
    return [shrink_strip(strip) for strip in _evenly_spaced(ordered)], _lowest(report, ordered)


def shrink_strip(strip: Strip) -> Strip:
    """The strip with panels of PANEL pixels; the strip itself where they are not larger. Raises InputUnreadable."""
    rgb = decode_rgb(strip.jpeg, Path(f"the strip of track {strip.track}, frame {strip.frame}"))  # [H,W,3]
    height, width = rgb.shape[:2]
    if height <= PANEL:
        return strip
    size = max(round(width * PANEL / height), 1), PANEL
    small = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), size, interpolation=cv2.INTER_AREA)
    return replace(strip, jpeg=cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes())


def strips_to_html(strips: Iterable[Strip]) -> str:
    """The strips as HTML images that contain their bytes, one per line; `strips_from_html` reads them back."""
    return "\n".join(
        f'<img data-track="{strip.track}" data-frame="{strip.frame}" data-time="{strip.time_s!r}"'
        f' alt="{html.escape(f"track {strip.track} at {clock(strip.time_s)}, pictures side by side")}"'
        f' src="{PREFIX}{base64.b64encode(strip.jpeg).decode()}">'
        for strip in strips
    )


def strips_from_html(page: str) -> list[Strip]:
    """All strips in the HTML of a page, in the page's order. Raises InputUnreadable where one is damaged."""
    finder = _Finder()
    finder.feed(page)
    return finder.strips


class _Finder(HTMLParser):
    """Parser that collects the images that `strips_to_html` writes."""

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


def _evenly_spaced(strips: list[Strip]) -> list[Strip]:
    """The strips nearest to evenly spaced times of each track, including both of its ends."""
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
