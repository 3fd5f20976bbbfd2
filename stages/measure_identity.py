"""Measure identity: compare every face of the blended frame with the source, before the video is encoded.

The identity network is R of Eq. 9 of the Feature-Style encoder paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from vidinv.backends.interface import Backend, Embed, Parse
from vidinv.config import IdentityConfig
from vidinv.editing.direction_training import Measure
from vidinv.faces import parsed_attributes
from vidinv.faces.crops import crop
from vidinv.frames import Array, Evidence, FaceMetrics, IdentitySimilarity, PictureValues, Work
from vidinv.generators.ops import resize
from vidinv.metrics import image
from vidinv.metrics.flicker import flicker
from vidinv.report import identity_evidence
from vidinv.stages.graph import Stage

MAIN = "arcface"  # the network that measures every sampled frame; the others are secondary evaluators
WATCHED = ("age", "smile", "yaw")  # attributes that are measured in every run
COMPARED = 256  # pixels, side at which pictures are compared


@dataclass(frozen=True)
class SecondaryEvaluators:
    """Evaluators that run at a longer interval than the main network: attributes, the parser, LPIPS.

    `attributes` measures pictures by attribute name, `watched` names the attributes that are reported. `parse` and
    `perceptual` are None where the backend has no such network.
    """

    attributes: Measure
    watched: tuple[str, ...]
    parse: Parse | None
    perceptual: Callable[[Tensor, Tensor], Tensor] | None  # two batches [N,3,S,S] -> [N]

    @classmethod
    def of(cls, backend: Backend, parse: Parse, edited: Iterable[str]) -> SecondaryEvaluators:
        """The evaluators of a backend; they watch the `edited` attributes as well as WATCHED."""
        asked = {*WATCHED, *edited}
        watched = tuple(name for name in backend.measures if name in asked)
        perceptual = backend.guides("cpu").perceptual if backend.perceives else None
        return cls(backend.measure(watched), watched, parse if backend.parses else None, perceptual)


@dataclass(frozen=True)
class MeasuredCrops:
    """The pictures of one face: `images` [P,3,S,S] in [-1,1], and `small` [P,3,s,s], s at most COMPARED pixels.

    `pictures` names them: source, inversion (if there is one) and edit. The edit is cropped from the blended frame by
    the source's transform where there is such a frame; else it is the edit's own picture.
    """

    frame: int
    pictures: tuple[str, ...]
    images: Tensor
    small: Tensor
    inside: Tensor | None = None  # [1,s,s]: the soft mask of the edit, where there is one


@dataclass(frozen=True)
class DueMeasures:
    """The measurements that are due on one frame."""

    identity: bool
    secondary: bool
    flicker: bool  # between this frame and the one before, which the secondary evaluators measured


def due_measures(nth: int, settings: IdentityConfig) -> DueMeasures:
    """The measurements that are due on the `nth` frame of a segment, counted from 0."""
    secondary = nth % settings.witness_every == 0
    return DueMeasures(
        nth % settings.every == 0 or secondary, secondary, nth > 0 and (nth - 1) % settings.witness_every == 0
    )


def needs_inversion(nth: int, settings: IdentityConfig) -> bool:
    """Whether any measurement on the `nth` frame of a segment needs the inversion's picture."""
    return any(vars(due_measures(nth, settings)).values())


def build_measure_stage(
    networks: dict[str, Embed], secondary: SecondaryEvaluators, settings: IdentityConfig, *, keep_strips: bool
) -> Stage:
    """A stage that completes `metrics` and adds `evidence`, for faces on every `settings.every`-th frame of a segment.

    Every sampled frame has `similarity` by the main network, and `sharpness`. Every `settings.witness_every`-th frame
    also has `similarity` by the other networks, `attributes`, `hidden`, and `mask_area`, `psnr`, `ssim` and `lpips` of
    the inversion inside the mask. The frame after such a frame has `flicker_inversion` and `flicker_edit` between the
    two. A face whose metrics are None is not measured. The evidence includes pictures if `keep_strips`.
    """

    def measure(works: Iterator[Work]) -> Iterator[Work]:
        before: dict[int, MeasuredCrops] = {}  # by track: the crops of the last measured frame, for the flicker
        for work in works:
            if work.faces is None or work.edit is None or not work.metrics:
                yield work
                continue
            if work.new_shot or work.nth(0) == 0:
                before.clear()
            metrics, found = list(work.metrics), []
            for n in range(len(work.faces)):
                now = due_measures(work.nth(int(work.faces.frame[n])), settings)
                known = metrics[n]
                if known is None or not any(vars(now).values()):
                    continue
                seen, track = _crops(work, n), int(work.faces.track[n])
                if now.identity:
                    asked = {name: embed for name, embed in networks.items() if now.secondary or name == MAIN}
                    embeddings = {name: np.asarray(embed(seen.images)) for name, embed in asked.items()}
                    known = replace(known, similarity=_similarity(seen, embeddings), sharpness=_sharpness(seen))
                    strip = _strip(seen) if keep_strips else b""
                    found.append(Evidence(seen.frame, track, seen.pictures, embeddings, strip))
                if now.secondary:
                    known = _with_attributes(known, seen, secondary)
                    known = _with_fidelity(known, seen, secondary)
                if now.flicker and track in before and before[track].frame == seen.frame - 1:
                    known = _with_flicker(known, before[track], seen)
                metrics[n] = known
                before[track] = seen
            yield replace(work, metrics=tuple(metrics), evidence=tuple(found))

    return measure


def _crops(work: Work, n: int) -> MeasuredCrops:
    assert work.faces is not None and work.edit is not None
    position, size = int(work.faces.frame[n]), work.faces.image.shape[-1]
    edit = work.edit[n]
    if work.output:
        again = crop(work.output[position], work.frames.colour, work.faces.to_frame[n].numpy(), size)  # HWC in [0,1]
        edit = torch.from_numpy(again).permute(2, 0, 1) * 2 - 1
    shown = {"source": work.faces.image[n]}
    shown |= {} if work.inversion is None else {"inversion": work.inversion[n]}
    images = torch.stack([*shown.values(), edit])
    small = resize(images, min(COMPARED, size)).clamp(-1, 1)
    inside = None
    if work.masks:  # the mask of the lowest layer that shows
        alpha = torch.from_numpy(next(iter(work.masks[n].values())).alpha)
        inside = resize(alpha[None, None], small.shape[-1])[0]
    return MeasuredCrops(work.frames.index[position], (*shown, "edit"), images, small, inside)


def _similarity(seen: MeasuredCrops, embeddings: dict[str, Array]) -> dict[str, IdentitySimilarity]:
    """The cosines of inversion and edit to the source, by network."""
    found = {}
    for network, rows in embeddings.items():
        of = {picture: float(rows[0] @ row) for picture, row in zip(seen.pictures, rows, strict=True)}
        found[network] = IdentitySimilarity(of.get("inversion"), of["edit"])
    return found


def _sharpness(seen: MeasuredCrops) -> float:
    """The variance of the Laplacian of the source, in grey levels of [0,255]."""
    grey = cv2.cvtColor(_hwc(seen.small[0]) * 255, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def _with_attributes(known: FaceMetrics, seen: MeasuredCrops, secondary: SecondaryEvaluators) -> FaceMetrics:
    """Add the attributes of every picture, and the hidden share of the source's face."""
    readings = secondary.attributes(seen.small)
    found = {}
    for name in secondary.watched:
        of = {picture: _finite(value) for picture, value in zip(seen.pictures, readings[name], strict=True)}
        if any(value is not None for value in of.values()):
            found[name] = PictureValues(**of)
    hidden = None
    if secondary.parse is not None:
        labels = torch.from_numpy(secondary.parse(seen.small[:1], seen.small.shape[-1]))
        hidden = _finite(parsed_attributes.hidden(labels)[0])
    return replace(known, attributes=found, hidden=hidden)


def _with_fidelity(known: FaceMetrics, seen: MeasuredCrops, secondary: SecondaryEvaluators) -> FaceMetrics:
    """Add PSNR, SSIM and LPIPS of the inversion to the source inside the mask; nothing without a mask."""
    if seen.inside is None:
        return known
    source, inversion = _masked(seen)[:2, None]  # [1,3,s,s] each
    return replace(
        known,
        mask_area=_finite(seen.inside.mean()),
        psnr=_finite(image.psnr_inside(inversion, source, seen.inside[None])),
        ssim=_finite(image.ssim_inside(inversion, source, seen.inside[None])),
        lpips=None if secondary.perceptual is None else _finite(secondary.perceptual(inversion, source)),
    )


def _masked(seen: MeasuredCrops) -> Tensor:
    """The small pictures with the source's samples outside the mask, so that they differ only where the edit may."""
    return seen.small if seen.inside is None else seen.small[:1] + seen.inside * (seen.small - seen.small[:1])


def _finite(value: Any) -> float | None:
    """A number as a float; None for NaN and infinity, which mean that it could not be measured."""
    number = float(value)
    return number if isfinite(number) else None


def _with_flicker(known: FaceMetrics, before: MeasuredCrops, now: MeasuredCrops) -> FaceMetrics:
    """Add the flicker of inversion and edit between two consecutive frames, as a share of the full range."""
    pairs = zip(_masked(before), _masked(now), strict=True)
    both = [np.stack([_hwc(first), _hwc(second)]) for first, second in pairs]  # [2,s,s,3] each
    of = {name: flicker(both[0], made) for name, made in list(zip(now.pictures, both, strict=True))[1:]}
    return replace(known, flicker_inversion=of.get("inversion"), flicker_edit=of["edit"])


def _strip(seen: MeasuredCrops) -> bytes:
    return identity_evidence.encode_strip([_hwc(each) for each in seen.small])


def _hwc(picture: Tensor) -> Array:
    """[3,s,s] in [-1,1] -> [s,s,3] float32 in [0,1]."""
    return np.ascontiguousarray((picture.permute(1, 2, 0).numpy() + 1) / 2, dtype=np.float32)
