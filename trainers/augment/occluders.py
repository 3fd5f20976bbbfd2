"""Draw random occluders (shape and texture) and paste them over synthetic faces.

Each function takes a random generator. A shape is an alpha [S,S] in [0,1]; pictures are [S,S,3] float32 in [0,1].
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from vidinv.frames import Array

FINE = 2  # supersampling factor of shapes
FIXED = 16.0  # cv2's polygons have four fractional bits
Random = np.random.Generator


def occluder_shape(side: int, random: Random) -> Array:
    """Draw the alpha [side,side] of a bar, a hand, a blob, a microphone, a polygon or strands of hair."""
    large = side * FINE
    draw = SHAPES[random.choice(len(SHAPES), p=SHARES)]
    alpha = cv2.resize(draw(large, random), (side, side), interpolation=cv2.INTER_AREA)
    blur = random.uniform(0, 1.5) if random.random() < 0.5 else 0.0
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), blur) if blur > 0.2 else alpha)


def _filled(large: int, *outlines: Array) -> Array:
    canvas = np.zeros((large, large), np.float32)
    for outline in outlines:
        points = np.rint(outline * large * FIXED).astype(np.int32)
        cv2.fillPoly(canvas, [points], 1.0, cv2.LINE_AA, 4)
    return np.clip(canvas, 0, 1)


def _capsule(start: Array, end: Array, wide: float, tip: float) -> Array:
    """Return the outline of a round-ended stroke, `wide` across at its start and `tip` at its end."""
    along = (end - start) / max(float(np.hypot(*(end - start))), 1e-6)
    turn = np.arctan2(along[1], along[0])
    far, near = turn + np.linspace(-np.pi / 2, np.pi / 2, 12), turn + np.linspace(np.pi / 2, 3 * np.pi / 2, 12)
    ends = [
        end + tip / 2 * np.stack([np.cos(far), np.sin(far)], 1),
        start + wide / 2 * np.stack([np.cos(near), np.sin(near)], 1),
    ]
    return np.concatenate(ends)


def _place(random: Random) -> Array:
    """Draw a point on the face, as shares of the crop's side."""
    return random.normal([0.5, 0.6], [0.14, 0.14])


def _bar(large: int, random: Random) -> Array:
    through, turn = _place(random), random.uniform(0, np.pi)
    along = np.array([np.cos(turn), np.sin(turn)])
    wide = random.uniform(0.02, 0.25)
    reach = 2.0 if random.random() < 0.7 else random.uniform(0.1, 0.5)
    square = np.array([-along[1], along[0]]) * wide / 2
    start, end = through - along * reach * random.uniform(0.2, 1), through + along * reach
    return _filled(large, np.stack([start - square, start + square, end + square, end - square]))


def _hand(large: int, random: Random) -> Array:
    palm, turn = random.normal([0.5, 0.7], [0.22, 0.16]), random.uniform(0, 2 * np.pi)
    size, spread = random.uniform(0.1, 0.24), random.uniform(0.05, 0.32)
    outlines = [_ellipse(palm, size * random.uniform(0.8, 1.1), size * random.uniform(0.9, 1.3), turn)]
    wrist = palm - np.array([np.cos(turn), np.sin(turn)]) * 1.5
    outlines.append(_capsule(palm, wrist, 1.5 * size, 1.7 * size))
    for finger in range(random.integers(1, 6)):
        angle = turn + (finger - 2) * spread + random.normal(0, 0.06)
        along = np.array([np.cos(angle), np.sin(angle)])
        root, length = palm + along * size * 0.7, size * random.uniform(0.9, 2.2)
        bend = angle + random.normal(0, 0.35)
        joint = root + along * length * 0.55
        tip = joint + np.array([np.cos(bend), np.sin(bend)]) * length * 0.5
        wide = size * random.uniform(0.35, 0.55)
        outlines += [_capsule(root, joint, wide, wide * 0.95), _capsule(joint, tip, wide * 0.95, wide * 0.75)]
    return _filled(large, *outlines)


def _ellipse(middle: Array, a: float, b: float, turn: float) -> Array:
    angle = np.linspace(0, 2 * np.pi, 40)
    points = np.stack([a * np.cos(angle), b * np.sin(angle)], 1)
    c, s = np.cos(turn), np.sin(turn)
    return np.asarray(middle + points @ np.array([[c, s], [-s, c]]))


def _blob(large: int, random: Random) -> Array:
    angle = np.linspace(0, 2 * np.pi, 60)
    radius = np.ones(60)
    for wave in range(1, 6):
        radius += random.normal(0, 0.25 / wave) * np.cos(wave * angle + random.uniform(0, 6.3))
    radius = random.uniform(0.06, 0.24) * np.clip(radius, 0.2, 2)
    return _filled(large, _place(random) + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1))


def _microphone(large: int, random: Random) -> Array:
    head, size = random.normal([0.5, 0.78], [0.12, 0.1]), random.uniform(0.05, 0.14)
    turn = random.normal(np.pi / 2, 0.5)
    end = head + np.array([np.cos(turn), np.sin(turn)]) * 1.2
    handle = _capsule(head, end, size * random.uniform(0.7, 1.3), size * random.uniform(0.6, 1.0))
    return _filled(large, _ellipse(head, size, size * random.uniform(1, 1.5), turn), handle)


def _polygon(large: int, random: Random) -> Array:
    corners = np.sort(random.uniform(0, 2 * np.pi, random.integers(3, 7)))
    radius = random.uniform(0.06, 0.3) * random.uniform(0.6, 1.2, len(corners))
    return _filled(large, _place(random) + radius[:, None] * np.stack([np.cos(corners), np.sin(corners)], 1))


def _strands(large: int, random: Random) -> Array:
    canvas = np.zeros((large, large), np.float32)
    root, tip = random.uniform([0.1, -0.05], [0.9, 0.25]), random.uniform([0.15, 0.4], [0.85, 1.05])
    bow, spread = random.normal(0, 0.2, 2), random.uniform(0.01, 0.08)
    t = np.linspace(0, 1, 24)[:, None]
    for _ in range(random.integers(4, 60)):
        a, b = root + random.normal(0, spread, 2), tip + random.normal(0, spread * 1.5, 2)
        middle = (a + b) / 2 + bow + random.normal(0, spread, 2)
        line = (1 - t) ** 2 * a + 2 * t * (1 - t) * middle + t**2 * b
        points = np.rint(line * large * FIXED).astype(np.int32)
        cv2.polylines(canvas, [points], False, 1.0, int(random.integers(1, 3)), cv2.LINE_AA, 4)
    return np.clip(canvas, 0, 1)


SHAPES: tuple[Callable[[int, Random], Array], ...] = (_bar, _hand, _blob, _microphone, _polygon, _strands)
SHARES = (0.17, 0.35, 0.13, 0.13, 0.1, 0.12)


def occluder_colours(face: Array, other: Array, alpha: Array, random: Random) -> Array:
    """Draw the colours [S,S,3] of an occluder: skin, a piece of the picture `other`, or noise."""
    side = face.shape[0]
    kind = random.random()
    if kind < 0.45:
        rgb = _skin(face if random.random() < 0.5 else other, side, random)
    elif kind < 0.7:
        turn, grow = random.uniform(0, 360), random.uniform(1, 3)
        matrix: Array = cv2.getRotationMatrix2D((side / 2, side / 2), turn, grow)
        matrix[:, 2] += random.uniform(-side, side, 2)
        rgb = cv2.warpAffine(other, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    else:
        a, b = random.random((2, 1, 1, 3)).astype(np.float32)
        if random.random() < 0.4:
            a, b = a.mean() * np.ones_like(a), b.mean() * np.ones_like(b)
        mix = _noise(side, random)[..., None] if random.random() < 0.7 else _stripes(side, random)[..., None]
        rgb = a + (b - a) * mix * random.uniform(0, 1)
    return np.clip(rgb * _shading(alpha, random)[..., None], 0, 1).astype(np.float32)


def _skin(of: Array, side: int, random: Random) -> Array:
    """Return a slightly changed cheek or forehead colour with low-frequency variation and fine grain."""
    x, y = random.choice(np.array([(0.36, 0.62), (0.64, 0.62), (0.5, 0.36), (0.5, 0.55)]))
    left, top = round(x * side) - 4, round(y * side) - 4
    colour = of[top : top + 8, left : left + 8].mean((0, 1)) * random.normal(1, 0.12) + random.normal(0, 0.02, 3)
    slow = 1 + random.uniform(0, 0.25) * (_noise(side, random) - 0.5)
    grain = random.normal(0, random.uniform(0, 0.03), (side, side, 1))
    return np.asarray(colour * slow[..., None] + grain)


def _noise(side: int, random: Random) -> Array:
    """Draw octaves of smooth noise [side,side] in [0,1]."""
    total: Array = np.zeros((side, side), np.float32)
    for cells in (2, 4, 8, 16, 32)[: random.integers(1, 6)]:
        small = random.random((cells + 1, cells + 1)).astype(np.float32)
        total = total + cv2.resize(small, (side, side), interpolation=cv2.INTER_CUBIC) / np.sqrt(cells)
    low, high = total.min(), total.max()
    return np.asarray((total - low) / max(float(high - low), 1e-6))


def _stripes(side: int, random: Random) -> Array:
    y, x = np.mgrid[:side, :side] / side
    turn, many = random.uniform(0, np.pi), random.uniform(2, 25)
    return np.asarray(0.5 + 0.5 * np.sin(many * 2 * np.pi * (np.cos(turn) * x + np.sin(turn) * y)))


def _shading(alpha: Array, random: Random) -> Array:
    """Return shading factors [S,S] around 1: darker towards the edge, lighter on one side."""
    side = alpha.shape[0]
    depth = cv2.distanceTransform((alpha > 0.5).astype(np.uint8), cv2.DIST_L2, 3)
    rounded = 1 - random.uniform(0, 0.45) * np.exp(-depth / (random.uniform(0.005, 0.04) * side))
    y, x = np.mgrid[:side, :side] / side - 0.5
    return np.asarray(rounded * (1 + random.normal(0, 0.3) * x + random.normal(0, 0.3) * y))


def paste_occluder(face: Array, other: Array, random: Random) -> tuple[Array, Array]:
    """Return `face` [S,S,3] with a random occluder, which may cast a shadow, and the occluder's alpha [S,S]."""
    side = face.shape[0]
    alpha = occluder_shape(side, random)
    x, y = random.normal(0, 0.02 * side, 2)
    shift = np.array([[1, 0, x], [0, 1, y]])
    thrown = cv2.warpAffine(cv2.GaussianBlur(alpha, (0, 0), random.uniform(0.5, 0.05 * side)), shift, (side, side))
    shaded = face * (1 - random.choice([0, 0.45 * random.random()]) * thrown[..., None])
    before = occluder_colours(face, other, alpha, random)
    return (shaded + alpha[..., None] * (before - shaded)).astype(np.float32), alpha
