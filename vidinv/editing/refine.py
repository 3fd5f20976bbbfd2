"""Refine a code by a few gradient steps on w+ and F towards the picture, starting from the neighbour frame's result.

w+ is refined first, on G(w) alone, so that the generator's face is aligned with the picture's: Eq. 1 changes F by
G^K(w~) - G^K(w), which edits the person only if that holds. F then takes the residual that w+ cannot represent.
Consecutive frames need similar corrections, so each frame starts from its neighbour's, and Adam keeps its moments from
frame to frame: without them its first steps would have full length and undo the corrections. The w+ of the track's
first frame represents the person: a regularisation towards it keeps w+ from drifting along the clip, where the picture
would still match but directions would lose their meaning.
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
FASTEST = 2.5  # largest factor of the rate of a continued descent while its loss is far above the limit
WORTH = 0.02  # relative gain of the last two steps that is needed for an additional step


@dataclass(frozen=True)
class OptionalGuides:
    """Loss networks for refinement; each may be None."""

    identity: IdentityNetwork | None = None
    perceptual: LPIPS | None = None

    @torch.no_grad()
    def unlike(self, target: Tensor, small: Tensor) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Return a function of a picture [1,3,S,S] and its copy at the size of `small`: its distance to `target`.

        It returns 1 - identity similarity and LPIPS; 0 for a missing network.
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
    """Both loss networks for refinement; a pixel loss alone loses the identity."""

    identity: IdentityNetwork
    perceptual: LPIPS


def load_guides(device: str = "cpu") -> Guides:
    """Load ArcFace and LPIPS (AlexNet) from the weights cache to `device`."""
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
    slack: float = 1.25  # allowed loss of a frame, relative to its track's first frame
    size: int = 256  # side at which the images are compared


@dataclass(frozen=True)
class Part:
    """Refinement result of w+ [L,D] or F [C,h,w] on one frame.

    `change` is the value minus the encoder's, `mean` and `square` are Adam's moments, all of that shape; `loss` [] is
    the final loss of the track's first frame.
    """

    change: Tensor
    mean: Tensor
    square: Tensor
    loss: Tensor


@dataclass(frozen=True)
class Trace:
    """Refinement state passed to the next frame; `person` [L,D] is the change of w+ on the track's first frame."""

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
    """Refine the encoder's code of one frame [1,...] towards `target` [1,3,S,S]; return the code and its trace.

    `before` is the neighbour frame's trace, or None at a start or after a cut: F then starts at the generator's own.
    With a `proxy`, frames with a neighbour compute gradients through its head at lower cost; the head's error at the
    start of each descent is measured and added. A first frame moves too far for this: on some faces the optimisation
    would then exploit the head's errors. `half` computes pictures and gradients in bfloat16. If the generator was
    `tuned` to the encoder's codes, w+ is fixed, and F starts at, and is regularised towards, the encoder's. Raises
    ValueError unless `code` is a single code with a feature.
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
        """Return a renderer for w+ (and F) near the given point, with the head's error there added."""
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
    """Add the interpolated refinement of two frames to a code [1,...] between them, at `share` of the way."""
    if code.feature is None:
        raise ValueError("interpolated refinement needs a code with a feature")
    ws = code.ws + torch.lerp(before.latent.change, after.latent.change, share)
    feature = code.feature + torch.lerp(before.feature.change, after.feature.change, share)
    return replace(code, ws=ws, feature=feature)


@dataclass(frozen=True)
class End:
    """Result of a descent: the value [1,...], Adam's moments [...], and the loss [] that limits its track."""

    value: Tensor
    mean: Tensor
    square: Tensor
    loss: Tensor

    def part(self, encoded: Tensor) -> Part:
        return Part(self.value[0] - encoded[0], self.mean, self.square, self.loss)


def _begin(start: Tensor, loss: Loss, steps: int, rate: float, *, half: bool) -> End:
    """Run `steps` of Adam from `start` [1,...] with a decaying rate."""
    value = start.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([value], lr=rate, betas=BETAS)
    away = torch.tensor(math.inf)  # unknown without steps
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
    """Continue from `start` [1,...] with the neighbour's moments, up to `patience` times `steps` while above `limit`.

    The descent ends early if steps no longer reduce the loss; F then takes the remaining error of w+. The rate grows
    with the loss above the limit, and gradients are clipped to the norm of earlier ones, since a sudden motion would
    otherwise move the value off the generator's manifold.
    """
    if not known.square.any():  # the neighbour took no step, so there are no moments to continue with
        return replace(_begin(start, loss, steps, rate, half=half), loss=known.loss)
    value = start.detach().clone().requires_grad_()
    optimiser = torch.optim.Adam([value], lr=rate, betas=BETAS)
    settled = torch.tensor(1e4)  # step count at which Adam's bias correction has vanished
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
    """Clear the gradients and return the loss of `value` with its graph."""
    optimiser.zero_grad(set_to_none=True)
    with torch.enable_grad(), _bfloat16(value, enabled=half):
        return loss(value)


def _bfloat16(like: Tensor, *, enabled: bool) -> torch.autocast:
    return torch.autocast(like.device.type, torch.bfloat16, enabled=enabled)
