"""Shot detection: measure how much each frame differs from those before it, and find the frames where a shot begins.

A jump cut between two takes of one person changes the picture no more than a gesture does, but suddenly. So the
difference to the preceding frame is taken after the motion between the two is compensated (dense optical flow), and is
compared with that of the neighbouring frames. A flash is told from a cut because the picture returns to the one before
it. In the middle of a dissolve each frame is the mean of an earlier and a later frame that differ from each other,
which camera motion does not produce.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

import cv2
import numpy as np

from vidinv.frames import Array, Planes

WIDTH, HEIGHT = 160, 120  # pixels at which pictures of any shape are compared: the flow fails on unusual shapes
AROUND = 4  # frames on either side whose change a cut's change must exceed
FEW = 2  # cuts that may be near a cut; more of them mean that the picture itself changes a lot
LEAST = 1.2  # grey levels of 255: a smaller change is never a cut
LARGE = 15.0  # grey levels of 255: a change that motion does not explain
LAG = 8  # frames across which a dissolve is searched
BLEND = 0.25  # largest distance of the frame between from the mean of two frames, in shares of their difference
SAME_SCENE = 0.8  # correlation of the luma from which two pictures show the same scene


class Change(NamedTuple):
    """How much a frame differs from those before it, in grey levels of 255.

    `sudden` is the mean absolute difference to the preceding frame after motion compensation. `back` is the least such
    difference to the frames 2 to AROUND + 1 before it where `sudden` is large, else infinite. `blended` is the mean
    difference to the frame LAG before it where the frame between is the mean of both, else 0.
    """

    sudden: float = 0.0
    back: float = float("inf")
    blended: float = 0.0


class ChangeMeter:
    """Measures the change of consecutive frames; it keeps thumbnails of the LAG frames before the next one."""

    def __init__(self) -> None:
        self.seen: deque[Array] = deque(maxlen=LAG)
        self.flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)

    def look(self, native: Planes) -> Change:
        """Measure the change of the next frame; the first frame has none."""
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
        """Mean |difference| of two thumbnails after motion compensation."""
        flow = self.flow.calc(_grey(now), _grey(before), None)  # type: ignore[call-overload]
        y, x = np.mgrid[: now.shape[0], : now.shape[1]].astype(np.float32)
        there = cv2.remap(before, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return float(cv2.absdiff(there, now).mean())

    def _blended(self, now: Array) -> float:
        """The mean difference to the frame LAG before `now`, where the frame between is nearly their mean; else 0.

        It is also 0 where both show the same scene, brighter or moved.
        """
        first, between = self.seen[0], self.seen[LAG // 2]
        a, m, b = (cv2.GaussianBlur(each, (0, 0), 2).astype(np.float32) for each in (first, between, now))
        apart = float(np.abs(a - b).mean())
        if apart < LARGE or float(np.abs(m - (a + b) / 2).mean()) > BLEND * apart:
            return 0.0
        correlation = np.corrcoef(_grey(first).ravel(), _grey(now).ravel())[0, 1]
        return 0.0 if correlation > SAME_SCENE or self._moved(first, now) < LARGE else apart


def shot_starts(changes: Array, ratio: float) -> list[int]:
    """The frames at which a shot begins, ascending: frame 0 and the first frame after every cut.

    `changes` [T,3] holds the fields of `Change` for every frame. The change at a cut is at least `ratio` times that of
    every frame around it. The cut of a dissolve is its middle.
    """
    sudden, back, blended = np.asarray(changes, np.float64).T
    found = {0}
    for index in np.flatnonzero(sudden >= LEAST).tolist():
        around = [k for k in range(max(1, index - AROUND), min(len(sudden), index + AROUND + 1)) if k != index]
        others = [k for k in around if sudden[k] >= LARGE <= sudden[index]]  # other cuts, ignored if they are few
        usual = max((sudden[k] for k in around if k not in others or len(others) > FEW), default=0.0)
        least = usual * (
            ratio if len(around) == 2 * AROUND else ratio**2
        )  # near the clip's ends fewer frames are known
        soon = slice(index, index + AROUND + 1)
        is_flash = (back[soon] < sudden[soon] / 2).any()  # the earlier picture returns
        if sudden[index] >= least and not is_flash:
            found.add(index)
    return sorted(found.union(_dissolves(blended, found)))


def may_begin_shot(sudden: list[float], ratio: float) -> bool:
    """Whether the last of these frames may begin a shot, judged by the frames before it alone."""
    return sudden[-1] >= max(LEAST, ratio * max(sudden[-AROUND - 1 : -1], default=0.0))


def _dissolves(blended: Array, cuts: set[int]) -> list[int]:
    """The middle frames of dissolves: of the runs in which `blended` [T] is large and no cut is near."""
    frames = np.flatnonzero(blended >= LARGE)
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > LAG) + 1) if len(frames) else []
    middles = [int(run[np.argmax(blended[run])]) - LAG // 2 for run in runs]
    return [middle for middle in middles if all(abs(middle - cut) > LAG for cut in cuts)]


def _grey(bgr: Array) -> Array:
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)


def thumbnail(native: Planes) -> Array:
    """A BGR thumbnail [HEIGHT,WIDTH,3] uint8, made from the planes without converting the whole frame."""
    planes = []
    for plane in native.planes[:3]:
        small: Array = cv2.resize(plane, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        planes.append((small >> (native.depth - 8)).astype(np.uint8) if native.depth > 8 else small)
    if len(planes) == 1:
        return cv2.cvtColor(planes[0], cv2.COLOR_GRAY2BGR)
    if native.pix_fmt.startswith("gbr"):
        return np.ascontiguousarray(cv2.merge([planes[1], planes[0], planes[2]]))
    return cv2.cvtColor(cv2.merge([planes[0], planes[2], planes[1]]), cv2.COLOR_YCrCb2BGR)
