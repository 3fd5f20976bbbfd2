"""Inversions: evaluate inversion methods on aligned faces: encoder, refinement, optimisation of w+, stored codes.

Protocol: faces are compared at 256 pixels in [-1,1]; LPIPS uses AlexNet, ID is the cosine of ArcFace embeddings, and an
independent network's cosine is reported as well. IC (Feature-Style encoder paper, Eq. 9) needs two frames of a clip.
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
    """The networks that invert and those that evaluate; `other` is an identity network that nothing is trained with.

    `features` [N,3,S,S] -> [N,D] is the network of the Frechet distance that is reported under the name `frechet`; with
    None it is not computed.
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
    """The figures of one method, one entry per face; its `embeddings` by clip, for IC; and its set of pictures."""

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
    """An aligned face [1,3,S,S] in [-1,1], the name of its clip or picture, and its stored code if there is one."""

    name: str
    image: Tensor
    code: Code | None = None


def invert_face(networks: Networks, method: str, face: Face, first: Effort, baseline: int) -> Tensor:
    """The picture [1,3,S,S] of a face's inversion by one of METHODS."""
    code = code_of(networks, method, face, first, baseline)
    return networks.generator.picture(code, networks.generator.sizes[0])


def code_of(networks: Networks, method: str, face: Face, first: Effort, baseline: int = 0) -> Code:
    """The code of a face by one of METHODS; the optimisation takes `baseline` steps.

    Raises ValueError for the method "stored" where the face has no stored code.
    """
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
    """Evaluate the methods over the faces: {METHOD: {psnr, ssim, mse, lpips, id, id_other, ic?, frechet?, n}}.

    `first` is the effort of the refinement. `seen` is called for every face with its name and, at 256 pixels, the face
    and its inversions.
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
            made = invert_face(networks, method, face, first, baseline)
            picture = resize(made, SIZE)
            shown.append(picture)
            with torch.no_grad():
                embedding = networks.guides.identity.embed(made)
                figures = {
                    "psnr": image.psnr(picture, small),
                    "ssim": image.ssim(picture, small),
                    "mse": image.mse(picture, small),
                    "lpips": (networks.lpips or networks.guides.perceptual)(picture, small),
                    "id": (embedding * person).sum(1),
                    "id_other": (networks.other.embed(made) * other).sum(1),
                }
            for key, value in figures.items():
                found.figures.setdefault(key, []).append(float(value))
            found.embeddings.setdefault(name, []).append(embedding[0].numpy())
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
