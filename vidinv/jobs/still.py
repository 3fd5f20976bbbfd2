"""Draw a still: what a run's edits do to one frame of a clip, as a labelled picture of every edited face.

The frame is edited as a picture is, so it is inverted by itself; a run begins each frame at its neighbour's inversion.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidinv import fileio
from vidinv.analysis import first_pass
from vidinv.backends.interface import Backend
from vidinv.config import RunConfig
from vidinv.editing import grammar, plan
from vidinv.errors import UsageError
from vidinv.frames import Array
from vidinv.jobs import check, image_job
from vidinv.jobs.request import Request
from vidinv.jobs.request_files import preview_path
from vidinv.media import colour, photo, reader
from vidinv.media.photo import Photo


def default_output(source: Path) -> Path:
    """Return the name of a still beside its clip."""
    return source.with_name(f"{source.stem}.still.png")


def check_still(request: Request, second: float) -> tuple[Request, Backend]:
    """Check the request of a still, whose output is its picture.

    Returns the request with the edits as they are at that time, and its backend. Raises as `check_common` does.
    """
    if request.output.suffix.lower() != ".png":
        raise UsageError(f"{request.output.name} does not end in .png", remedy="give -o a name such as face.png")
    request = replace(request, config=config_at(request.config, second), preview=True)
    backend, _ = check.check_common(request)
    fileio.check_free(request.output, overwrite=request.overwrite)
    return request, backend


def config_at(config: RunConfig, second: float) -> RunConfig:
    """Return the configuration with the edits as they are at a time of the clip, in full or faded.

    Raises UsageError if none is present then.
    """
    texts = []
    for edit in map(grammar.parse, config.edits):
        share = plan.share(edit, second, edit.track or 0)
        if share > 0:
            texts.append(grammar.write(replace(edit, strength=edit.strength * share)))
    if not texts:
        raise UsageError(f"no edit is present at {second:g} s", remedy="give --still a time of an edit")
    return replace(config, edits=tuple(texts), tune="none")


def draw_still(request: Request, second: float, backend: Backend) -> None:
    """Edit the frame at `second` by a request that `check_still` returned, and write the picture to its output.

    Frames up to that time are decoded. Raises UsageError for a time after the clip's end, OutputUnwritable, and what
    the edit of a picture raises.
    """
    with tempfile.TemporaryDirectory(prefix="vidinv-") as folder:
        frame = Path(folder) / f"{request.source.stem[:40]} at {second:g} s.png"
        photo.write_photo(frame, Photo(frame_at(request.source, second, request.config.stream)), {})
        edited = replace(request, source=frame, output=frame.with_name("edited.png"))
        image_job.edit(image_job.check_picture(edited, backend))
        drawn = preview_path(edited.output).read_bytes()
    fileio.write_atomically(request.output, drawn, overwrite=request.overwrite)


def frame_at(source: Path, second: float, stream: int | None = None) -> Array:
    """Return the frame that is shown at a time of the clip, upright, as RGB uint8 [H,W,3].

    Raises UsageError for a time after its end.
    """
    first: int | None = None
    found, end = None, 0.0
    for batch in reader.read_frames(source, batch=1, stream=stream):
        first = batch.pts[0] if first is None else first
        time = float((batch.pts[0] - first) * batch.time_base)
        if found is not None and time > second + 1e-6:
            break
        found, end = batch, time
    else:
        if found is None or second > end + 1:
            raise UsageError(f"{second:g} s is after the end of {source.name}", remedy=f"it lasts {end:.1f} s")
    assert found is not None
    rgb = np.rint(colour.to_rgb(found.native[0], found.colour) * 255).astype(np.uint8)
    shown = first_pass.as_shown(rgb, found.display)
    return np.ascontiguousarray(np.rot90(shown, -found.display.rotation // 90))
