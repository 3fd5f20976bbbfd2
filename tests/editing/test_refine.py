"""Refinement with the tiny generator and plain stand-ins for the guides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.backends.tiny import MeanDifference, guides
from vidinv.config import Effort
from vidinv.editing import refine
from vidinv.editing.refine import Part, Settings, Trace
from vidinv.frames import Code
from vidinv.generators import mobile_stylegan
from vidinv.generators.mobile_stylegan import MobileStyleGAN

AT = 2
SETTINGS = Settings(size=32)


GUIDES = guides()


@pytest.fixture(scope="module")
def network() -> MobileStyleGAN:
    return mobile_stylegan.tiny()


@pytest.fixture(scope="module")
def code(network: MobileStyleGAN) -> Code:
    ws = network.broadcast(network.w_avg[None]).clone()
    return Code(ws, network.synthesize(ws, stop=AT), AT, space=network.space)


@pytest.fixture(scope="module")
def target(network: MobileStyleGAN) -> Tensor:
    """A picture near the code's, but not its own."""
    step = 0.3 * torch.randn(1, network.w_dim, generator=torch.Generator().manual_seed(9))
    return network.synthesize(network.broadcast(network.w_avg + step))


class Watching(MeanDifference):
    """Counts how often it is asked; `seen_as` may make something else of the distance."""

    def __init__(self, seen_as: Callable[[Tensor], Tensor] = lambda distance: distance) -> None:
        super().__init__()
        self.looks, self.seen_as = 0, seen_as

    def against(self, b: Tensor) -> Callable[[Tensor], Tensor]:
        distance = super().against(b)

        def look(a: Tensor) -> Tensor:
            self.looks += 1
            return self.seen_as(distance(a))

        return look


def picture(network: MobileStyleGAN, code: Code) -> Tensor:
    return network.synthesize(code.ws, feature=code.feature, at=code.at)


def psnr(a: Tensor, b: Tensor) -> float:
    return float(10 * torch.log10(4 / (a - b).square().mean()))


def loss(image: Tensor, target: Tensor, identity: float = Settings.identity_feature) -> float:
    """The refinement's own sum without the pull on w+, written anew, at 32x32."""
    seen, wanted = functional.avg_pool2d(image, 2), functional.avg_pool2d(target, 2)
    likeness = 1 - (GUIDES.identity.embed(seen) * GUIDES.identity.embed(target)).sum()
    total = 4 * (seen - wanted).square().mean() + 0.8 * (seen - wanted).abs().mean() + identity * likeness
    return float(total)


def test_refinement_brings_the_picture_closer(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    refined, _ = refine.refine(network, code, target, None, Effort(10, 10), GUIDES, SETTINGS)
    before, after = picture(network, code), picture(network, refined)
    assert loss(after, target) < 0.8 * loss(before, target)
    assert psnr(after, target) > psnr(before, target) + 0.5


def test_w_alone_comes_closer_too_so_that_eq_1_stands_on_it(
    network: MobileStyleGAN, code: Code, target: Tensor
) -> None:
    refined, _ = refine.refine(network, code, target, None, Effort(20, 0), GUIDES, SETTINGS)
    before, after = network.synthesize(code.ws), network.synthesize(refined.ws)
    assert psnr(after, target) > psnr(before, target) + 0.5
    assert refined.feature is not None  # F is then the generator's own
    torch.testing.assert_close(refined.feature, network.synthesize(refined.ws, stop=AT), rtol=0, atol=1e-5)


def test_more_steps_are_no_worse(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    few, _ = refine.refine(network, code, target, None, Effort(2, 2), GUIDES, SETTINGS)
    many, _ = refine.refine(network, code, target, None, Effort(20, 20), GUIDES, SETTINGS)
    assert loss(picture(network, many), target) < loss(picture(network, few), target)


def test_the_neighbours_corrections_are_the_start(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    found, trace = refine.refine(network, code, target, None, Effort(5, 5), GUIDES, SETTINGS)
    again, handed = refine.refine(network, code, target, trace, Effort(0, 0), GUIDES, SETTINGS)
    for a, b in ((again.ws, found.ws), (again.feature, found.feature)):
        assert a is not None and b is not None
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5)
    torch.testing.assert_close(handed.latent.change, trace.latent.change, rtol=0, atol=1e-5)
    torch.testing.assert_close(handed.feature.change, trace.feature.change, rtol=0, atol=1e-5)


def test_a_still_picture_stays_refined_from_frame_to_frame(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    unrefined = loss(picture(network, code), target)
    found, trace = refine.refine(network, code, target, None, Effort(20, 20), GUIDES, SETTINGS)
    assert loss(picture(network, found), target) < 0.3 * unrefined
    for _ in range(12):
        found, trace = refine.refine(network, code, target, trace, Effort(1, 2), GUIDES, SETTINGS)
        assert loss(picture(network, found), target) < 0.5 * unrefined


def test_adam_goes_on_with_its_moments(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    _, trace = refine.refine(network, code, target, None, Effort(10, 10), GUIDES, SETTINGS)
    wide = replace(
        trace,
        latent=replace(trace.latent, mean=trace.latent.mean * 0),
        feature=replace(trace.feature, mean=trace.feature.mean * 0, square=torch.full_like(trace.feature.square, 1e6)),
    )
    still, _ = refine.refine(network, code, target, wide, Effort(0, 3), GUIDES, SETTINGS)
    assert still.feature is not None and code.feature is not None
    start = code.feature + trace.feature.change  # a huge second moment holds F where it is
    torch.testing.assert_close(still.feature, start, rtol=0, atol=1e-3)


def test_no_steps_and_no_neighbour_leave_w_and_give_the_generators_own_feature(
    network: MobileStyleGAN, code: Code, target: Tensor
) -> None:
    refined, trace = refine.refine(network, code, target, None, Effort(0, 0), GUIDES, SETTINGS)
    assert torch.equal(refined.ws, code.ws) and refined.feature is not None
    assert torch.equal(refined.feature, network.synthesize(code.ws, stop=AT))
    assert not trace.latent.change.any() and not trace.latent.square.any() and not trace.feature.square.any()


class Biased(nn.Module):
    """A quick stand-in for G that is wrong by a constant picture."""

    def __init__(self, network: MobileStyleGAN) -> None:
        super().__init__()
        self.network = network

    def forward(self, ws: Tensor, feature: Tensor | None = None, at: int | None = None) -> Tensor:
        bias = torch.linspace(-0.5, 0.5, 32).expand(1, 3, 32, 32)
        return self.network.synthesize(ws, feature=feature, at=at, size=32) + bias

    def with_whole(self, ws: Tensor, feature: Tensor | None, at: int | None, size: int) -> tuple[Tensor, Tensor]:
        return self(ws, feature, at), self.network.synthesize(ws, feature=feature, at=at, size=size)


def test_a_proxy_that_is_wrong_by_a_constant_still_brings_the_true_picture_closer(
    network: MobileStyleGAN, code: Code, target: Tensor
) -> None:
    found, trace = refine.refine(network, code, target, None, Effort(10, 10), GUIDES, SETTINGS)
    moved = 0.8 * target + 0.2 * target.roll(2, 3)
    quick: Any = Biased(network)
    after, _ = refine.refine(network, code, moved, trace, Effort(3, 6), GUIDES, SETTINGS, quick)
    assert psnr(picture(network, after), moved) > psnr(picture(network, found), moved) + 0.3


@pytest.mark.parametrize("quick", [False, True], ids=["a first frame", "through the head"])
def test_bfloat16_comes_as_near_as_float32(network: MobileStyleGAN, code: Code, target: Tensor, quick: bool) -> None:
    proxy: Any = Biased(network) if quick else None
    reached = []
    for half in (False, True):
        found, trace = refine.refine(network, code, target, None, Effort(10, 10), GUIDES, SETTINGS, proxy, half=half)
        if quick:
            found, _ = refine.refine(network, code, target, trace, Effort(3, 6), GUIDES, SETTINGS, proxy, half=half)
        assert found.ws.dtype == torch.float32
        reached.append(found)
    assert not torch.equal(reached[0].ws, reached[1].ws)
    full, halved = (psnr(picture(network, each), target) for each in reached)
    assert abs(full - halved) < 0.5


def test_on_a_tuned_generator_w_stays_and_the_feature_is_held_to_the_encoders(
    network: MobileStyleGAN, code: Code, target: Tensor
) -> None:
    assert code.feature is not None
    encoded = replace(code, feature=code.feature + 0.5 * code.feature.std())
    assert encoded.feature is not None
    still, _ = refine.refine(network, encoded, target, None, Effort(5, 0), GUIDES, SETTINGS, tuned=True)
    assert torch.equal(still.ws, encoded.ws) and torch.equal(still.feature, encoded.feature)  # type: ignore[arg-type]
    held = replace(SETTINGS, near=50.0)
    found, trace = refine.refine(network, encoded, target, None, Effort(5, 30), GUIDES, held, tuned=True)
    after, _ = refine.refine(network, encoded, target, trace, Effort(5, 5), GUIDES, held, tuned=True)
    for each in (found, after):
        assert torch.equal(each.ws, encoded.ws) and each.feature is not None
        apart = (each.feature - encoded.feature).square().mean()
        assert 0 < apart < 0.1 * (encoded.feature - code.feature).square().mean()


def test_steps_left_out_at_a_start_can_be_taken_later(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    _, trace = refine.refine(network, code, target, None, Effort(0, 10), GUIDES, SETTINGS)
    later, _ = refine.refine(network, code, target, trace, Effort(5, 0), GUIDES, SETTINGS)
    assert not torch.equal(later.ws, code.ws)
    stored = [*vars(trace.latent).values(), *vars(trace.feature).values(), trace.person]
    places = [value.data_ptr() for value in stored if value.ndim]
    assert len(set(places)) == len(places)  # a trace is saved tensor by tensor


def test_w_stays_by_the_person_found_first_and_the_first_person_is_handed_on(
    network: MobileStyleGAN, code: Code, target: Tensor
) -> None:
    away = []
    for keep in (0.0, 2.0):
        settings = Settings(size=32, follow_keep=keep)
        first, trace = refine.refine(network, code, target, None, Effort(10, 4), GUIDES, settings)
        torch.testing.assert_close(trace.person, first.ws[0] - code.ws[0])
        person = trace.person
        for _ in range(10):
            found, trace = refine.refine(network, code, target.flip(3), trace, Effort(4, 2), GUIDES, settings)
            assert torch.equal(trace.person, person)
        away.append(float((found.ws - first.ws).norm()))
    assert 0 < away[1] < 0.5 * away[0]


def test_the_feature_stays_near_the_generators_own(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    distances = []
    for near in (0.0, 2.0):
        settings = Settings(size=32, near=near)
        found, _ = refine.refine(network, code, target, None, Effort(2, 30), GUIDES, settings)
        assert found.feature is not None
        distances.append(float((found.feature - network.synthesize(found.ws, stop=AT)).square().mean()))
    assert distances[1] < 0.5 * distances[0]


def test_a_frame_that_moved_takes_more_steps_than_one_that_did_not(
    network: MobileStyleGAN, code: Code, target: Tensor
) -> None:
    _, trace = refine.refine(network, code, target, None, Effort(20, 20), GUIDES, SETTINGS)
    taken: list[int] = []
    for picture_of in (target, target.flip(3)):
        watching = Watching()
        refine.refine(network, code, picture_of, trace, Effort(2, 2, patience=4), guides(perceptual=watching), SETTINGS)
        taken.append(watching.looks)
    still, moved = taken
    assert 2 * 2 <= still <= 8 < moved <= 2 * 2 * 4


def test_a_frame_that_no_step_brings_closer_takes_no_more_of_them(
    network: MobileStyleGAN, code: Code, target: Tensor
) -> None:
    _, trace = refine.refine(network, code, target, None, Effort(20, 20), GUIDES, SETTINGS)
    deaf = replace(SETTINGS, pixel=0, identity_latent=0, identity_feature=0, follow_keep=0, near=0)
    far = Watching(lambda distance: 0 * distance + 10)
    refine.refine(network, code, target, trace, Effort(2, 2, patience=4), guides(perceptual=far), deaf)
    assert far.looks == 2 * 3  # w+'s two steps and F's, and one more each that shows it is no use


def level(like: Tensor, value: float) -> Part:
    """A part whose every entry is `value`."""
    return Part(*(torch.full_like(like, value) for _ in range(3)), torch.tensor(value))


def trace_of(code: Code, value: float) -> Trace:
    assert code.feature is not None
    return Trace(level(code.ws[0], value), level(code.feature[0], value), torch.zeros_like(code.ws[0]))


def test_between_two_refined_frames_the_corrections_are_shared(code: Code) -> None:
    assert code.feature is not None
    low, high = (trace_of(code, v) for v in (1.0, 3.0))
    middle = refine.between(code, low, high, 0.25)
    torch.testing.assert_close(middle.ws, code.ws + 1.5)
    torch.testing.assert_close(middle.feature, code.feature + 1.5)


def test_the_code_handed_in_is_not_changed(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    assert code.feature is not None
    ws, feature = code.ws.clone(), code.feature.clone()
    refine.refine(network, code, target, None, Effort(2, 2), GUIDES, SETTINGS)
    assert torch.equal(code.ws, ws) and torch.equal(code.feature, feature)


def test_refinement_takes_one_code_with_a_feature(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    with pytest.raises(ValueError, match="no feature"):
        refine.refine(network, Code(code.ws), target, None, Effort(1, 1), GUIDES, SETTINGS)


def test_it_goes_by_pixels_alone_where_there_are_no_guides(network: MobileStyleGAN, code: Code, target: Tensor) -> None:
    found, trace = refine.refine(network, code, target, None, Effort(4, 4), refine.OptionalGuides(), SETTINGS)
    assert psnr(picture(network, found), target) > psnr(picture(network, code), target)
    reached = functional.mse_loss(functional.avg_pool2d(picture(network, found), 2), functional.avg_pool2d(target, 2))
    assert float(trace.feature.loss) > 0 and float(reached) < float(trace.latent.loss)
