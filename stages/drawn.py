"""A stored inversion as pictures: the face, G(w) and G(w, F) side by side: a sheet of a few, or a video of all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from stages import align, parts, reencode
from stages.folder import check_output
from vidinv.config import content
from vidinv.encoders.code_file import CodeReader
from vidinv.errors import UsageError
from vidinv.frames import Code, FrameBatch
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.media import picture, reader, remux
from vidinv.media.probe import probe
from vidinv.media.writer import SEGMENT_SUFFIX, SegmentWriter

SHEET = 8  # faces on a sheet
PANEL = 256  # pixels


def check(render: Path | None, source: Path, codes: Path, overwrite: bool) -> None:
    """Refuse a picture that cannot be written: UsageError for its kind, else as `check_output` does."""
    if render is None:
        return
    if render.suffix.lower() not in (".png", ".mp4"):
        raise UsageError(f"--render {render} is neither a .png nor a .mp4", remedy="give one of them")
    if render.absolute() == codes.absolute():
        raise UsageError(f"--render and -o are both {render}", remedy="choose another --render")
    check_output(render, source, overwrite)


def count(codes: Path, render: Path) -> int:
    """How many faces `write` will draw."""
    rows = CodeReader(codes).rows
    return min(SHEET, len(rows)) if _is_sheet(render) else len(np.unique(rows.frame))


def write(source: Path, codes: Path, render: Path, device: str, done: Callable[[int], None]) -> None:
    """Draw the codes of `source` into `render`: a sheet of up to SHEET faces (.png) or a video of all (.mp4).

    `done` hears how many faces were drawn.
    """
    stored = open_stored(source, codes)
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
    with tempfile.TemporaryDirectory(prefix=f".{render.stem[:40]}.", dir=render.parent) as folder:
        partial = Path(folder) / f"film{SEGMENT_SUFFIX}"
        writer = SegmentWriter(partial, reencode.preview_info(probe(source), PANEL), codec="h264", crf=17)
        try:
            for batch, panel in _panels(source, stored, generator, device, set(first.items()), done):
                pixels = ((panel.permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)
                writer.write(reencode.yuv420(np.ascontiguousarray(pixels)), batch.pts[0])
        finally:
            writer.close()
        remux.assemble([partial], partial, render, metadata={})


def open_stored(source: Path, codes: Path) -> CodeReader:
    """The codes of a clip; UsageError where they are of another."""
    stored = CodeReader(codes)
    if stored.origin.source != content(source):
        raise UsageError(f"the codes in {codes} are not of {source}", remedy="give the file that they were made from")
    return stored


def faces(source: Path, stored: CodeReader, wanted: set[tuple[int, int]]) -> Iterator[tuple[FrameBatch, Tensor, Code]]:
    """Frame, aligned face [1,3,S,S] in [-1,1] and code of each wanted (frame, track), in order of frame."""
    here: dict[int, list[int]] = {}
    for frame, track in sorted(wanted):
        here.setdefault(frame, []).append(track)
    for batch in reader.read(source, batch=1):
        for track in here.pop(batch.index[0], []):
            to_frame = stored.rows.to_frame[stored.row_of[batch.index[0], track]]
            face = torch.from_numpy(align.crop(batch.native[0], batch.colour, to_frame, stored.rows.crop))
            yield batch, face.permute(2, 0, 1)[None] * 2 - 1, stored.get(batch.index[0], track)  # HWC -> 1CHW
        if not here:
            return


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
