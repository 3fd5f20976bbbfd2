"""Watermark: add an invisible watermark to the blended parts of the frames, and to nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from vidinv.faces import alignment
from vidinv.faces.crops import mask_box, quad_rect
from vidinv.frames import Analysis, Array, Planes, Work
from vidinv.media.probe import VideoInfo
from vidinv.provenance import payload, watermark_embed
from vidinv.stages.graph import Stage


def build_watermark_stage(identity: str, info: VideoInfo, analysis: Analysis) -> Stage:
    """A stage that adds the watermark of `identity` (8 hexadecimal digits) to `output`.

    Its strength follows the blend weight of each face's edit. The whole clip has one grid, whose cell size follows the
    median size of the smallest face.
    """
    chips = payload.encode(identity)
    count = watermark_embed.count_for(min(info.width, info.height), _smallest_side(analysis))
    cells = watermark_embed.grid(info.height, info.width, count, info.display.pixel_aspect)

    def marked(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            output = list(work.output)
            for n, weight in enumerate(_weights(work)):
                if weight is None or work.faces is None:
                    continue
                position, to_frame = int(work.faces.frame[n]), work.faces.to_frame[n].numpy()
                output[position] = _add_watermark(output[position], work, to_frame, weight, cells, chips)
            yield replace(work, output=tuple(output))

    return marked


def _smallest_side(analysis: Analysis) -> float:
    """The crop's side in samples of the frame, for the smallest face: the least of the tracks' medians over time."""
    sides = [track.crop * np.hypot(track.to_frame[:, 0, 0], track.to_frame[:, 1, 0]) for track in analysis.tracks]
    return min((float(np.median(side)) for side in sides if len(side)), default=1.0)


def _weights(work: Work) -> list[Array | None]:
    """The blend weight of each face's edit, [S,S] in [0,1]; None for a face without an edit."""
    found: list[Array | None] = []
    for n, (masks, metrics) in enumerate(zip(work.masks, work.metrics, strict=False)):
        shown = [masks[layer.region].alpha * layer.presence[n] for layer in work.layers if layer.region in masks]
        confidence = None if metrics is None else metrics.faded_confidence
        found.append(np.max(shown, axis=0) * confidence if shown and confidence is not None else None)
    return found


def _add_watermark(
    planes: Planes, work: Work, to_frame: Array, weight: Array, cells: watermark_embed.WatermarkGrid, chips: Array
) -> Planes:
    box = mask_box(weight)
    rect = None if box is None else quad_rect(to_frame, box, planes)
    if rect is None:
        return planes
    pasted = alignment.paste(np.ascontiguousarray(weight[:, :, None], dtype=np.float32), to_frame, rect)
    return watermark_embed.add(planes, work.frames.colour, cells, chips, rect, pasted.reshape(pasted.shape[:2]))
