"""Refinement of a code: a few gradient steps on w+ and F towards the picture, started from the neighbour's result.

The encoder gives a code; what it misses in one frame of a person it misses in the next too. So the difference that
the last frame's refinement found is added first, and a few steps correct the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from vidinv.faces.embedder import IdentityNetwork
from vidinv.frames import Code
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.losses.lpips import LPIPS

Offset = tuple[Tensor, Tensor]  # d_ws [L,D], d_feature [C,h,w]: refined minus encoded


@dataclass(frozen=True)
class Guides:
    """The networks that say how alike two images are; pixels alone smear the identity."""

    identity: IdentityNetwork
    perceptual: LPIPS


@dataclass(frozen=True)
class Settings:
    """Step sizes are relative: `feature_rate` in units of F's own spread, `w_rate` in units of w."""

    w_rate: float = 0.006
    feature_rate: float = 0.14
    pixel: float = 4.0
    perceptual: float = 0.8
    identity: float = 0.04  # small: a large weight fools the network and bends the picture
    keep_w: float = 0.003  # pull of w+ back to the encoder's, so that Eq. 1 keeps its footing
    size: int = 256  # side at which the images are compared


def refine(
    generator: Generator,
    code: Code,
    target: Tensor,
    offset: Offset | None,
    steps: int,
    guides: Guides,
    settings: Settings = Settings(),
) -> tuple[Code, Offset]:
    """Refine the code of one frame [1,...] towards `target` [1,3,S,S]; returns it and its offset from the encoder's.

    `offset` is the neighbour frame's, or None at a start or after a cut.
    """
    if code.feature is None or len(code) != 1:
        held = "a" if code.feature is not None else "no"
        raise ValueError(f"refinement takes one code with a feature, got {len(code)} with {held} feature")
    ws, feature = code.ws.clone(), code.feature.clone()
    if offset is not None:
        ws, feature = ws + offset[0], feature + offset[1]
    if steps > 0:
        with torch.enable_grad():
            ws, feature = _descend(generator, code, ws, feature, target, steps, guides, settings)
    found = (ws[0] - code.ws[0], feature[0] - code.feature[0])
    return replace(code, ws=ws, feature=feature), found


def _descend(
    generator: Generator,
    code: Code,
    ws: Tensor,
    feature: Tensor,
    target: Tensor,
    steps: int,
    guides: Guides,
    s: Settings,
) -> tuple[Tensor, Tensor]:
    ws, feature = ws.detach().requires_grad_(), feature.detach().requires_grad_()
    spread = float(feature.detach().std())
    optimiser = torch.optim.Adam(
        [{"params": [ws], "lr": s.w_rate}, {"params": [feature], "lr": s.feature_rate * spread}], betas=(0.8, 0.99)
    )
    score = _scorer(guides, target, s)
    for step in range(steps):
        for group, rate in zip(optimiser.param_groups, (s.w_rate, s.feature_rate * spread), strict=True):
            group["lr"] = rate * (1 - 0.8 * step / steps)
        image = generator.synthesize(ws, feature=feature, at=code.at, size=generator.sizes[0])
        loss = score(image) + s.keep_w * (ws - code.ws).square().sum(2).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return ws.detach(), feature.detach()


def _scorer(guides: Guides, target: Tensor, s: Settings) -> Callable[[Tensor], Tensor]:
    """The loss of an image [1,3,S,S] against the target, whose own embedding is taken once."""
    wanted = resize(target, s.size)
    with torch.no_grad():
        person = guides.identity.embed(target)

    def score(image: Tensor) -> Tensor:
        seen = resize(image, s.size)
        pixel = functional.mse_loss(seen, wanted)
        likeness = 1 - (guides.identity.embed(image) * person).sum()
        return s.pixel * pixel + s.perceptual * guides.perceptual(seen, wanted).mean() + s.identity * likeness

    return score
