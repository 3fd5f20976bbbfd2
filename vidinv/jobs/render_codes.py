"""Draw a stored inversion: face, G(w) and G(w, F) side by side, as a sheet of a few faces or a video of all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from vidinv import fileio
from vidinv.backends.interface import Backend
from vidinv.config import RunConfig
from vidinv.encoders.code_file import CodeReader
from vidinv.errors import UsageError
from vidinv.faces import crops
from vidinv.frames import Code, FrameBatch
from vidinv.generators import registry as generators
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.jobs.exclusive_outputs import check_output
from vidinv.jobs.request import pick_device
from vidinv.jobs.request_files import check_distinct
from vidinv.media import picture, remux
from vidinv.media.codecs import EncoderOptions
from vidinv.media.image_grid import LABEL, image_grid
from vidinv.media.probe import probe
from vidinv.media.writer import SEGMENT_SUFFIX, SegmentWriter
from vidinv.stages import reencode

SHEET = 8  # faces on a sheet
PANEL = 256  # pixels
COLUMNS = ("source", "G(w)", "G(w, F)")


def check_render(render: Path | None, source: Path, codes: Path, overwrite: bool) -> None:
    """Raise UsageError for a suffix other than .png and .mp4, and what `check_output` raises."""
    if render is None:
        return
    if render.suffix.lower() not in (".png", ".mp4"):
        raise UsageError(f"--render {render} is neither a .png nor a .mp4", remedy="give one of them")
    check_distinct([render, codes])
    check_output(render, source, overwrite=overwrite)


def face_count(stored: CodeReader, render: Path) -> int:
    """Number of faces that `write_render` draws."""
    return min(SHEET, len(stored)) if _is_sheet(render) else len(np.unique(stored.rows.frame))


def write_render(
    source: Path,
    stored: CodeReader,
    render: Path,
    backend: Backend,
    config: RunConfig,
    done: Callable[[int], None],
    *,
    overwrite: bool = False,
) -> None:
    """Draw the codes of `source` into `render`: a sheet of up to SHEET faces (.png) or a video of all (.mp4).

    `backend` is the backend that made the codes, `config` the run's configuration.
    `done(n)` is called after every n faces.
    """
    generator = generators.load_generator(backend.generator, pick_device(config.device))
    stored.check_generator(generator)
    if _is_sheet(render):
        sheet = []
        for _, face, code in iterate_faces(source, stored, spread_faces(stored, SHEET), config.stream):
            sheet.append(_panels(generator, code, face))
            done(1)
        picture.write_picture(render, image_grid(sheet, column_labels=COLUMNS), overwrite=overwrite)
        return
    # One face per frame, at the frame's time; of several faces that of the track with the lowest number.
    first = {int(frame): int(stored.rows.track[row]) for row, frame in reversed(list(enumerate(stored.rows.frame)))}
    with tempfile.TemporaryDirectory(prefix=f".{render.stem[:40]}.", dir=render.parent) as folder:
        partial = Path(folder) / f"film{SEGMENT_SUFFIX}"
        writer = SegmentWriter(
            partial,
            reencode.preview_info(probe(source, config.stream), len(COLUMNS) * PANEL, PANEL + LABEL),
            EncoderOptions("h264"),
        )
        try:
            for batch, face, code in iterate_faces(source, stored, set(first.items()), config.stream):
                writer.write(
                    reencode.yuv420(
                        picture.pixels(image_grid([_panels(generator, code, face)], column_labels=COLUMNS))
                    ),
                    batch.pts[0],
                )
                done(1)
        finally:
            writer.close()
        film = Path(folder) / f"whole{render.suffix}"
        remux.assemble([partial], partial, film, metadata={})
        with fileio.replacing(render, overwrite=overwrite) as draft:
            film.replace(draft)


def _is_sheet(render: Path) -> bool:
    return render.suffix.lower() == ".png"


def _panels(generator: Generator, code: Code, face: Tensor) -> list[Tensor]:
    """The face, G(w) and G(w, F), each [3,P,P] in [-1,1]."""
    size = generator.sizes[0]
    alone, whole = (generator.picture(each, size) for each in (replace(code, feature=None, at=None), code))
    return [resize(image.cpu(), PANEL)[0].clamp(-1, 1) for image in (face, alone, whole)]


def open_stored(source: Path, codes: Path) -> CodeReader:
    """Open the codes of a clip. Raises UsageError if they belong to another clip."""
    stored = CodeReader(codes)
    if stored.origin.source != fileio.content_sha256(source):
        raise UsageError(
            f"the codes in {codes} were not made from {source}", remedy="give the clip that they were made from"
        )
    return stored


def iterate_faces(
    source: Path, stored: CodeReader, wanted: set[tuple[int, int]], stream: int | None = None
) -> Iterator[tuple[FrameBatch, Tensor, Code]]:
    """Frame, aligned face [1,3,S,S] in [-1,1] and code of each wanted (frame, track), in order of frame."""
    rows = {key: stored.rows.to_frame[stored.row_of[key]] for key in wanted}
    for batch, key, face in crops.aligned_faces(source, rows, stored.rows.crop, stream):
        yield batch, face, stored.get(*key)


def spread_faces(stored: CodeReader, count: int) -> set[tuple[int, int]]:
    """(frame, track) of up to `count` stored faces, evenly spaced over the rows."""
    rows = crops.evenly_spaced(count, len(stored))
    return {(int(stored.rows.frame[row]), int(stored.rows.track[row])) for row in rows}
