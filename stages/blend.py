"""Blend: put the edit into the source's own planes, inside its mask, and leave every other sample alone."""

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

    `mode` "residual" adds (edit - inversion) to the source, "replace" adds (edit - source crop): the paper's paste.
    A layer's blend weight is its mask times its presence times the face's `faded_confidence`.
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
                delta, where = layered(work.faces.image[n], work.inversion[n], shown, mode, known.faded_confidence)
                position = int(work.faces.frame[n])
                output[position], rect = add(
                    output[position], work.frames.colour, work.faces.to_frame[n].numpy(), delta, where
                )
                metrics[n] = replace(known, rect=rect)
            yield replace(work, output=tuple(output), metrics=tuple(metrics))

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
