"""Mask: where an edit may show, parsed softly from source and edit, and how far the inversion can be trusted."""

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

COMPARED = 128
IN_FRONT = regions.labels("background", "cloth")  # what the parser calls a hand or a thing before a face
NO_FACE, FACE_AREA = 0.03, 0.08  # of the crop: so little is no face; a whole one covers .15 to .3
SMALLEST = 0.03  # radius of what is in front, in sides of the crop: less is a hole of the parser


def build_mask_stage(parse: Parse, occlusion: Occlude, settings: MaskConfig) -> Stage:
    """A stage that adds `masks`, and `skin_cover`, `occluded`, `residual`, `confidence` of the metrics, to each Work.

    The face is parsed every `settings.parse_every` frames of a segment, and where another layer begins to show; the
    masks are carried in crop space between. What is in front of the face is detected on every frame and removed from
    them. A face of which no edit shows has no masks, and None as its metrics.
    """
    carried: dict[tuple[int, str], Mask] = {}

    def mask(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.new_shot or work.nth(0) == 0:
                carried.clear()
            if work.faces is None or work.check is None:
                yield work
                continue
            masks = clear(_masks(work, parse, settings, carried), work.faces.image, occlusion, settings)
            metrics: list[FaceMetrics | None] = []
            for n, mine in enumerate(masks):
                if not mine:
                    metrics.append(None)
                    continue
                region, first = next(iter(mine.items()))
                residual, confidence = trust(work.faces.image[n], work.check[n], first, settings)
                if not regions.is_local(region):
                    confidence = min(confidence, parsed(first))
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


def clear(
    masks: list[dict[str, Mask]], images: torch.Tensor, occlusion: Occlude, settings: MaskConfig
) -> list[dict[str, Mask]]:
    """The masks of faces [N,3,S,S] in [-1,1] without what lies before them, as far as `settings.occlusion` says."""
    shown = [n for n, mine in enumerate(masks) if mine]
    if settings.occlusion == 0 or not shown:
        return masks
    found: list[dict[str, Mask]] = [{} for _ in masks]
    for n, alpha in zip(shown, occlusion(images[shown]), strict=True):
        before = settings.occlusion * refine_alpha(alpha, (images[n].permute(1, 2, 0).numpy() + 1) / 2)  # CHW -> HWC
        found[n] = {name: _behind(mask, before) for name, mask in masks[n].items()}
    return found


def _behind(mask: Mask, before: Array) -> Mask:
    alpha = mask.alpha * (1 - before)
    left = float(alpha.sum() / max(mask.alpha.sum(), 1e-6))
    return replace(mask, alpha=alpha, skin_cover=mask.skin_cover * left, occluded=1 - left)


def trust(source: torch.Tensor, inversion: torch.Tensor, mask: Mask, settings: MaskConfig) -> tuple[float, float]:
    """Mean |source - inversion| inside the mask, in [0,1], and the confidence in [0,1].

    That follows from it and from how much of the face lies behind something. The pictures are compared at `COMPARED`
    pixels, so that their sides may differ.
    """
    size = min(COMPARED, source.shape[-1], inversion.shape[-1])
    weight = resize(torch.from_numpy(mask.alpha)[None, None], size)[0, 0]
    error = (resize(source[None], size) - resize(inversion[None], size)).abs().mean((0, 1)) / 2  # [s,s]
    residual = float((error * weight).sum() / weight.sum().clamp(min=1e-6))
    alike = (settings.residual_bad - residual) / (settings.residual_bad - settings.residual_good)
    seen = (settings.occluded_bad - mask.occluded) / (settings.occluded_bad - settings.occluded_good)
    return residual, float(np.clip(min(alike, seen), 0, 1))


def parsed(mask: Mask) -> float:
    """How far there is a face for the parser, by the size of the source's, in [0,1]: in a heavy blur it finds none."""
    return float(np.clip((mask.face - NO_FACE) / (FACE_AREA - NO_FACE), 0, 1))


def mask_of(source: Array, edit: Array, name: str, size: int, settings: MaskConfig) -> Mask:
    """The mask [size,size] of a region in either of two parsed crops (labels [s,s]), source and edit.

    What lies before the source's face stays out of it. Its `skin_cover` is taken over the source's skin, or over the
    part that is edited where it is not the whole face.
    """
    region, hidden = regions.inside(source, name) | regions.inside(edit, name), in_front(source)
    if regions.is_local(name):
        return soften(region & ~hidden, np.isin(source, regions.REGIONS[name]), size, settings)
    whole = soften(fill_holes(region) & ~hidden, source == SKIN, size, settings)
    return replace(whole, face=float(np.isin(source, FACE).mean()))


def in_front(labels: Array) -> Array:
    """What lies before the face in a parsed crop [s,s], bool: a blob of no face inside the outline of the visible face.

    Small ones are the parser's holes and do not count.
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
    """The soft mask [size,size] of a parsed `region` [s,s]: grown, blurred, and zero at the crop's border."""
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
    """`region` [s,s] bool with what it encloses: the parser loses spots of noses and cheeks at low resolution."""
    side = region.shape[0]
    reach = max(1, side // 40)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    closed = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_CLOSE, kernel)
    outlines, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(closed, outlines, -1, 1, cv2.FILLED).astype(bool)


def _masks(
    work: Work, parse: Parse, settings: MaskConfig, carried: dict[tuple[int, str], Mask]
) -> list[dict[str, Mask]]:
    """Per face, the mask of every layer that shows, by its region."""
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
            parsed[n, layer.region] = mask_of(sources[n], edit, layer.region, size, settings)
    masks: list[dict[str, Mask]] = [{} for _ in tracks]
    for n, layer in showing:
        key = (tracks[n], layer.region)
        if (n, layer.region) in parsed:
            carried[key] = parsed[n, layer.region]
        masks[n][layer.region] = carried[key]
    return masks
