"""Define the data passed between stages: small frozen dataclasses that state their axes, range and time.

Conventions. Pixel centres sit at integer coordinates, x to the right and y down. Images inside networks are
RGB, NCHW, float32 in [-1, 1]. Time is a pts with its time base; an index is never converted to seconds by a frame rate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[Any]
Rect = tuple[int, int, int, int]  # x0, y0, x1, y1 in luma samples, half open


@dataclass(frozen=True)
class Colour:
    """Colour of the samples, by ITU-T H.273 code points as FFmpeg numbers them.

    `matrix` is the matrix used for conversion (unspecified is already resolved); the `*_tag` fields are the source's
    tags, which the output repeats.
    """

    matrix: str  # "bt601" | "bt709" | "bt2020" | "smpte240m"
    full_range: bool
    primaries_tag: int = 2
    transfer_tag: int = 2
    matrix_tag: int = 2
    range_tag: int = 0


@dataclass(frozen=True)
class Display:
    """How a player displays coded pixels: each is stretched, then the picture is mirrored, then rotated.

    `pixel_aspect` is width by height of one pixel; `is_mirrored` left to right, in coded axes; `rotation` the clockwise
    degrees (0, 90, 180, 270) that then make it upright.
    """

    pixel_aspect: Fraction = Fraction(1)
    is_mirrored: bool = False
    rotation: int = 0


@dataclass(frozen=True)
class Planes:
    """One frame's own samples: Y [H,W], U and V [h,w] or G, B, R; alpha [H,W] last; uint16 for more than 8 bits.

    `sub_x`, `sub_y` are the log2 chroma shifts (1, 1 for 4:2:0) and `depth` the bits per sample.
    `source` is the decoder's own frame, whose side data (such as captions) the writer passes on.
    """

    planes: tuple[Array, ...]
    pix_fmt: str
    sub_x: int
    sub_y: int
    depth: int
    source: Any = field(default=None, compare=False, repr=False)

    @property
    def height(self) -> int:
        return int(self.planes[0].shape[0])

    @property
    def width(self) -> int:
        return int(self.planes[0].shape[1])


@dataclass(frozen=True)
class FrameBatch:
    """B consecutive frames in the source's own pixel format, with their exact times."""

    native: tuple[Planes, ...]
    colour: Colour
    pts: tuple[int, ...]  # [B], in time_base
    time_base: Fraction
    index: tuple[int, ...]  # [B], decode order, counted from 0
    display: Display = field(default_factory=Display)
    gaps: tuple[tuple[int, float, float], ...] = ()  # damage in seconds (from, to) just before the frame of that index

    def __len__(self) -> int:
        return len(self.native)


@dataclass(frozen=True)
class FaceBatch:
    """N aligned face crops: `image` [N,3,S,S] float32 in [-1,1]; `to_frame` [N,2,3] maps crop to frame pixels."""

    image: Tensor
    frame: Tensor  # [N] int64, position inside the FrameBatch
    track: Tensor  # [N] int64, track id
    to_frame: Tensor  # [N,2,3] float64

    def __post_init__(self) -> None:
        n = self.image.shape[0]
        if self.image.ndim != 4 or self.image.shape[1] != 3 or self.image.shape[2] != self.image.shape[3]:
            raise ValueError(f"face images must be [N,3,S,S], got {tuple(self.image.shape)}")
        if self.to_frame.shape != (n, 2, 3) or self.frame.shape != (n,) or self.track.shape != (n,):
            raise ValueError(f"{n} faces need to_frame [N,2,3], frame [N], track [N]; got {tuple(self.to_frame.shape)}")

    def __len__(self) -> int:
        return int(self.image.shape[0])


@dataclass(frozen=True)
class Code:
    """Latent code of N images: `ws` [N,L,D] and the feature code `feature` [N,C,h,w] that replaces layer `at`.

    `styles` [N,S] is added to the modulation vectors of `ws`, concatenated over layers (StyleSpace).
    `space` names latent space and generator ("mobile-stylegan-ffhq-w"); a direction applies where its space matches.
    """

    ws: Tensor
    feature: Tensor | None = None
    at: int | None = None
    z: Tensor | None = None
    c: Tensor | None = None
    const: Tensor | None = None
    styles: Tensor | None = None
    space: str = ""

    def __post_init__(self) -> None:
        if self.ws.ndim != 3:
            raise ValueError(f"ws must be [N,L,D], got {tuple(self.ws.shape)}")
        if (self.feature is None) != (self.at is None):
            raise ValueError("a feature code needs the layer it replaces (at), and a layer its feature")

    def __len__(self) -> int:
        return int(self.ws.shape[0])

    def __getitem__(self, index: slice) -> Code:
        def cut(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[index]

        return replace(
            self,
            ws=self.ws[index],
            feature=cut(self.feature),
            z=cut(self.z),
            c=cut(self.c),
            const=cut(self.const),
            styles=cut(self.styles),
        )


def concatenate(codes: list[Code]) -> Code:
    """Join codes of one space along N."""
    first = codes[0]

    def join(name: str) -> Tensor | None:
        parts = [getattr(code, name) for code in codes]
        return None if parts[0] is None else torch.cat(parts)

    ws = join("ws")
    assert ws is not None
    return replace(
        first,
        ws=ws,
        feature=join("feature"),
        z=join("z"),
        c=join("c"),
        const=join("const"),
        styles=join("styles"),
    )


@dataclass(frozen=True)
class Mask:
    """Soft blend weights of one face in crop space: `alpha` [S,S] float32 in [0,1]."""

    alpha: Array
    skin_cover: float = 1.0  # share of the parsed skin area that the mask covers
    occluded: float = 0.0  # share of the mask that was removed because an object occludes the face
    face: float = 1.0  # share of the crop in which the parser sees the source's face


@dataclass(frozen=True)
class Shot:
    """Frames start <= index < stop between two cuts."""

    start: int
    stop: int


@dataclass(frozen=True)
class Track:
    """One person through the clip: for each frame index with a face, its smoothed crop transform.

    `frames` [T] ascending frame indices; `to_frame` [T,2,3] float64 crop (size `crop`) to frame pixel centres;
    `landmarks` [T,P,2] float32 in frame pixels; `embedding` [512] the track's mean identity, L2-normalised.
    """

    id: int
    frames: Array
    to_frame: Array
    landmarks: Array
    embedding: Array
    crop: int = 1024
    score: float = 0.0
    trust: Array | None = None  # [T] in [0,1]: edit confidence by visibility of the face; None: 1 everywhere


@dataclass(frozen=True)
class Edit:
    """One requested edit: direction, strength, person and time (see `vidinv.editing.grammar`).

    `strength` is defined by `vidinv.editing.directions.Direction`. With a `target` (in the unit of the direction's
    calibration) it is found by measurement.
    """

    name: str
    strength: float
    target: float | None = None
    reached: float | None = None  # measured value at the strength found for the target
    is_lost: bool = False  # no strength could be searched for its target
    track: int | None = None  # None: every edited person
    layers: tuple[int, int] | None = None  # rows first <= l < last of w+; None: the direction's own
    span: tuple[float, float] = (0.0, math.inf)  # seconds from the clip's first frame
    region: str | None = None  # of `faces.regions`; None: the direction's own
    ramp: float = 0.4  # seconds of fading in and out, inside the span


@dataclass(frozen=True)
class EditLayer:
    """Edit of N faces in one region: a picture that is blended over those of the layers below it.

    `codes` include the edits of this layer and of every layer below; `presence` is, per face, the share in [0,1] of the
    layer that may show at this time. `picture` [N,3,S,S] is rendered by `synthesize`; for a face without presence it is
    the picture of the layer below.
    """

    region: str  # of `faces.regions`
    codes: Code
    presence: tuple[float, ...]
    picture: Tensor | None = None

    @property
    def drawn(self) -> Tensor:
        """Return the picture [N,3,S,S] of a rendered layer."""
        assert self.picture is not None, "the layer has not been rendered"
        return self.picture


@dataclass(frozen=True)
class IdentitySimilarity:
    """Cosine in [-1,1] of one network's embeddings: a picture of a face against the source's face on the same frame."""

    inversion: float | None = None  # None where there is no inversion: two finished videos are compared
    edit: float | None = None


@dataclass(frozen=True)
class PictureValues:
    """One quantity measured on each picture of a face; None where it was not measured."""

    source: float | None = None
    inversion: float | None = None
    edit: float | None = None


@dataclass(frozen=True)
class FaceMetrics:
    """What was measured of one face on one frame; None or an empty mapping: not measured.

    Each field is written once, by the stage named above it. `faded_confidence` decides how far the edit is blended in;
    `confidence` is the mask stage's own judgement of this frame alone.
    """

    # compare_videos
    face_px: float | None = None  # side of the aligned crop, in pixels of the frame
    # mask
    skin_cover: float | None = None  # [0,1]: share of the parsed skin area that the mask covers
    occluded: float | None = None  # [0,1]: share of the mask that was removed because something is in front of the face
    residual: float | None = None  # [0,1]: mean |source - inversion| inside the mask, as a share of the full range
    confidence: float | None = None  # [0,1]: how well the inversion matches the source
    # fade
    trust: float | None = None  # [0,1]: `confidence`, limited by how well the analysis sees the face
    faded_confidence: float | None = None  # [0,1]: `trust` faded over time; the blend weight of the edit
    # blend
    rect: Rect | None = None  # outside of it no sample changed; None where nothing was blended into the frame
    # measure
    similarity: Mapping[str, IdentitySimilarity] = field(default_factory=dict)  # by identity network
    sharpness: float | None = None  # >= 0: variance of the source's Laplacian, of grey levels in [0,255]
    attributes: Mapping[str, PictureValues] = field(default_factory=dict)  # by attribute, in that attribute's unit
    hidden: float | None = None  # [0,1]: share of the source's face that is hidden
    mask_area: float | None = None  # [0,1]: mean of the mask over the crop
    psnr: float | None = None  # dB, inversion against source inside the mask
    ssim: float | None = None  # [-1,1], the same
    lpips: float | None = None  # >= 0, the same
    flicker_inversion: float | None = None  # [0,1]: change against the frame before, as a share of the full range
    flicker_edit: float | None = None  # the same of the edit

    @property
    def shown_cover(self) -> float | None:
        """Share [0,1] of the skin area over which the edit shows: the mask's cover times the faded confidence."""
        if self.skin_cover is None or self.faded_confidence is None:
            return None
        return self.skin_cover * self.faded_confidence


@dataclass(frozen=True)
class Evidence:
    """Identity evidence of one face on one frame: embeddings of its `pictures`, in this order.

    `embeddings` by network [P,D], L2-normalised; `strip` is a JPEG of the pictures side by side, empty if not kept.
    """

    frame: int
    track: int
    pictures: tuple[str, ...]  # source, inversion, edit; for a comparison of two videos source, edit
    embeddings: dict[str, Array]
    strip: bytes = b""


@dataclass(frozen=True)
class Work:
    """One FrameBatch on its way through the stages; every stage returns a copy with its part added."""

    frames: FrameBatch
    faces: FaceBatch | None = None
    codes: Code | None = None
    layers: tuple[EditLayer, ...] = ()  # of the edit, the lowest first
    inversion: Tensor | None = None  # [N,3,S,S] G(w, F); `synthesize` says where the proxy stands in
    check: Tensor | None = None  # [N,3,s,s] the inversion through the proxy head, by which confidence is judged
    edit: Tensor | None = None  # [N,3,S,S] G(w~, F~): the picture of the highest layer
    masks: tuple[dict[str, Mask], ...] = ()  # per face, of every layer that shows, by its region
    output: tuple[Planes, ...] = ()  # blended frames, before the video encoder
    metrics: tuple[FaceMetrics | None, ...] = ()  # per face; None for a face of which no edit shows
    evidence: tuple[Evidence, ...] = ()  # of the faces whose identity was measured
    new_shot: bool = False  # the first frame of this batch starts a shot
    segment: int = 0  # index of the first frame of the segment that this batch lies in

    def presence(self, n: int) -> float:
        """How much of the edit of face n may show at this time, 0 to 1: that of the layer that is most there."""
        return max((layer.presence[n] for layer in self.layers), default=0.0)

    def nth(self, position: int) -> int:
        """How many frames of its segment lie before the frame at `position`: what "every k-th frame" counts."""
        return self.frames.index[position] - self.segment


@dataclass(frozen=True)
class Analysis:
    """Result of the first pass over the clip; `people` counts the persons found, `tracks` are those of the request."""

    frame_count: int
    pts: tuple[int, ...]
    time_base: Fraction
    shots: tuple[Shot, ...]
    tracks: tuple[Track, ...]
    people: int = 0

    def second(self, pts: int) -> float:
        """Return the seconds from the clip's first frame to `pts`, as in a user's 0:03."""
        return float((pts - self.pts[0]) * self.time_base)
