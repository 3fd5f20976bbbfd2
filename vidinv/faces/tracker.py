"""Link the detected faces of frames into tracks of one person across gaps and cuts; smooth within each shot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vidinv.faces import alignment
from vidinv.faces.detector import intersection_over_union
from vidinv.faces.framing import Framing
from vidinv.frames import Array, Shot, Track


@dataclass(frozen=True)
class FrameFaces:
    """Faces of one frame: `boxes` [N,4], `scores` [N], `landmarks` [N,P,2], `embeddings` [N,D] of unit length."""

    boxes: Array
    scores: Array
    landmarks: Array
    embeddings: Array


@dataclass
class _Tracklet:
    """One face followed inside one shot."""

    frames: list[int] = field(default_factory=list)
    points: bytearray = field(default_factory=bytearray)  # landmarks, float32: small arrays would take twice the memory
    shape: tuple[int, ...] = ()  # (P, 2) of one face's
    box: Array | None = None  # the last box
    area: float = 0.0  # sum over all boxes
    score: float = 0.0  # sum over all boxes
    total: Array = field(default_factory=lambda: np.zeros(1, np.float32))  # [D], sum of all embeddings

    def add(self, frame: int, faces: FrameFaces, i: int) -> None:
        self.frames.append(frame)
        self.points += faces.landmarks[i].astype(np.float32).tobytes()
        self.shape = faces.landmarks[i].shape
        self.box = faces.boxes[i]
        self.area += _area(self.box)
        self.score += float(faces.scores[i])
        self.total = self.total + faces.embeddings[i]

    @property
    def landmarks(self) -> Array:
        """Return the landmarks [T,P,2] float32, a view."""
        return np.frombuffer(self.points, np.float32).reshape(len(self.frames), *self.shape)

    @property
    def identity(self) -> Array:
        return self.total / max(float(np.linalg.norm(self.total)), 1e-9)


@dataclass(frozen=True)
class Tracker:
    """Settings of the tracker, and `link`, which applies it.

    A face continues a tracklet if it overlaps its last box (IoU >= `overlap`) or, after a jump, has a similar
    embedding (cosine >= `same`). Tracklets whose mean embeddings reach `same` and that never share a frame are one
    person. Gaps of at most `fill` frames inside a shot are interpolated; a tracklet ends after `patience` frames
    without a face. `framing` computes the crop transform from landmarks.
    """

    crop: int = 1024
    overlap: float = 0.3
    same: float = 0.4
    different: float = 0.05
    fill: int = 3
    patience: int = 15
    shortest: int = 1
    sigma_centre: float = 1.0
    sigma_axes: float = 3.0
    framing: Framing = alignment.to_frame

    def link(self, faces: Sequence[FrameFaces | None], shots: Sequence[Shot]) -> list[Track]:
        """Return the tracks of frames 0..T-1 (None or empty: no face), largest face first; ids count from 0."""
        tracklets = [item for shot in shots for item in self._follow(faces, shot)]
        people = self._join([item for item in tracklets if len(item.frames) >= self.shortest])
        people.sort(key=lambda person: -sum(item.area for item in person))
        return [self._track(i, person) for i, person in enumerate(people)]

    def _follow(self, faces: Sequence[FrameFaces | None], shot: Shot) -> list[_Tracklet]:
        done: list[_Tracklet] = []
        live: list[_Tracklet] = []
        for index in range(shot.start, shot.stop):
            done += [item for item in live if index - item.frames[-1] > self.patience]
            live = [item for item in live if index - item.frames[-1] <= self.patience]
            here = faces[index]
            if here is None or not len(here.scores):
                continue
            taken = self._match(live, here)
            for tracklet, i in taken:
                tracklet.add(index, here, i)
            for i in set(range(len(here.scores))) - {i for _, i in taken}:
                live.append(_Tracklet())
                live[-1].add(index, here, i)
        return done + live

    def _match(self, live: list[_Tracklet], here: FrameFaces) -> list[tuple[_Tracklet, int]]:
        """Return matched (tracklet, face index) pairs, best first, each tracklet and each face at most once."""
        if not live:
            return []
        shared = intersection_over_union(np.stack([item.box for item in live if item.box is not None]), here.boxes)
        similarities = np.stack([item.identity for item in live]) @ here.embeddings.T
        fits = ((shared >= self.overlap) & (similarities >= self.different)) | (similarities >= self.same)
        worth = np.where(fits, shared + similarities, -np.inf)
        pairs = []
        while np.isfinite(worth.max()):
            row, column = (int(k) for k in np.unravel_index(worth.argmax(), worth.shape))
            pairs.append((live[row], column))
            worth[row], worth[:, column] = -np.inf, -np.inf
        return pairs

    def _join(self, tracklets: list[_Tracklet]) -> list[list[_Tracklet]]:
        """Group tracklets by person greedily: the longest start a person, others join the most similar person."""
        people: list[list[_Tracklet]] = []
        for tracklet in sorted(tracklets, key=lambda item: -len(item.frames)):
            likeness = [
                -1.0 if any(set(item.frames) & set(tracklet.frames) for item in person) else _likeness(person, tracklet)
                for person in people
            ]
            best = int(np.argmax(likeness)) if likeness else -1
            if best >= 0 and likeness[best] >= self.same:
                people[best].append(tracklet)
            else:
                people.append([tracklet])
        return people

    def _track(self, number: int, person: list[_Tracklet]) -> Track:
        person = sorted(person, key=lambda item: item.frames[0])
        frames, landmarks, transforms = [], [], []
        for tracklet in person:
            at, points = self._filled(tracklet)
            tracklet.points = bytearray()  # frees memory: one hour takes a hundred megabytes
            raw = np.stack([self.framing(item, self.crop) for item in points])
            for run in np.split(np.arange(len(at)), np.flatnonzero(np.diff(at) > 1) + 1):
                sigmas = {"sigma_centre": self.sigma_centre, "sigma_axes": self.sigma_axes}
                transforms.append(alignment.smooth(raw[run], at[run], size=self.crop, **sigmas))
            frames.append(at)
            landmarks.append(points)
        index = np.concatenate(frames)
        order = np.unique(index, return_index=True)[1]  # tracklets of one person may interleave, never collide
        mean = _identity(person)
        score = sum(item.score for item in person) / sum(len(item.frames) for item in person)
        placed, points = np.concatenate(transforms)[order], np.concatenate(landmarks)
        if len(person) > 1:
            points = points[order]
        return Track(number, index[order], placed, points, mean, self.crop, score)

    def _filled(self, tracklet: _Tracklet) -> tuple[Array, Array]:
        """Return frames [T] and landmarks [T,P,2] float32, gaps of at most `fill` frames interpolated linearly."""
        known, landmarks = np.array(tracklet.frames, np.int64), tracklet.landmarks
        gaps = np.diff(known) - 1
        to_fill = np.flatnonzero((gaps > 0) & (gaps <= self.fill))
        if not len(to_fill):
            return known, landmarks.copy()
        frames = np.union1d(known, np.concatenate([np.arange(known[k], known[k + 1]) for k in to_fill]))
        after = np.searchsorted(known, frames)  # of each frame, itself or the next known one
        before = np.where(known[after] == frames, after, after - 1)
        share = (frames - known[before]) / np.maximum(known[after] - known[before], 1)
        points = landmarks[before]
        for k in np.flatnonzero(share):
            points[k] = (1 - share[k]) * points[k] + share[k] * landmarks[after[k]]
        return frames, points


def _identity(person: list[_Tracklet]) -> Array:
    total = np.sum([item.total for item in person], axis=0)
    return (total / max(float(np.linalg.norm(total)), 1e-9)).astype(np.float32)


def _likeness(person: list[_Tracklet], tracklet: _Tracklet) -> float:
    return float(_identity(person) @ tracklet.identity)


def _area(box: Array) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))
