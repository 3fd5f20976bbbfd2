"""Cuts: how much each frame differs from those before it, and where, by the whole clip's curve, another shot begins.

A jump cut between two takes of one person changes no more than a gesture does; it stands out since it is sudden. So the
difference to the frame before is taken after the motion between the two (dense optical flow), and compared with that of
its neighbours. A flash goes back to the picture before it, and in the middle of a dissolve each frame is the mean of an
earlier and a later one that do not look alike; neither does a moving camera.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import cv2
import numpy as np

from vidinv.frames import Array, Planes

WIDTH, HEIGHT = 160, 120  # pixels, at which pictures are compared, whatever their shape: the flow fails on odd ones
AROUND = 4  # frames either side, whose change a cut's must exceed
FEW = 2  # cuts around a cut; of more it is the picture that is wild
LEAST = 1.2  # of 255: less is no cut whatever the neighbours are
LARGE = 15.0  # of 255: so much is no motion
LAG = 8  # frames across which a dissolve is looked for
BLEND = 0.25  # of what two frames differ by, how far the one between may be from their mean
ALIKE = 0.8  # correlation of their luma from which two pictures show the same


class Change(NamedTuple):
    """What is new on a frame, in grey levels of 255.

    `sudden` is the mean difference to the frame before, motion taken out; `back` the least such difference to one of
    the 2 to AROUND + 1 frames before, where `sudden` is large (else infinite); `blended` the mean difference to the
    frame LAG before where the one between is a mean of both (else 0).
    """

    sudden: float = 0.0
    back: float = float("inf")
    blended: float = 0.0


class Watch:
    """Looks at frame after frame; what it says depends on the LAG frames before, which it keeps small."""

    def __init__(self) -> None:
        self.seen: deque[Array] = deque(maxlen=LAG)
        self.flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def look(self, native: Planes) -> Change:
        """The change on the next frame."""
        now = thumbnail(native)
        if not self.seen:
            self.seen.append(now)
            return Change()
        sudden, back = self._moved(self.seen[-1], now), float("inf")
        if sudden >= LARGE:
            earlier = list(self.seen)[-AROUND - 1 : -1]
            back = min((self._moved(before, now) for before in earlier), default=back)
        blended = self._blended(now) if len(self.seen) == LAG else 0.0
        self.seen.append(now)
        return Change(sudden, back, blended)

    def _moved(self, before: Array, now: Array) -> float:
        """Mean |difference| after the motion from `before` to `now` is taken out."""
        flow = self.flow.calc(_grey(now), _grey(before), None)  # type: ignore[call-overload]
        y, x = np.mgrid[: now.shape[0], : now.shape[1]].astype(np.float32)
        there = cv2.remap(before, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return float(cv2.absdiff(there, now).mean())

    def _blended(self, now: Array) -> float:
        """How far the frame LAG before is from `now`, where the one between is nearly their mean; else 0.

        Also 0 where both show the same, brighter or moved.
        """
        first, between = self.seen[0], self.seen[LAG // 2]
        a, m, b = (cv2.GaussianBlur(each, (0, 0), 2).astype(np.float32) for each in (first, between, now))
        apart = float(np.abs(a - b).mean())
        if apart < LARGE or float(np.abs(m - (a + b) / 2).mean()) > BLEND * apart:
            return 0.0
        alike = np.corrcoef(_grey(first).ravel(), _grey(now).ravel())[0, 1]
        return 0.0 if alike > ALIKE or self._moved(first, now) < LARGE else apart


def starts(changes: Array, ratio: float) -> list[int]:
    """The frames at which a shot begins: the first, and every cut's first frame, ascending.

    `changes` [T,3] are those of every frame, as `Change` has them. A cut changes at least `ratio` times as much as any
    frame around it. A dissolve's is its middle.
    """
    sudden, back, blended = np.asarray(changes, np.float64).T
    found = {0}
    for index in np.flatnonzero(sudden >= LEAST).tolist():
        around = [k for k in range(max(1, index - AROUND), min(len(sudden), index + AROUND + 1)) if k != index]
        others = [k for k in around if sudden[k] >= LARGE <= sudden[index]]  # cuts themselves, if they are few
        usual = max((sudden[k] for k in around if k not in others or len(others) > FEW), default=0.0)
        least = usual * (ratio if len(around) == 2 * AROUND else ratio**2)  # less is known at the clip's ends
        soon = slice(index, index + AROUND + 1)
        is_flash = (back[soon] < sudden[soon] / 2).any()  # the picture before comes back
        if sudden[index] >= least and not is_flash:
            found.add(index)
    return sorted(found.union(_dissolves(blended, found)))


def is_new(sudden: list[float], ratio: float) -> bool:
    """Whether the last of these frames may begin a shot, as far as one can tell without those that follow."""
    return sudden[-1] >= max(LEAST, ratio * max(sudden[-AROUND - 1 : -1], default=0.0))


def _dissolves(blended: Array, cuts: set[int]) -> list[int]:
    """Middles of the runs of frames that are `blended` [T], where no cut is near."""
    frames = np.flatnonzero(blended >= LARGE)
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > LAG) + 1) if len(frames) else []
    middles = [int(run[np.argmax(blended[run])]) - LAG // 2 for run in runs]
    return [middle for middle in middles if all(abs(middle - cut) > LAG for cut in cuts)]


def _grey(bgr: Array) -> Array:
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


def thumbnail(native: Planes) -> Array:
    """A small BGR picture of luma and chroma, straight from the planes: no conversion of the frame."""
    planes = []
    for plane in native.planes[:3]:
        small: Array = cv2.resize(plane, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        planes.append((small >> (native.depth - 8)).astype(np.uint8) if native.depth > 8 else small)
    if len(planes) == 1:
        return cv2.cvtColor(planes[0], cv2.COLOR_GRAY2BGR)
    if native.pix_fmt.startswith("gbr"):
        return np.ascontiguousarray(cv2.merge([planes[1], planes[0], planes[2]]))
    return cv2.cvtColor(cv2.merge([planes[0], planes[2], planes[1]]), cv2.COLOR_YCrCb2BGR)
