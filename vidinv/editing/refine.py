"""Refinement of a code: a few gradient steps on w+ and F towards the picture, going on from the neighbour's result.

w+ comes first, on G(w) alone, so that the generator's own face lies where the picture's is: Eq. 1 moves F by
G^K(w~) - G^K(w), which edits the person only where that holds. F then takes what w+ cannot say. What one frame of a
person lacks the next one lacks too, so each frame starts from its neighbour's corrections, and Adam goes on with its
moments from frame to frame: begun anew, its first steps would all be of full length and undo more than they find.
What the track's first frame found of w+ is the person: the pull back to it keeps w+ from walking away along the clip,
to where the picture is still right but a direction no longer means what its name says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.config import Effort
from vidinv.faces.embedder import IdentityNetwork, load_arcface
from vidinv.frames import Code
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.generators.proxy import Proxy
from vidinv.losses.lpips import LPIPS

Loss = Callable[[Tensor], Tensor]
BETAS = (0.8, 0.95)
FASTEST = 2.5  # times the rate of a descent that goes on, where it is far from content
WORTH = 0.02  # of the loss: a step beyond the usual ones follows only where the last two gained that


@dataclass(frozen=True)
class OptionalGuides:
    """Those of the guides that there are; None for one that is absent."""

    identity: IdentityNetwork | None = None
    perceptual: LPIPS | None = None

    @torch.no_grad()
    def unlike(self, target: Tensor, small: Tensor) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """What says of a picture [1,3,S,S], and of it at the side of `small`, how far it is from `target`.

        Two numbers: 1 - the likeness of the person, and what LPIPS perceives; 0 where nothing says it.
        """
        identity, nothing = self.identity, small.new_zeros(())
        person = nothing if identity is None else identity.embed(target)
        perceive = None if self.perceptual is None else self.perceptual.against(small)

        def judge(image: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
            likeness = nothing if identity is None else 1 - (identity.embed(image) * person).sum()
            return likeness, nothing if perceive is None else perceive(seen).mean()

        return judge


@dataclass(frozen=True)
class Guides(OptionalGuides):
    """The networks that say how alike two images are; pixels alone smear the identity."""

    identity: IdentityNetwork
    perceptual: LPIPS


def load_guides(device: str = "cpu") -> Guides:
    """ArcFace and LPIPS on AlexNet, from the weights cache, on `device`."""
    return Guides(load_arcface().requires_grad_(False).to(device), LPIPS.load("alexnet").to(device))


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
    start_keep: float = 0.003  # pull of a first frame's w+ to the encoder's
    follow_keep: float = 0.5  # pull of a later frame's w+ to the encoder's with what the first frame found
    near: float = 0.2  # pull of F to G^K(w), in units of its spread; far from it an edit of w says little
    slack: float = 1.25  # how much worse than its track's first a frame may stay
    size: int = 256  # side at which the images are compared


@dataclass(frozen=True)
class Part:
    """What a frame found of w+ [L,D] or of F [C,h,w].

    `change` is its value less the encoder's, `mean` and `square` Adam's moments, all of that shape; `loss` [] is what
    the track's first frame reached.
    """

    change: Tensor
    mean: Tensor
    square: Tensor
    loss: Tensor


@dataclass(frozen=True)
class Trace:
    """What a frame hands to its neighbour: what it found, and `person` [L,D], the change of w+ its track began with."""

    latent: Part
    feature: Part
    person: Tensor


class Refine(Protocol):
    """Refines the code of an image [1,3,S,S] of a person (a track) from its neighbour's result, by so many steps."""

    def __call__(
        self, code: Code, image: Tensor, before: Trace | None, effort: Effort, person: int | None = None
    ) -> tuple[Code, Trace]: ...


def refine(
    generator: Generator,
    code: Code,
    target: Tensor,
    before: Trace | None,
    effort: Effort,
    guides: OptionalGuides,
    settings: Settings = Settings(),
    proxy: Proxy | None = None,
    *,
    half: bool = False,
    tuned: bool = False,
) -> tuple[Code, Trace]:
    """Refine the encoder's code of one frame [1,...] towards `target` [1,3,S,S]; returns it and what to hand on.

    `before` is the neighbour frame's, or None at a start or after a cut: F then starts as the generator's own. With a
    `proxy` the frames that have a neighbour take their gradients through its head, at less cost; what the
    head gets wrong where each descent starts is measured and added. A first frame moves too far for that: on some faces
    the head then learns to please itself. `half` takes pictures and gradients in bfloat16. Where the generator was
    `tuned` to the encoder's codes, w+ stays as it is, and F starts at, and is held to, the encoder's.
    """
    if code.feature is None or code.at is None or len(code) != 1:
        held = "a" if code.feature is not None else "no"
        raise ValueError(f"refinement takes one code with a feature, got {len(code)} with {held} feature")
    at, s = code.at, settings
    wanted = resize(target, s.size)
    unlike = guides.unlike(target, wanted)

    def score(image: Tensor, identity: float) -> Tensor:
        seen = resize(image, s.size)
        pixel = functional.mse_loss(seen, wanted)
        person, perceived = unlike(image, seen)
        return s.pixel * pixel + s.perceptual * perceived + identity * person

    quick = proxy if before is not None else None

    def whole(ws: Tensor, feature: Tensor | None = None) -> Tensor:
        place = None if feature is None else at
        return generator.synthesize(ws, feature=feature, at=place, size=generator.sizes[0])

    def drawer(ws: Tensor, feature: Tensor | None = None) -> Callable[..., Tensor]:
        """What draws w+ (and F) near here; what the head gets wrong here is measured and added."""
        if quick is None:
            return whole
        place = None if feature is None else at
        with torch.no_grad(), _bfloat16(ws, enabled=half):
            drawn, true = quick.with_whole(ws, feature, place, generator.sizes[0])
            gap = resize(true, drawn.shape[-1]) - drawn
        return lambda ws, feature=None: quick(ws, feature, place) + gap

    def latent_loss(ws: Tensor) -> Tensor:
        return score(draw_latent(ws), s.identity_latent) + keep * (ws - expected).square().sum(2).mean()

    def feature_loss(feature: Tensor) -> Tensor:
        apart = (feature - pivot).square().mean() / own.var()
        return score(draw_feature(ws, feature), s.identity_feature) + s.near * apart

    def descend(start: Tensor, loss: Loss, steps: int, rates: tuple[float, float], known: Part | None) -> End:
        if known is None:
            return _begin(start, loss, steps, rates[0], half=half)
        limit = float(known.loss) * s.slack
        return _go_on(start, loss, steps, rates[1], known, limit, effort.patience, half=half)

    ws_start = code.ws if before is None else code.ws + before.latent.change
    expected = code.ws if before is None else code.ws + before.person
    keep = s.start_keep if before is None else s.follow_keep
    draw_latent = drawer(ws_start)
    known = None if before is None else before.latent
    latent = descend(ws_start, latent_loss, 0 if tuned else effort.latent, (s.start_latent, s.follow_latent), known)
    ws = latent.value
    with torch.no_grad():
        own = generator.synthesize(ws, stop=at)  # G^K(w)
    pivot = code.feature if tuned else own
    feature_start = pivot if before is None else code.feature + before.feature.change
    draw_feature = drawer(ws, feature_start)
    rates = (s.start_feature * float(own.std()), s.follow_feature * float(own.std()))
    known = None if before is None else before.feature
    feature = descend(feature_start, feature_loss, effort.feature, rates, known)
    found = latent.part(code.ws)
    person = found.change.clone() if before is None else before.person
    trace = Trace(found, feature.part(code.feature), person)
    return replace(code, ws=ws, feature=feature.value), trace


def between(code: Code, before: Trace, after: Trace, share: float) -> Code:
    """The encoder's code of a frame [1,...] between two refined ones with what they found, `share` of the way along."""
    if code.feature is None:
        raise ValueError("a code between refined ones has a feature, as theirs have; this one has none")
    ws = code.ws + torch.lerp(before.latent.change, after.latent.change, share)
    feature = code.feature + torch.lerp(before.feature.change, after.feature.change, share)
    return replace(code, ws=ws, feature=feature)


@dataclass(frozen=True)
class End:
    """Where a descent ended: the value [1,...], Adam's moments [...], and the loss [] its track is held to."""

    value: Tensor
    mean: Tensor
    square: Tensor
    loss: Tensor

    def part(self, encoded: Tensor) -> Part:
        return Part(self.value[0] - encoded[0], self.mean, self.square, self.loss)


def _begin(start: Tensor, loss: Loss, steps: int, rate: float, *, half: bool) -> End:
    """`steps` of Adam from `start` [1,...], slowing down."""
    value = start.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([value], lr=rate, betas=BETAS)
    away = torch.tensor(math.inf)  # not known where there are no steps
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * (1 - 0.8 * step / steps)
        away = _look(loss, value, optimiser, half=half)
        away.backward()
        optimiser.step()
    state = optimiser.state[value]
    if not state:
        return End(value.detach(), torch.zeros_like(start[0]), torch.zeros_like(start[0]), away.to(start))
    square = state["exp_avg_sq"][0] / (1 - BETAS[1] ** steps)
    return End(value.detach(), state["exp_avg"][0], square, away.detach().float())


def _go_on(
    start: Tensor, loss: Loss, steps: int, rate: float, known: Part, limit: float, patience: int, *, half: bool
) -> End:
    """Go on from `start` [1,...] with the neighbour's moments; up to `patience` times `steps` while above `limit`.

    It ends early where steps no longer gain: where w+ stands for the person, what is left is for F to take. The rate
    follows how far above the limit the loss is, and no gradient is longer than those before it were, since a sudden
    motion would otherwise throw the value off the generator's manifold.
    """
    if not known.square.any():  # the neighbour took no step, so there is nothing to go on with
        return replace(_begin(start, loss, steps, rate, half=half), loss=known.loss)
    value = start.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([value], lr=rate, betas=BETAS)
    settled = torch.tensor(1e4)  # steps after which Adam corrects its moments no more
    moments = {"exp_avg": known.mean[None].clone(), "exp_avg_sq": known.square[None].clone()}
    optimiser.state[value] = {"step": settled, **moments}
    longest = float(known.square.sum().sqrt())
    seen: list[float] = []
    for step in range(patience * steps):
        if step >= steps and len(seen) > 2 and seen[-1] > (1 - WORTH) * seen[-3]:
            break
        away = _look(loss, value, optimiser, half=half)
        seen.append(float(away.detach()))
        far = seen[-1] / max(limit, 1e-9)
        if step >= steps and far <= 1:
            break
        optimiser.param_groups[0]["lr"] = rate * min(max(far, 1.0), FASTEST)
        away.backward()
        nn.utils.clip_grad_norm_([value], longest)
        optimiser.step()
    state = optimiser.state[value]
    return End(value.detach(), state["exp_avg"][0], state["exp_avg_sq"][0], known.loss)


def _look(loss: Loss, value: Tensor, optimiser: torch.optim.Optimizer, *, half: bool) -> Tensor:
    """The loss of `value`, with a graph, and no gradient left from before."""
    optimiser.zero_grad(set_to_none=True)
    with torch.enable_grad(), _bfloat16(value, enabled=half):
        return loss(value)


def _bfloat16(like: Tensor, *, enabled: bool) -> torch.autocast:
    return torch.autocast(like.device.type, torch.bfloat16, enabled=enabled)
