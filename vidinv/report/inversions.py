"""How well faces are inverted: the encoder alone, with refinement, by optimisation of w+ as the baseline, as stored.

Protocol: aligned faces, compared at 256 pixels in [-1,1]; LPIPS with AlexNet, ID the cosine of ArcFace embeddings,
with an independent network's beside it. IC (Feature-Style encoder paper, Eq. 9) where a clip gave several frames.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor, nn

from vidinv.config import Effort
from vidinv.editing.refine import Guides, refine
from vidinv.encoders.base import Encoder
from vidinv.faces.embedder import IdentityNetwork
from vidinv.frames import Array, Code
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.metrics import identity, image
from vidinv.metrics.distribution import Frechet

METHODS = ("encoder", "refined", "optimised", "stored")
SIZE = 256


@dataclass(frozen=True)
class Networks:
    """What inverts and what judges; `other` is an identity network that no training or refinement uses.

    `features` [N,3,S,S] -> [N,D] is what a Frechet distance is taken on, under the name `frechet`; None takes none.
    `lpips` is the distance of two batches [N,3,S,S] -> [N] that is reported; None: the guides'.
    """

    generator: Generator
    encoder: Encoder
    guides: Guides
    other: IdentityNetwork
    features: nn.Module | None = None
    frechet: str = "frechet_mobilenet_v2"
    lpips: Callable[[Tensor, Tensor], Tensor] | None = None


@dataclass
class Figures:
    """Figures of one method, one entry per face; `embeddings` by clip, for IC; the set of pictures it made."""

    figures: dict[str, list[float]] = field(default_factory=dict)
    embeddings: dict[str, list[Array]] = field(default_factory=dict)
    pictures: Frechet | None = None

    def summary(self) -> dict[str, float | int]:
        """Means over the faces, IC over the clips with more than one frame, and the number of faces."""
        means: dict[str, float | int] = {name: round(float(np.mean(v)), 4) for name, v in self.figures.items()}
        clips = [identity.consistency(np.stack(rows)) for rows in self.embeddings.values() if len(rows) > 1]
        if clips:
            means["ic"] = round(float(np.mean(clips)), 4)
        return means | {"n": len(next(iter(self.figures.values()), []))}


@dataclass(frozen=True)
class Face:
    """An aligned face [1,3,S,S] in [-1,1], the clip or picture it is of, and its code where one was stored."""

    name: str
    image: Tensor
    code: Code | None = None


def invert(networks: Networks, method: str, face: Face, first: Effort, baseline: int) -> Tensor:
    """The inversion's picture [1,3,S,S] of a face by one of METHODS."""
    code = code_of(networks, method, face, first, baseline)
    return networks.generator.picture(code, networks.generator.sizes[0])


def code_of(networks: Networks, method: str, face: Face, first: Effort, baseline: int = 0) -> Code:
    """The code of a face by one of METHODS; `baseline` steps are those of the optimisation."""
    generator = networks.generator
    if method == "stored":
        if face.code is None:
            raise ValueError(f"no code is stored for {face.name}")
        return face.code
    with torch.no_grad():
        code = networks.encoder(face.image)
    if method == "refined":
        return refine(generator, code, face.image, None, first, networks.guides)[0]
    if method == "optimised":
        ws = generator.broadcast(generator.w_avg[None])
        start = Code(ws, generator.synthesize(ws, stop=code.at), code.at, space=code.space)
        found, _ = refine(generator, start, face.image, None, Effort(baseline, 0), networks.guides)
        return replace(found, feature=None, at=None)
    return code


def evaluate(
    networks: Networks,
    faces: Iterable[Face],
    methods: Iterable[str],
    first: Effort,
    baseline: int,
    seen: Callable[[str, list[Tensor]], None],
) -> dict[str, dict[str, float | int]]:
    """{METHOD: {psnr, ssim, mse, lpips, id, id_other, ic?, frechet?, n}} over the faces.

    `seen` hears of every face: its name, and the face with its inversions at 256 pixels.
    """
    rows = {
        method: Figures(pictures=None if networks.features is None else Frechet(networks.features))
        for method in methods
    }
    source = Figures()
    for face in faces:
        name, small = face.name, resize(face.image, SIZE)
        shown = [small]
        person, other = networks.guides.identity.embed(face.image), networks.other.embed(face.image)
        source.embeddings.setdefault(name, []).append(person[0].numpy())
        for method, found in rows.items():
            made = invert(networks, method, face, first, baseline)
            picture = resize(made, SIZE)
            shown.append(picture)
            with torch.no_grad():
                alike = networks.guides.identity.embed(made)
                figures = {
                    "psnr": image.psnr(picture, small),
                    "ssim": image.ssim(picture, small),
                    "mse": image.mse(picture, small),
                    "lpips": (networks.lpips or networks.guides.perceptual)(picture, small),
                    "id": (alike * person).sum(1),
                    "id_other": (networks.other.embed(made) * other).sum(1),
                }
            for key, value in figures.items():
                found.figures.setdefault(key, []).append(float(value))
            found.embeddings.setdefault(name, []).append(alike[0].numpy())
            if found.pictures is not None:
                found.pictures.add(small, real=True)
                found.pictures.add(picture, real=False)
        seen(name, shown)
    table = {method: found.summary() for method, found in rows.items()}
    for method, found in rows.items():
        if found.pictures is not None and table[method]["n"] > 1:
            table[method][networks.frechet] = round(found.pictures.distance(), 3)
    clips = source.summary()
    return table | ({"source": {"ic": clips["ic"]}} if "ic" in clips else {})
