"""Blend: put the edit into the source's own planes, inside a soft parsed mask, and leave every other sample alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch

from stages.align import quad_rect
from stages.graph import Stage
from stages.parts import Parse
from vidinv.config import MaskConfig
from vidinv.editing.directions import Direction
from vidinv.faces import alignment, regions
from vidinv.faces.parser import SKIN
from vidinv.frames import Array, Colour, Layer, Mask, Planes, Rect, Work
from vidinv.generators.ops import resize
from vidinv.media import compose

COMPARED = 128


def build(parse: Parse, mode: str, settings: MaskConfig) -> Stage:
    """A stage that adds `masks`, `output` and the measures `cover`, `residual`, `confidence` to each Work.

    `mode` "residual" adds (edit - inversion) to the source, "replace" adds (edit - source crop): the paper's paste.
    The face is parsed every `settings.parse_every` frames of a segment, and where another layer begins to show; the
    masks are carried in crop space between. A face of which nothing shows is left alone, and not measured.
    """
    carried: dict[tuple[int, str], Mask] = {}

    def blend(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.new_shot or work.nth(0) == 0:
                carried.clear()
            if work.faces is None or work.check is None or work.inversion is None or work.edit is None:
                yield replace(work, output=work.frames.native)
                continue
            masks = _masks(work, parse, settings, carried)
            output = list(work.frames.native)
            measures: list[dict[str, Any]] = []
            for n, mine in enumerate(masks):
                if not mine:
                    measures.append({})
                    continue
                source, first = work.faces.image[n], next(iter(mine.values()))
                residual, confidence = trust(source, work.check[n], first, settings)
                shown = [
                    (_drawn(layer)[n], mine[layer.region].alpha * layer.presence[n])
                    for layer in work.layers
                    if layer.region in mine
                ]
                delta, where = layered(source, work.inversion[n], shown, mode, confidence)
                position = int(work.faces.frame[n])
                output[position], rect = add(
                    output[position], work.frames.colour, work.faces.to_frame[n].numpy(), delta, where
                )
                measures.append(
                    {
                        "rect": rect,
                        "cover": first.skin_cover * confidence,
                        "residual": residual,
                        "confidence": confidence,
                    }
                )
            yield replace(work, masks=tuple(masks), output=tuple(output), measures=tuple(measures))

    return blend


def layered(
    source: torch.Tensor,
    inversion: torch.Tensor,
    layers: Sequence[tuple[torch.Tensor, Array]],
    mode: str,
    confidence: float,
) -> tuple[Array, Array]:
    """What the layers change of a face's crop: an RGB difference [S,S,3] in [-1,1], weights applied, and where.

    `layers` are pictures [3,S,S] and their weights [S,S] in [0,1], the lowest first; "replace" fades each in over what
    lies below it, "residual" adds its difference to the picture below.
    """
    canvas, below = source, inversion
    where = np.zeros(source.shape[-2:], np.float32)
    for picture, alpha in layers:
        weight = np.asarray(alpha * np.float32(confidence), np.float32)
        base = canvas if mode == "replace" else below
        canvas = canvas + torch.from_numpy(weight) * (picture - base)
        below = picture
        where = np.maximum(where, (weight > 1 / 1024).astype(np.float32))
    return (canvas - source).permute(1, 2, 0).numpy() / 2, where


def mode_of(asked: str, directions: Iterable[Direction]) -> str:
    """The blend mode: the one asked for, or for "auto" replace as soon as one direction needs it."""
    if asked != "auto":
        return asked
    return "replace" if any(direction.blend == "replace" for direction in directions) else "residual"


def add(planes: Planes, colour: Colour, to_frame: Array, delta: Array, alpha: Array) -> tuple[Planes, Rect | None]:
    """`planes` with the RGB difference `delta` [S,S,3] weighted by `alpha` [S,S] added where `to_frame` puts it.

    Also returns the mask's chroma-aligned rectangle, outside which no sample of any plane can change.
    """
    box = mask_box(alpha)
    rect = None if box is None else quad_rect(to_frame, box, planes)
    if rect is None:
        return planes, None
    weighted = np.ascontiguousarray(delta * alpha[:, :, None], dtype=np.float32)
    return compose.add_delta(planes, colour, rect, alignment.paste(weighted, to_frame, rect)), rect


def mask_box(alpha: Array) -> tuple[float, float, float, float] | None:
    """x0, y0, x1, y1 (crop pixel centres, inclusive) of the samples whose weight can be seen, or None."""
    rows, columns = np.nonzero((alpha > 1 / 1024).any(1))[0], np.nonzero((alpha > 1 / 1024).any(0))[0]
    if len(rows) == 0:
        return None
    return float(columns[0]), float(rows[0]), float(columns[-1]), float(rows[-1])


def trust(source: torch.Tensor, inversion: torch.Tensor, mask: Mask, settings: MaskConfig) -> tuple[float, float]:
    """Mean |source - inversion| inside the mask, in [0,1], and the confidence in [0,1] that follows from it.

    The pictures are compared at `COMPARED` pixels, so that their sides may differ.
    """
    size = min(COMPARED, source.shape[-1], inversion.shape[-1])
    weight = resize(torch.from_numpy(mask.alpha)[None, None], size)[0, 0]
    error = (resize(source[None], size) - resize(inversion[None], size)).abs().mean((0, 1)) / 2  # [s,s]
    residual = float((error * weight).sum() / weight.sum().clamp(min=1e-6))
    span = settings.residual_bad - settings.residual_good
    return residual, float(np.clip((settings.residual_bad - residual) / span, 0, 1))


def mask_of(source: Array, edit: Array, name: str, size: int, settings: MaskConfig) -> Mask:
    """The mask [size,size] of a region in either of two parsed crops (labels [s,s]), source and edit.

    Its `skin_cover` is taken over the source's skin, or over the part that is edited where it is not the whole face.
    """
    region = regions.inside(source, name) | regions.inside(edit, name)
    if regions.is_local(name):
        return soften(region, np.isin(source, regions.REGIONS[name]), size, settings)
    return soften(fill_holes(region), source == SKIN, size, settings)


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


def _drawn(layer: Layer) -> torch.Tensor:
    assert layer.picture is not None
    return layer.picture


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
        pictures = [work.faces.image[wanted], *(_drawn(layer)[n : n + 1] for n, layer in due)]
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
