"""Mask: make a soft mask of each edited face region by parsing source and edit, and compute the confidence.

The confidence of a frame in [0,1] says how far its inversion can be trusted: it falls with the inversion's error and
with the part of the face that is hidden.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import torch

from vidinv.backends.interface import Occlude, Parse
from vidinv.config import MaskConfig
from vidinv.faces import regions
from vidinv.faces.occlusion import refine_alpha
from vidinv.faces.parser import FACE, SKIN
from vidinv.frames import Array, FaceMetrics, Mask, Work
from vidinv.generators.ops import resize
from vidinv.stages.graph import Stage

COMPARED = 128  # pixels, side at which source and inversion are compared
IN_FRONT = regions.labels("background", "cloth")  # the parser's labels for a hand or an object in front of a face
NO_FACE, FACE_AREA = 0.03, 0.08  # shares of the crop: confidence 0 at or below the first; a face covers 0.15 to 0.3
SMALLEST = 0.03  # least radius of an occluder, in sides of the crop; a smaller blob is a hole of the parser


def build_mask_stage(parse: Parse, occlusion: Occlude, settings: MaskConfig) -> Stage:
    """A stage that adds `masks`, and `skin_cover`, `occluded`, `residual`, `confidence` of the metrics, to each Work.

    The face is parsed every `settings.parse_every` frames of a segment, and where a layer begins to show; on the frames
    between, the last masks are used again in crop space. Occluders are detected on every frame and removed from the
    masks. A face on which no edit shows has no masks and None as its metrics.
    """
    carried: dict[tuple[int, str], Mask] = {}

    def mask(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.new_shot or work.nth(0) == 0:
                carried.clear()
            if work.faces is None or work.check is None:
                yield work
                continue
            masks = remove_occlusion(_masks(work, parse, settings, carried), work.faces.image, occlusion, settings)
            metrics: list[FaceMetrics | None] = []
            for n, mine in enumerate(masks):
                if not mine:
                    metrics.append(None)
                    continue
                region, first = next(iter(mine.items()))
                residual, confidence = measure_confidence(work.faces.image[n], work.check[n], first, settings)
                if not regions.is_local(region):
                    confidence = min(confidence, parser_confidence(first))
                metrics.append(
                    FaceMetrics(
                        skin_cover=first.skin_cover,
                        occluded=first.occluded,
                        residual=residual,
                        confidence=confidence,
                    )
                )
            yield replace(work, masks=tuple(masks), metrics=tuple(metrics))

    return mask


def remove_occlusion(
    masks: list[dict[str, Mask]], images: torch.Tensor, occlusion: Occlude, settings: MaskConfig
) -> list[dict[str, Mask]]:
    """Remove what is in front of the faces [N,3,S,S] in [-1,1] from their masks.

    `occlusion` returns the alpha of the occluders; `settings.occlusion` in [0,1] scales it, and 0 returns `masks`.
    """
    shown = [n for n, mine in enumerate(masks) if mine]
    if settings.occlusion == 0 or not shown:
        return masks
    found: list[dict[str, Mask]] = [{} for _ in masks]
    for n, alpha in zip(shown, occlusion(images[shown]), strict=True):
        before = settings.occlusion * refine_alpha(alpha, (images[n].permute(1, 2, 0).numpy() + 1) / 2)  # CHW -> HWC
        found[n] = {name: _without_occluder(mask, before) for name, mask in masks[n].items()}
    return found


def _without_occluder(mask: Mask, before: Array) -> Mask:
    alpha = mask.alpha * (1 - before)
    left = float(alpha.sum() / max(mask.alpha.sum(), 1e-6))
    return replace(mask, alpha=alpha, skin_cover=mask.skin_cover * left, occluded=1 - left)


def measure_confidence(
    source: torch.Tensor, inversion: torch.Tensor, mask: Mask, settings: MaskConfig
) -> tuple[float, float]:
    """The residual, mean |source - inversion| inside the mask in [0,1], and the confidence in [0,1].

    The confidence is the smaller of two linear ramps, one of the residual and one of the occluded share of the mask.
    The pictures [3,S,S] in [-1,1] are compared at COMPARED pixels or fewer, so their sizes may differ.
    """
    size = min(COMPARED, source.shape[-1], inversion.shape[-1])
    weight = resize(torch.from_numpy(mask.alpha)[None, None], size)[0, 0]
    error = (resize(source[None], size) - resize(inversion[None], size)).abs().mean((0, 1)) / 2  # [s,s]
    residual = float((error * weight).sum() / weight.sum().clamp(min=1e-6))
    fidelity = (settings.residual_bad - residual) / (settings.residual_bad - settings.residual_good)
    visibility = (settings.occluded_bad - mask.occluded) / (settings.occluded_bad - settings.occluded_good)
    return residual, float(np.clip(min(fidelity, visibility), 0, 1))


def parser_confidence(mask: Mask) -> float:
    """Confidence in [0,1] that the parser found a face, by the face's share of the crop; a heavy blur hides it."""
    return float(np.clip((mask.face - NO_FACE) / (FACE_AREA - NO_FACE), 0, 1))


def region_mask(source: Array, edit: Array, name: str, size: int, settings: MaskConfig) -> Mask:
    """The mask [size,size] of region `name` in the union of two parsed crops (labels [s,s]), source and edit.

    Occluders in front of the source's face are excluded. `skin_cover` is the mean of the mask over the source's skin,
    or over the source's part where the region is a part of the face.
    """
    region, hidden = regions.inside(source, name) | regions.inside(edit, name), in_front(source)
    if regions.is_local(name):
        return soften(region & ~hidden, np.isin(source, regions.REGIONS[name]), size, settings)
    whole = soften(fill_holes(region) & ~hidden, source == SKIN, size, settings)
    return replace(whole, face=float(np.isin(source, FACE).mean()))


def in_front(labels: Array) -> Array:
    """Occluders in a parsed crop [s,s], as bool: blobs of other labels inside the convex outline of the visible face.

    Blobs with a radius below SMALLEST are ignored as holes of the parser.
    """
    side = labels.shape[0]
    seen = np.isin(labels, FACE).astype(np.uint8)
    outlines, _ = cv2.findContours(seen, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return np.zeros(labels.shape, bool)
    outline = cv2.convexHull(np.concatenate(outlines))
    reach = max(1, round(SMALLEST * side))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    inside = cv2.dilate(cv2.drawContours(np.zeros_like(seen), [outline], -1, 1, cv2.FILLED), kernel)
    blocked = inside * np.isin(labels, IN_FRONT).astype(np.uint8)
    return cv2.morphologyEx(blocked, cv2.MORPH_OPEN, kernel).astype(bool)


def soften(region: Array, skin: Array, size: int, settings: MaskConfig) -> Mask:
    """The soft mask [size,size] of a parsed `region` [s,s], bool: dilated, blurred, and zero at the crop's border."""
    side = region.shape[0]
    grow = round(settings.grow * side)
    grown: Array = region.astype(np.float32)
    if grow:
        grown = cv2.dilate(grown, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * grow + 1, 2 * grow + 1)))
    edge = max(2, round(2 * settings.blur * side))
    ramp = np.clip((np.minimum(np.arange(side), np.arange(side)[::-1]) - 1) / edge, 0, 1).astype(np.float32)
    alpha = cv2.GaussianBlur(grown, (0, 0), max(settings.blur * side, 0.5)) * ramp[:, None] * ramp[None, :]
    cover = float(alpha[skin].mean()) if skin.any() else 0.0
    alpha = cv2.resize(alpha, (size, size), interpolation=cv2.INTER_LINEAR)
    return Mask(alpha=np.clip(alpha, 0, 1), skin_cover=cover)


def fill_holes(region: Array) -> Array:
    """`region` [s,s], bool, with its holes filled: at low resolution the parser misses spots of noses and cheeks."""
    side = region.shape[0]
    reach = max(1, side // 40)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    closed = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(closed, outlines, -1, 1, cv2.FILLED).astype(bool)


def _masks(
    work: Work, parse: Parse, settings: MaskConfig, carried: dict[tuple[int, str], Mask]
) -> list[dict[str, Mask]]:
    """The masks of every face by region, one for each layer that shows."""
    assert work.faces is not None
    tracks = work.faces.track.tolist()
    showing = [(n, layer) for n in range(len(tracks)) for layer in work.layers if layer.presence[n] > 0]
    known = set(carried)
    due = []
    for n, layer in showing:
        key = (tracks[n], layer.region)
        if work.nth(int(work.faces.frame[n])) % settings.parse_every == 0 or key not in known:
            due.append((n, layer))
            known.add(key)
    parsed: dict[tuple[int, str], Mask] = {}
    if due:
        size, wanted = work.faces.image.shape[-1], sorted({n for n, _ in due})
        pictures = [
            work.faces.image[wanted],
            *(layer.drawn[n : n + 1] for n, layer in due),
        ]
        labels = parse(torch.cat(pictures), settings.parse_size)
        sources = dict(zip(wanted, labels, strict=False))
        for (n, layer), edit in zip(due, labels[len(wanted) :], strict=True):
            parsed[n, layer.region] = region_mask(sources[n], edit, layer.region, size, settings)
    masks: list[dict[str, Mask]] = [{} for _ in tracks]
    for n, layer in showing:
        key = (tracks[n], layer.region)
        if (n, layer.region) in parsed:
            carried[key] = parsed[n, layer.region]
        masks[n][layer.region] = carried[key]
    return masks
