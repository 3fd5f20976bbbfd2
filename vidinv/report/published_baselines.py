"""Published baselines: run the editing protocols of two papers, and give the papers' own figures for reference.

Both protocols edit a folder of real faces by several attributes and compare the set of all edited pictures with the
real ones. The papers used other faces, another generator, larger pictures, other directions and other networks (FID on
Inception-v3, which is not available here), so their figures must not be compared with those measured here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor, nn

from vidinv.metrics import image
from vidinv.metrics.distribution import Frechet

CAVEAT = "the paper's own faces, generator, directions and networks, and compare only with each other"
Perceptual = Callable[[Tensor, Tensor], Tensor]  # [N,3,S,S] twice -> [N]


@dataclass(frozen=True)
class Protocol:
    """A table of a paper: its edited attributes, by the names of the directions here, and its figures by method."""

    name: str
    attributes: tuple[str, ...]
    published: Mapping[str, Mapping[str, float]]


FEATURE_STYLE = Protocol(
    "Feature-Style encoder, Table 2",
    ("gender", "makeup", "smile", "eyeglasses"),
    {
        "pSp": {"fid": 39.66},
        "e4e": {"fid": 37.79},
        "ReStyle": {"fid": 32.84},
        "HFGI": {"fid": 30.68},
        "Feature-Style encoder": {"fid": 27.45},
    },
)
FINE_TUNING = Protocol(
    "Fine-tuning GAN encoders, Table 8",
    ("yaw", "age", "gender", "smile", "eyeglasses"),  # pose is yaw
    {
        "InterFaceGAN": {"psnr": 18.28, "ssim": 0.553, "lpips": 0.465, "fid": 93.23},
        "fine-tuned encoder": {"psnr": 19.70, "ssim": 0.561, "lpips": 0.428, "fid": 87.59},
    },
)
PROTOCOLS = (FEATURE_STYLE, FINE_TUNING)


@dataclass
class Tally:
    """Accumulates the figures of one protocol: PSNR, SSIM and LPIPS to the real face, and the two sets of pictures."""

    protocol: Protocol
    perceptual: Perceptual
    sets: Frechet | None = None
    figures: dict[str, list[float]] = field(default_factory=dict)
    edited: set[str] = field(default_factory=set)

    def add_real(self, face: Tensor) -> None:
        """Add a real face [1,3,S,S] in [-1,1]; each face is added once."""
        if self.sets is not None:
            self.sets.add(face, real=True)

    def add_edit(self, name: str, picture: Tensor, face: Tensor) -> None:
        """Add an edit [1,3,S,S] of a face by the direction `name`; ignored where the protocol does not use it."""
        if name not in self.protocol.attributes:
            return
        self.edited.add(name)
        measured = {
            "psnr": image.psnr(picture, face),
            "ssim": image.ssim(picture, face),
            "lpips": self.perceptual(picture, face),
        }
        for key, value in measured.items():
            self.figures.setdefault(key, []).append(float(value))
        if self.sets is not None:
            self.sets.add(picture, real=False)

    def summary(self, distance: str) -> dict[str, object]:
        """Means over all edited pictures, their number, the Frechet distance as `distance`, and the paper's figures."""
        means: dict[str, object] = {key: round(float(np.mean(values)), 4) for key, values in self.figures.items()}
        if self.sets is not None and min(self.sets.counts) > 1:
            means[distance] = round(self.sets.distance(), 3)
        return {
            "edited_by": [name for name in self.protocol.attributes if name in self.edited],
            "left_out": [name for name in self.protocol.attributes if name not in self.edited],
            "pictures": len(next(iter(self.figures.values()), [])),
            **means,
            "published": {method: dict(figures) for method, figures in self.protocol.published.items()},
            "caveat": CAVEAT,
        }


def tallies(perceptual: Perceptual, features: nn.Module | None) -> list[Tally]:
    """A tally for every protocol; `features` is the network of the Frechet distances, which None omits."""
    return [Tally(protocol, perceptual, None if features is None else Frechet(features)) for protocol in PROTOCOLS]


def summaries(found: Iterable[Tally], distance: str) -> dict[str, dict[str, object]]:
    """The summaries by protocol name; protocols without any edit are left out."""
    return {tally.protocol.name: tally.summary(distance) for tally in found if tally.edited}
