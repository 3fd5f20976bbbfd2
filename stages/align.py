"""Align: cut an upright crop of every tracked face out of the source's own planes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from vidinv.faces.crops import crop, rescale
from vidinv.frames import FaceBatch, Track, Work
from vidinv.stages.graph import Stage


def build_align_stage(tracks: tuple[Track, ...], size: int) -> Stage:
    """A stage that adds `faces` to each Work: crops [N,3,size,size] in [-1,1] with their crop-to-frame transforms.

    The faces are in order of frame, then of track. A frame without a face of `tracks` adds none; a Work without any
    face passes unchanged.
    """
    where = {track.id: {int(i): k for k, i in enumerate(track.frames)} for track in tracks}

    def align(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            images, frame, track_of, maps = [], [], [], []
            for position, index in enumerate(work.frames.index):
                for track in tracks:
                    k = where[track.id].get(index)
                    if k is None:
                        continue
                    to_frame = rescale(track.to_frame[k], track.crop, size)
                    images.append(crop(work.frames.native[position], work.frames.colour, to_frame, size))
                    frame.append(position)
                    track_of.append(track.id)
                    maps.append(to_frame)
            if not images:
                yield work
                continue
            faces = FaceBatch(
                image=torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).mul(2).sub(1).contiguous(),
                frame=torch.tensor(frame),
                track=torch.tensor(track_of),
                to_frame=torch.from_numpy(np.stack(maps)),
            )
            yield replace(work, faces=faces)

    return align
