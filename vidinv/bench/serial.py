"""Serial baseline: process a clip phase by phase, as the published scripts do, with the networks of the main job.

Six phases run one after the other over the whole clip, one frame at a time, with one picture file per frame between
them: extract the frames; detect and crop the face; invert each crop and draw the inversion; edit the code, and draw the
edit of w alone and that of the feature by Eq. 1; parse source and edit, and blend; encode the pictures as a video. The
generator always draws at its full size, in three passes per frame.

Networks, allocator, threads and video encoder are those of the main job. So are the smoothing, Eq. 1, the mask and the
blend, so that the outputs of both can be compared (`agreement` in `vidinv/bench/compare.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from vidinv.analysis import face_tracks
from vidinv.analysis.first_pass import Detections
from vidinv.backends.interface import Backend, Locate, Models
from vidinv.config import RunConfig
from vidinv.editing.plan import ResolvedEdits
from vidinv.errors import InputUnreadable
from vidinv.faces import alignment
from vidinv.faces.crops import rescale
from vidinv.frames import Analysis, Array, Code, EditLayer, Planes, Shot
from vidinv.jobs.request import encoder_options
from vidinv.jobs.timing import Clock
from vidinv.media import colour as colours
from vidinv.media import reader
from vidinv.media.probe import VideoInfo
from vidinv.media.readers.pyav import planes_of
from vidinv.media.writer import SWSCALE, SegmentWriter
from vidinv.stages import blend, edit, mask

PHASES = ("extract", "align", "invert", "edit", "blend", "encode")
PARSED = 512  # pixels, side at which the published scripts parse
QUALITY = 95  # JPEG quality of the pictures between the phases


@dataclass(frozen=True)
class SerialSetup:
    """The request and the loaded networks, which both flows share."""

    source: Path
    info: VideoInfo
    config: RunConfig
    edits: ResolvedEdits
    backend: Backend
    models: Models
    locate: Locate


@dataclass(frozen=True)
class PictureFiles:
    """The pictures of one kind between two phases, by frame: RGB uint8 [H,W,3], as JPEG or, if `lossless`, as PNG."""

    folder: Path
    lossless: bool

    def path(self, index: int) -> Path:
        return self.folder / f"{index:06d}.{'png' if self.lossless else 'jpg'}"

    def write(self, index: int, picture: Array) -> None:
        self.folder.mkdir(exist_ok=True)
        options = [] if self.lossless else [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
        cv2.imwrite(str(self.path(index)), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)

    def read(self, index: int) -> Array:
        with self.path(index).open("rb") as stream:
            data = np.frombuffer(stream.read(), np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB))


@dataclass(frozen=True)
class SerialClip:
    """The first `frames` frames of a clip in the phases, as files in `folder`."""

    setup: SerialSetup
    folder: Path
    frames: int
    lossless: bool = False

    def pictures(self, kind: str) -> PictureFiles:
        return PictureFiles(self.folder / kind, self.lossless)

    @property
    def video(self) -> Path:
        return self.folder / "out.nut"


def run(setup: SerialSetup, folder: Path, frames: int, *, lossless: bool = False) -> dict[str, dict[str, float]]:
    """Process the first `frames` frames of the clip; returns wall and CPU seconds (`busy_s`, `cpu_s`) by phase.

    `lossless` keeps PNGs instead of JPEGs between the phases. Raises InputUnreadable for a clip that is shorter or
    that does not show the face on each of these frames.
    """
    flow, times = SerialClip(setup, folder, frames, lossless), {name: {"busy_s": 0.0, "cpu_s": 0.0} for name in PHASES}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        clock = Clock.now()
        yield
        spent = clock.busy()
        times[name] = {key: spent[key] for key in times[name]}

    with torch.no_grad():
        with timed("extract"):
            pts = _extract(flow)
        with timed("align"):
            analysis, edits = _align(flow, pts)
        with timed("invert"):
            _invert(flow)
        with timed("edit"):
            region = _edit(flow, analysis, edits)
        with timed("blend"):
            _blend(flow, analysis, edits, region)
        with timed("encode"):
            _encode(flow, pts)
    return times


def _extract(flow: SerialClip) -> list[int]:
    """Write the frames as pictures; returns their pts."""
    pictures, pts = flow.pictures("frames"), []
    for batch in islice(reader.read_frames(flow.setup.source, batch=1), flow.frames):
        pictures.write(batch.index[0], as_bytes(colours.to_rgb(batch.native[0], batch.colour)))
        pts.append(batch.pts[0])
    if len(pts) < flow.frames:
        raise InputUnreadable(f"{flow.setup.source.name} has {len(pts)} frames, {flow.frames} were asked for")
    return pts


def _align(flow: SerialClip, pts: list[int]) -> tuple[Analysis, ResolvedEdits]:
    """Link the faces, and write the smoothed crops of the largest face at the generator's size."""
    setup, frames, crops = flow.setup, flow.pictures("frames"), flow.pictures("crops")
    analysis, edits = linked(setup, [frames.read(index) for index in range(flow.frames)], pts)
    for index in range(flow.frames):
        picture = frames.read(index).astype(np.float32) / 255
        crops.write(index, as_bytes(alignment.warp_cpu(picture, place(analysis, index, _side(flow)), _side(flow))))
    return analysis, edits


def linked(setup: SerialSetup, pictures: list[Array], pts: list[int]) -> tuple[Analysis, ResolvedEdits]:
    """Link the faces of the clip's first pictures [H,W,3] uint8.

    Raises InputUnreadable where the edited face is not on all of them.
    """
    found = [setup.locate(picture, setup.info.rotation, None) for picture in pictures]
    seen = Detections(tuple(pts), Fraction(setup.info.time_base), (Shot(0, len(pts)),), found)
    analysis, edits = face_tracks.link_tracks(seen, setup.config, setup.backend, setup.source, setup.edits)
    if len(analysis.tracks[0].frames) < len(pts):
        raise InputUnreadable(f"{setup.source.name} does not show the face on each of its first {len(pts)} frames")
    return analysis, edits


def _invert(flow: SerialClip) -> None:
    """Encode each crop, and draw its inversion."""
    crops, drawn, models = flow.pictures("crops"), flow.pictures("inversions"), flow.setup.models
    for index in range(flow.frames):
        code = models.encoder(_tensor(crops.read(index)))
        torch.save(code, flow.folder / f"{index}.code")
        drawn.write(index, _picture(models.generator.picture(code)))


def _edit(flow: SerialClip, analysis: Analysis, edits: ResolvedEdits) -> str:
    """Draw the edit of w alone, then that of the feature by Eq. 1; returns the edited region."""
    crops, of_w, of_feature = flow.pictures("crops"), flow.pictures("edits_w"), flow.pictures("edits")
    generator, layer = flow.setup.models.generator, None
    for index in range(flow.frames):
        code = torch.load(flow.folder / f"{index}.code", weights_only=False)
        when = [(analysis.second(analysis.pts[index]), analysis.tracks[0].id)]
        layer = _layer(flow.setup, crops.read(index), code, edits, when)
        of_w.write(index, _picture(generator.picture(replace(layer.codes, feature=None, at=None))))
        of_feature.write(index, _picture(generator.picture(layer.codes)))
    assert layer is not None
    return layer.region


def _layer(
    setup: SerialSetup, crop: Array, code: Code, edits: ResolvedEdits, when: list[tuple[float, int]]
) -> EditLayer:
    *_, last = edit.layers(setup.models.generator, setup.models.parse, _tensor(crop), code, edits, when)
    return last


def _blend(flow: SerialClip, analysis: Analysis, resolved: ResolvedEdits, region: str) -> None:
    """Parse source and edit, and blend the edit into the frame inside its mask."""
    kinds = ("frames", "crops", "inversions", "edits", "blended")
    frames, crops, inversions, edits, blended = (flow.pictures(kind) for kind in kinds)
    settings, parse = flow.setup.config.mask, flow.setup.models.parse
    mode = blend.mode_of(flow.setup.config.blend, [each.direction for each in resolved])
    for index in range(flow.frames):
        source, inversion, edited = (_tensor(kind.read(index)) for kind in (crops, inversions, edits))
        labels = [parse(picture, PARSED)[0] for picture in (source, edited)]
        alpha = mask.region_mask(labels[0], labels[1], region, _side(flow), settings).alpha
        delta, where = blend.compose_layers(source[0], inversion[0], [(edited[0], alpha)], mode, 1.0)
        picture = frames.read(index).astype(np.float32) / 255
        rect = (0, 0, picture.shape[1], picture.shape[0])
        weighted = np.ascontiguousarray(delta * where[:, :, None], np.float32)
        blended.write(index, as_bytes(picture + alignment.paste(weighted, place(analysis, index, _side(flow)), rect)))


def _encode(flow: SerialClip, pts: list[int]) -> None:
    """Encode the pictures as a video, by the encoder of the main job."""
    setup, blended = flow.setup, flow.pictures("blended")
    with SegmentWriter(flow.video, setup.info, encoder_options(setup.config, flow.video)) as writer:
        for index, when in enumerate(pts):
            writer.write(_planes(blended.read(index), setup.info), when)


def _planes(rgb: Array, info: VideoInfo) -> Planes:
    """Convert a picture to the source's own pixel format."""
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format=info.pix_fmt,
        dst_colorspace=SWSCALE[info.colour.matrix],
        dst_color_range=2 if info.colour.full_range else 1,
    )
    return planes_of(frame)


def _side(flow: SerialClip) -> int:
    return flow.setup.models.generator.resolution


def place(analysis: Analysis, index: int, size: int) -> Array:
    """The crop-to-frame transform [2,3] of the face on frame `index`, for crops of `size` pixels."""
    track = analysis.tracks[0]
    return rescale(track.to_frame[index], track.crop, size)


def _tensor(picture: Array) -> Tensor:
    """[S,S,3] uint8 -> [1,3,S,S] in [-1,1]."""
    return torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 127.5 - 1


def _picture(image: Tensor) -> Array:
    """[1,3,S,S] in [-1,1] -> [S,S,3] uint8."""
    return as_bytes((image[0].permute(1, 2, 0).numpy() + 1) / 2)


def as_bytes(picture: Array) -> Array:
    """[0,1] -> uint8."""
    return np.asarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
