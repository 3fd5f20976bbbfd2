"""Refinement of a code: a few gradient steps on w+ and F towards the picture, going on from the neighbour's result.

w+ comes first, on G(w) alone, so that the generator's own face lies where the picture's is: Eq. 1 moves F by
G^K(w~) - G^K(w), which edits the person only where that holds. F then takes what w+ cannot say. What one frame of a
person lacks the next one lacks too, so each frame starts from its neighbour's corrections, and Adam goes on with its
moments from frame to frame: begun anew, its first steps would all be of full length and undo more than they find.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.faces.embedder import IdentityNetwork
from vidinv.frames import Code
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.generators.proxy import Proxy
from vidinv.losses.lpips import LPIPS

BETAS = (0.8, 0.95)
FASTEST = 2.5  # times the rate of a descent that goes on, where it is far from content


@dataclass(frozen=True)
class Guides:
    """The networks that say how alike two images are; pixels alone smear the identity."""

    identity: IdentityNetwork
    perceptual: LPIPS


@dataclass(frozen=True)
class Effort:
    """Steps of one frame: `latent` on w+ alone, then `feature` on F.

    A frame that follows another takes up to `patience` times as many while it is worse than its track's first.
    """

    latent: int
    feature: int
    patience: int = 4


@dataclass(frozen=True)
class Settings:
    """Step sizes are relative: `*_feature` in units of F's own spread, `*_latent` in units of w."""

    start_latent: float = 0.02
    start_feature: float = 0.14
    follow_latent: float = 0.008
    follow_feature: float = 0.08
    pixel: float = 4.0
    perceptual: float = 0.8
    identity_latent: float = 0.2
    identity_feature: float = 0.04  # small: a large weight on F fools the network and bends the picture
    keep: float = 0.003  # pull of w+ back to where it started from
    near: float = 0.2  # pull of F to G^K(w), in units of its spread; far from it an edit of w says little
    slack: float = 1.25  # how much worse than its track's first a frame may stay
    size: int = 256  # side at which the images are compared


@dataclass(frozen=True)
class Trace:
    """What a frame hands to its neighbour: `latent` [L,D] and `feature` [C,h,w], w+ and F less the encoder's.

    The `*_mean` and `*_square` are Adam's moments of the same shapes, the `*_loss` [] what the track's first frame
    reached.
    """

    latent: Tensor
    feature: Tensor
    latent_mean: Tensor
    latent_square: Tensor
    feature_mean: Tensor
    feature_square: Tensor
    latent_loss: Tensor
    feature_loss: Tensor


def refine(
    generator: Generator,
    code: Code,
    target: Tensor,
    before: Trace | None,
    effort: Effort,
    guides: Guides,
    settings: Settings = Settings(),
    proxy: Proxy | None = None,
) -> tuple[Code, Trace]:
    """Refine the encoder's code of one frame [1,...] towards `target` [1,3,S,S]; returns it and what to hand on.

    `before` is the neighbour frame's, or None at a start or after a cut: F then starts as the generator's own. With a
    `proxy` the frames that have a neighbour take their gradients through its head in bfloat16, at a third of the cost;
    what the head gets wrong where each descent starts is measured and added.
    """
    if code.feature is None or code.at is None or len(code) != 1:
        held = "a" if code.feature is not None else "no"
        raise ValueError(f"refinement takes one code with a feature, got {len(code)} with {held} feature")
    at, s = code.at, settings
    wanted = resize(target, s.size)
    with torch.no_grad():
        person = guides.identity.embed(target)

    def score(image: Tensor, identity: float) -> Tensor:
        seen = resize(image, s.size)
        pixel = functional.mse_loss(seen, wanted)
        likeness = 1 - (guides.identity.embed(image) * person).sum()
        return s.pixel * pixel + s.perceptual * guides.perceptual(seen, wanted).mean() + identity * likeness

    quick = proxy if before is not None else None

    def whole(ws: Tensor, feature: Tensor | None = None) -> Tensor:
        place = None if feature is None else at
        return generator.synthesize(ws, feature=feature, at=place, size=generator.sizes[0])

    def drawer(ws: Tensor, feature: Tensor | None = None) -> Callable[..., Tensor]:
        """What draws w+ (and F) near here; what the head gets wrong here is measured and added."""
        if quick is None:
            return whole

        def near(ws: Tensor, feature: Tensor | None = None) -> Tensor:
            return quick(ws, feature, None if feature is None else at)

        with torch.no_grad(), _bfloat16(ws):
            gap = resize(whole(ws, feature), quick.head.spec.size) - near(ws, feature)
        return lambda ws, feature=None: near(ws, feature) + gap

    def latent_loss(ws: Tensor) -> Tensor:
        return score(draw_latent(ws), s.identity_latent) + s.keep * (ws - ws_start).square().sum(2).mean()

    def feature_loss(feature: Tensor) -> Tensor:
        apart = (feature - own).square().mean() / own.var()
        return score(draw_feature(ws, feature), s.identity_feature) + s.near * apart

    ws_start = code.ws if before is None else code.ws + before.latent
    draw_latent = drawer(ws_start)
    start = Start(ws_start, s.start_latent)
    if before is not None:
        limit = s.slack * float(before.latent_loss)
        start = Start(ws_start, s.follow_latent, (before.latent_mean, before.latent_square), limit, effort.patience)
    latent = _descend(start, latent_loss, effort.latent, half=quick is not None)
    ws = latent.value
    with torch.no_grad():
        own = generator.synthesize(ws, stop=at)  # G^K(w)
    feature_start = own if before is None else code.feature + before.feature
    draw_feature = drawer(ws, feature_start)
    spread = float(own.std())
    start = Start(feature_start, s.start_feature * spread)
    if before is not None:
        moments, limit = (before.feature_mean, before.feature_square), s.slack * float(before.feature_loss)
        start = Start(feature_start, s.follow_feature * spread, moments, limit, effort.patience)
    feature = _descend(start, feature_loss, effort.feature, half=quick is not None)
    reached = (latent.loss, feature.loss) if before is None else (before.latent_loss, before.feature_loss)
    changed = (ws[0] - code.ws[0], feature.value[0] - code.feature[0])
    trace = Trace(*changed, *latent.moments, *feature.moments, *reached)
    return replace(code, ws=ws, feature=feature.value), trace


def between(code: Code, before: Trace, after: Trace, share: float) -> Code:
    """The encoder's code of a frame [1,...] between two refined ones with what they found, `share` of the way along."""
    if code.feature is None:
        raise ValueError("a code between refined ones has a feature, as theirs have; this one has none")
    ws = code.ws + torch.lerp(before.latent, after.latent, share)
    return replace(code, ws=ws, feature=code.feature + torch.lerp(before.feature, after.feature, share))


@dataclass(frozen=True)
class Start:
    """Where a descent begins: the value [1,...] and the rate; going on, also Adam's moments and when to be content."""

    value: Tensor
    rate: float
    moments: tuple[Tensor, Tensor] | None = None
    limit: float = math.inf
    patience: int = 1


@dataclass(frozen=True)
class End:
    """Where it ended: the value [1,...], Adam's moments without the leading axis, and the last loss []."""

    value: Tensor
    moments: tuple[Tensor, Tensor]
    loss: Tensor


def _descend(start: Start, loss: Callable[[Tensor], Tensor], steps: int, *, half: bool) -> End:
    """`steps` of Adam, up to `patience` times as many while the loss is above the limit.

    Begun anew it slows down. Going on, the rate follows how far above the limit the loss is, and no gradient is longer
    than those before it were, since a sudden motion would otherwise throw the value off the generator's manifold.
    """
    value = start.value.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([value], lr=start.rate, betas=BETAS)
    longest = math.inf
    if start.moments is not None and start.moments[1].any():
        mean, square = (moment[None].clone() for moment in start.moments)
        settled = torch.tensor(1e4)  # steps after which Adam corrects its moments no more
        optimiser.state[value] = {"step": settled, "exp_avg": mean, "exp_avg_sq": square}
        longest = float(square.sum().sqrt())
    away = torch.tensor(math.inf)  # not known
    for step in range(start.patience * steps):
        if start.moments is None:
            optimiser.param_groups[0]["lr"] = start.rate * (1 - 0.8 * step / steps)
        optimiser.zero_grad(set_to_none=True)
        with torch.enable_grad(), _bfloat16(value, enabled=half):
            away = loss(value)
        far = float(away.detach()) / max(start.limit, 1e-9)
        if step >= steps and far <= 1:
            break
        if start.moments is not None:
            optimiser.param_groups[0]["lr"] = start.rate * min(max(far, 1.0), FASTEST)
        away.backward()
        nn.utils.clip_grad_norm_([value], longest)
        optimiser.step()
    state = optimiser.state[value]
    if not state:
        nothing = torch.zeros_like(start.value[0])
        return End(value.detach(), start.moments or (nothing, nothing.clone()), away)
    correction = 1 if start.moments is not None else 1 - BETAS[1] ** steps
    return End(value.detach(), (state["exp_avg"][0], state["exp_avg_sq"][0] / correction), away.detach().float())


def _bfloat16(like: Tensor, *, enabled: bool = True) -> torch.autocast:
    return torch.autocast(like.device.type, torch.bfloat16, enabled=enabled)
