"""Blend: put the edit into the source's own planes, inside a soft parsed mask, and leave every other sample alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import torch

from stages.align import quad_rect
from stages.graph import Stage
from stages.parts import Parse
from vidinv.config import MaskConfig
from vidinv.faces import alignment, regions
from vidinv.faces.parser import SKIN
from vidinv.frames import Array, Colour, Mask, Planes, Rect, Work
from vidinv.generators.ops import resize
from vidinv.media import compose

COMPARED = 128
Names = tuple[str, ...]  # of `faces.regions`


def build(parse: Parse, mode: str, settings: MaskConfig) -> Stage:
    """A stage that adds `masks`, `output` and the measures `cover`, `residual`, `confidence` to each Work.

    `mode` "residual" adds (edit - inversion) to the source, "replace" adds (edit - source crop): the paper's paste.
    The face is parsed every `settings.parse_every` frames of a segment, and where what is edited of it changes; the
    mask is carried in crop space between.
    """
    carried: dict[int, tuple[Names, Mask]] = {}

    def blend(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.new_shot or work.nth(0) == 0:
                carried.clear()
            if work.faces is None or work.check is None or work.inversion is None or work.edit is None:
                yield replace(work, output=work.frames.native)
                continue
            masks = _masks(work, parse, settings, carried)
            output = list(work.frames.native)
            measures = []
            for n, mask in enumerate(masks):
                residual, confidence = trust(work.faces.image[n], work.check[n], mask, settings)
                base = work.inversion[n] if mode == "residual" else work.faces.image[n]
                delta = (work.edit[n] - base).permute(1, 2, 0).numpy() / 2  # [S,S,3] in [-1,1]
                position = int(work.faces.frame[n])
                alpha = mask.alpha * np.float32(confidence * work.presence[n])
                output[position], rect = add(
                    output[position], work.frames.colour, work.faces.to_frame[n].numpy(), delta, alpha
                )
                measures.append(
                    {
                        "rect": rect,
                        "cover": mask.skin_cover * confidence,
                        "residual": residual,
                        "confidence": confidence,
                    }
                )
            yield replace(work, masks=tuple(masks), output=tuple(output), measures=tuple(measures))

    return blend


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


def mask_of(source: Array, edit: Array, names: Names, size: int, settings: MaskConfig) -> Mask:
    """The mask [size,size] of the named regions in either of two parsed crops (labels [s,s]), source and edit.

    Its `skin_cover` is taken over the source's skin, or over the parts that are edited where it is not the whole face.
    """
    names = names or ("face",)
    region = regions.inside(source, names) | regions.inside(edit, names)
    covered = source == SKIN
    if all(map(regions.is_local, names)):
        covered = np.isin(source, [label for name in names for label in regions.REGIONS[name]])
    return soften(region, covered, size, settings)


def soften(region: Array, skin: Array, size: int, settings: MaskConfig) -> Mask:
    """The soft mask [size,size] of a parsed `region` [s,s]: grown, blurred, and zero at the crop's border."""
    side = region.shape[0]
    grow = round(settings.grow * side)
    grown: Array = fill_holes(region).astype(np.float32)
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


def _masks(work: Work, parse: Parse, settings: MaskConfig, carried: dict[int, tuple[Names, Mask]]) -> list[Mask]:
    assert work.faces is not None and work.edit is not None
    wanted = list(zip(work.faces.track.tolist(), work.regions, strict=True))
    known = {track: names for track, (names, _) in carried.items()}
    due = []
    for n, (track, names) in enumerate(wanted):
        if work.nth(int(work.faces.frame[n])) % settings.parse_every == 0 or known.get(track) != names:
            due.append(n)
            known[track] = names
    parsed: dict[int, Mask] = {}
    if due:
        size = work.faces.image.shape[-1]
        labels = parse(torch.cat([work.faces.image[due], work.edit[due]]), settings.parse_size)
        for k, n in enumerate(due):
            parsed[n] = mask_of(labels[k], labels[len(due) + k], work.regions[n], size, settings)
    masks = []
    for n, (track, names) in enumerate(wanted):
        if n in parsed:
            carried[track] = (names, parsed[n])
        masks.append(carried[track][1])
    return masks
