"""A stored inversion as pictures: the face, G(w) and G(w, F) side by side: a sheet of a few, or a video of all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stages import align, parts, reencode
from vidinv.encoders.code_file import CodeReader
from vidinv.errors import OutputUnwritable, UsageError
from vidinv.frames import Code, FrameBatch
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.media import picture, reader
from vidinv.media.probe import probe
from vidinv.media.writer import SegmentWriter

SHEET = 8  # faces on a sheet
PANEL = 256  # pixels


def check(render: Path | None, overwrite: bool) -> None:
    """Refuse a picture that cannot be written: UsageError for its kind, OutputUnwritable for its place."""
    if render is None:
        return
    if render.suffix.lower() not in (".png", ".mp4"):
        raise UsageError(f"--render {render} is neither a .png nor a .mp4", remedy="give one of them")
    if not render.parent.is_dir():
        raise OutputUnwritable(f"the folder {render.parent} does not exist", remedy="create it first")
    if render.exists() and not overwrite:
        raise OutputUnwritable(f"{render} exists", remedy="give --overwrite or another --render")


def count(codes: Path, render: Path) -> int:
    """How many faces `write` will draw."""
    rows = CodeReader(codes).rows
    return min(SHEET, len(rows)) if _is_sheet(render) else len(np.unique(rows.frame))


def write(source: Path, codes: Path, render: Path, device: str, done: Callable[[int], None]) -> None:
    """Draw the codes of `source` into `render`: a sheet of up to SHEET faces (.png) or a video of all (.mp4).

    `done` hears how many faces were drawn.
    """
    stored = CodeReader(codes)
    generator = parts.choose(stored.origin.settings["backend"]).models(device).generator
    if _is_sheet(render):
        sheet = [panel for _, panel in _panels(source, stored, generator, device, spread(stored, SHEET), done)]
        picture.write(render, torch.cat(sheet, 1))
        return
    _write_video(source, stored, generator, device, render, done)


def _is_sheet(render: Path) -> bool:
    return render.suffix.lower() == ".png"


def _write_video(
    source: Path, stored: CodeReader, generator: Generator, device: str, render: Path, done: Callable[[int], None]
) -> None:
    """One frame per face, at its frame's time; of several faces the track with the lowest number."""
    first = {int(frame): int(stored.rows.track[row]) for row, frame in reversed(list(enumerate(stored.rows.frame)))}
    partial = render.with_name(render.name + ".tmp.mp4")
    writer = SegmentWriter(partial, reencode.preview_info(probe(source), PANEL), codec="h264", crf=17)
    try:
        for batch, panel in _panels(source, stored, generator, device, set(first.items()), done):
            pixels = ((panel.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)
            writer.write(reencode.yuv420(np.ascontiguousarray(pixels)), batch.pts[0])
    finally:
        writer.close()
    partial.replace(render)


def faces(source: Path, stored: CodeReader, wanted: set[tuple[int, int]]) -> Iterator[tuple[FrameBatch, Tensor, Code]]:
    """Frame, aligned face [1,3,S,S] in [-1,1] and code of each wanted (frame, track), in order of frame."""
    maps = {
        pair: stored.rows.to_frame[row]
        for row, pair in enumerate(zip(stored.rows.frame.tolist(), stored.rows.track.tolist(), strict=True))
    }
    for batch in reader.read(source, batch=1):
        for pair in sorted(pair for pair in wanted if pair[0] == batch.index[0]):
            face = torch.from_numpy(align.crop(batch.native[0], batch.colour, maps[pair], stored.rows.crop))
            yield batch, face.permute(2, 0, 1)[None] * 2 - 1, stored.get(*pair)  # HWC -> 1CHW


def spread(stored: CodeReader, count: int) -> set[tuple[int, int]]:
    """(frame, track) of up to `count` stored faces, evenly over the rows."""
    rows = np.unique(np.linspace(0, len(stored) - 1, min(count, len(stored))).round().astype(int))
    return {(int(stored.rows.frame[row]), int(stored.rows.track[row])) for row in rows}


def _panels(
    source: Path,
    stored: CodeReader,
    generator: Generator,
    device: str,
    wanted: set[tuple[int, int]],
    done: Callable[[int], None],
) -> Iterator[tuple[FrameBatch, Tensor]]:
    """The frame, and the panel [3,P,3P] in [-1,1], of each wanted (frame, track) in order."""
    for batch, face, code in faces(source, stored, wanted):
        yield batch, _panel(generator, code, face, device)
        done(1)


@torch.no_grad()
def _panel(generator: Generator, code: Code, face: Tensor, device: str) -> Tensor:
    assert code.feature is not None
    ws, size = code.ws.to(device), generator.sizes[0]
    alone = generator.synthesize(ws, size=size)
    whole = generator.synthesize(ws, feature=code.feature.to(device), at=code.at, size=size)
    return torch.cat([resize(image.cpu(), PANEL)[0].clamp(-1, 1) for image in (face, alone, whole)], 2)
