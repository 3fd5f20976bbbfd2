"""Blend: add the edit to the source's own planes inside the mask, and keep every other sample bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from vidinv.editing.directions import Direction
from vidinv.faces import alignment
from vidinv.faces.crops import mask_box, quad_rect
from vidinv.frames import Array, Colour, Planes, Rect, Work
from vidinv.media import compose
from vidinv.stages.graph import Stage


def build_blend_stage(mode: str) -> Stage:
    """A stage that adds `output` to each Work, and `rect` to the metrics of every face with masks.

    `mode` "residual" adds (edit - inversion) to the source; "replace" adds (edit - source crop), which pastes the edit
    as the paper does. The blend weight of a layer is its mask times its presence times the face's `faded_confidence`.
    The output of a frame without an edited face is the source's planes.
    """

    def blend(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.faces is None or work.inversion is None or work.edit is None:
                yield replace(work, output=work.frames.native)
                continue
            output, metrics = list(work.frames.native), list(work.metrics)
            for n, mine in enumerate(work.masks):
                known = metrics[n]
                if not mine or known is None:
                    continue
                assert known.faded_confidence is not None, "blend needs the fade stage before it"
                shown = [
                    (layer.drawn[n], mine[layer.region].alpha * layer.presence[n])
                    for layer in work.layers
                    if layer.region in mine
                ]
                delta, where = compose_layers(
                    work.faces.image[n], work.inversion[n], shown, mode, known.faded_confidence
                )
                position = int(work.faces.frame[n])
                output[position], rect = add_difference(
                    output[position], work.frames.colour, work.faces.to_frame[n].numpy(), delta, where
                )
                metrics[n] = replace(known, rect=rect)
            yield replace(work, output=tuple(output), metrics=tuple(metrics))

    return blend


def compose_layers(
    source: torch.Tensor,
    inversion: torch.Tensor,
    layers: Sequence[tuple[torch.Tensor, Array]],
    mode: str,
    confidence: float,
) -> tuple[Array, Array]:
    """The change of a face's crop: a weighted RGB difference [S,S,3] in [-1,1], and the support [S,S] as 0 or 1.

    `source` and `inversion` are [3,S,S] in [-1,1]. `layers` are pictures [3,S,S] and their weights [S,S] in [0,1], the
    lowest first. "replace" blends each picture over the result so far; "residual" adds its difference to the picture
    of the layer below it.
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
    """The blend mode: `asked`, or for "auto" "replace" if one of the directions needs it and else "residual"."""
    if asked != "auto":
        return asked
    return "replace" if any(direction.blend == "replace" for direction in directions) else "residual"


def add_difference(
    planes: Planes, colour: Colour, to_frame: Array, delta: Array, alpha: Array
) -> tuple[Planes, Rect | None]:
    """Add the RGB difference `delta` [S,S,3], weighted by `alpha` [S,S], to `planes` where `to_frame` maps it.

    Returns the planes and the mask's chroma-aligned rectangle, outside which no sample of any plane changes; the
    rectangle is None, and the planes are the given ones, where the mask is empty or outside the frame.
    """
    box = mask_box(alpha)
    rect = None if box is None else quad_rect(to_frame, box, planes)
    if rect is None:
        return planes, None
    weighted = np.ascontiguousarray(delta * alpha[:, :, None], dtype=np.float32)
    pasted = compose.without_colour(planes, colour, rect, alignment.paste(weighted, to_frame, rect))
    return compose.add_delta(planes, colour, rect, pasted), rect
