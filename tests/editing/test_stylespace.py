"""Style channels: found where an attribute was planted, edited by Eq. 1, and at home in a run."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor

from vidinv.editing import direction_training, directions, feature_edit, plan, stylespace
from vidinv.editing.direction_training import Lesson, MeasuredSamples, RenderContext
from vidinv.editing.directions import Direction
from vidinv.editing.plan import ResolvedEdit
from vidinv.errors import UsageError
from vidinv.frames import Array, Code, Edit, concatenate
from vidinv.generators import mobile_stylegan
from vidinv.generators import proxy as proxies

TINY = mobile_stylegan.tiny()
PROXY = proxies.load_proxy(TINY, 128)
AT, SLOTS = 2, TINY.num_ws
WIDTH = sum(row.shape[1] for row in TINY.styles(TINY.broadcast(TINY.sample(1))))
# Two channels that go together in the samples: the first is glow alone, the second is glow and age.
GLOW = 70
ALIKE = torch.corrcoef(stylespace.styles(TINY, TINY.sample(1000, seed=2)).T)[GLOW].nan_to_num(0)
BESIDE = int(ALIKE.argsort(descending=True)[1])


def channel_of(code: Code, channel: int) -> Tensor:
    """[N]."""
    rows = TINY.restyled(code.ws, torch.zeros(1, WIDTH) if code.styles is None else code.styles)
    assert rows is not None
    return torch.cat(rows, 1)[:, channel]


def paint(code: Code) -> Tensor:
    """A "picture" that says what two style channels hold."""
    held = torch.zeros(len(code), 3, 8, 8)
    held[:, 0, 0, 0] = (channel_of(code, GLOW) + channel_of(code, BESIDE)) / 20
    held[:, 1, 0, 0] = channel_of(code, BESIDE) / 20
    return held


def measure(pictures: Tensor) -> dict[str, Array]:
    return {"glow": pictures[:, 0, 0, 0].numpy(), "age": pictures[:, 1, 0, 0].numpy()}


def embed(pictures: Tensor) -> Tensor:
    return torch.nn.functional.normalize(torch.ones(len(pictures), 4), dim=1)


STUDIO = RenderContext(TINY, paint, measure, embed)


@pytest.fixture(scope="module")
def readings() -> MeasuredSamples:
    return direction_training.measure_samples(STUDIO, direction_training.samples(TINY, 600, seed=3))


def direction(seed: int, count: int = 6) -> Direction:
    random = torch.Generator().manual_seed(seed)
    steps = torch.zeros(WIDTH)
    steps[torch.randperm(WIDTH, generator=random)[:count]] = torch.randn(count, generator=random)
    return stylespace.of_channels(f"d{seed}", steps.double(), TINY)


@pytest.fixture(scope="module")
def code() -> Code:
    random = torch.Generator().manual_seed(3)
    ws = TINY.w_avg + 0.5 * torch.randn(2, SLOTS, TINY.w_dim, generator=random)
    return Code(ws, TINY.synthesize(ws.flip(0), stop=AT), AT, space=TINY.space)


def test_the_difference_is_that_of_the_extremes_in_deviations() -> None:
    random = np.random.default_rng(0)
    values, score = random.normal(2.0, [1.0, 5.0, 0.0], size=(500, 3)), random.normal(size=500)
    values[:, 1] += 3 * score
    found = stylespace.difference(torch.from_numpy(values), torch.from_numpy(score))
    order = np.argsort(score)
    exact = (values[order[-100:]].mean(0) - values[order[:100]].mean(0))[:2] / values.std(0, ddof=1)[:2]
    assert found[:2].numpy() == pytest.approx(exact) and found[2] == 0
    assert found[1] > 1 > abs(found[0])


def test_the_channel_that_changes_least_beside_is_kept(readings: MeasuredSamples) -> None:
    fresh = direction_training.samples(TINY, 4, seed=9)
    told: list[int] = []
    made = stylespace.learn_style_direction(Lesson("glow", "light"), readings, STUDIO, fresh, 1, told.append)
    assert made.channels == [GLOW] and made.kind == "style" and len(told) == stylespace.PROPOSED
    rows = torch.cat(TINY.styles(TINY.broadcast(TINY.sample(2000, seed=13))), 1)
    spread = float(rows[:, GLOW].double().std())
    assert made.deviation == pytest.approx(spread, rel=1e-4)  # strength 1: one standard deviation
    assert made.calibration["light"] == pytest.approx(spread / 20, rel=1e-2) and made.leak == {"age": 0.0}


def test_what_nothing_measures_is_proposed_alone(readings: MeasuredSamples) -> None:
    scored = MeasuredSamples(readings.w, {"age": readings.scores["age"], "charm": readings.scores["glow"]})
    made = stylespace.learn_style_direction(
        Lesson("charm", "points"), scored, STUDIO, direction_training.samples(TINY, 3, seed=9), 12
    )
    assert made.calibration == {} and len(made.channels) == 12 and {GLOW, BESIDE} < set(made.channels)


def test_an_attribute_of_no_channel_is_said(readings: MeasuredSamples) -> None:
    noise = torch.randn(600, generator=torch.Generator().manual_seed(1))
    blind = RenderContext(TINY, lambda code: torch.zeros(len(code), 3, 8, 8), measure, embed)
    scored = MeasuredSamples(readings.w, {"glow": noise})
    with pytest.raises(UsageError, match="no style channel increases glow"):
        stylespace.learn_style_direction(
            Lesson("glow", ""), scored, blind, direction_training.samples(TINY, 3, seed=9), 2
        )


def test_an_edit_is_eq_1_in_style_space(code: Code) -> None:
    move = direction(0)
    made = feature_edit.edit(TINY, code, [(move, 2.0)])
    exact = copy.deepcopy(TINY).double()
    ws = code.ws.double()
    still = exact.styles(ws)
    flat = torch.cat(still, 1) + 2.0 * move.deviation * move.vector.double()
    moved = list(flat.split([row.shape[1] for row in still], 1))
    shift = exact.synthesize(ws, styles=moved, stop=AT) - exact.synthesize(ws, stop=AT)
    assert code.feature is not None and made.feature is not None and shift.abs().mean() > 1e-3
    feature = code.feature.double() + shift
    torch.testing.assert_close(made.feature.double(), feature, rtol=0, atol=1e-4)
    assert torch.equal(made.ws, code.ws)
    picture = exact.synthesize(ws, styles=moved, feature=feature, at=AT).clamp(-1, 1)  # layers behind K move, too
    torch.testing.assert_close(TINY.picture(made).double(), picture, rtol=0, atol=1e-3)
    assert float((picture - TINY.picture(code)).abs().mean()) > 1e-3


def test_styles_and_w_compose_in_any_order_and_strength_zero_is_nothing(code: Code) -> None:
    vector = torch.nn.functional.normalize(torch.randn(TINY.w_dim, generator=torch.Generator().manual_seed(4)), dim=0)
    w = Direction("w", vector, 1.1, (1, 6), TINY.space)
    moves = [(direction(0), 1.5), (w, -1.0), (direction(1), 0.7)]
    together = feature_edit.edit(TINY, code, moves)
    in_turn = code
    for move in moves[::-1]:
        in_turn = feature_edit.edit(TINY, in_turn, [move])
    for name in ("ws", "styles", "feature"):
        torch.testing.assert_close(getattr(in_turn, name), getattr(together, name), rtol=0, atol=1e-4)
    assert feature_edit.edit(TINY, code, [(direction(0), 0.0)]) is code
    back = feature_edit.edit(TINY, together, [(each, -strength) for each, strength in moves])
    torch.testing.assert_close(back.feature, code.feature, rtol=0, atol=1e-4)


def test_a_code_with_styles_is_cut_and_joined(code: Code) -> None:
    made = feature_edit.edit(TINY, code, [(direction(0), 1.0)])
    again = concatenate([made[0:1], made[1:2]])
    assert made.styles is not None and made.styles.shape == (2, WIDTH) and again.styles is not None
    assert torch.equal(again.styles, made.styles)


def test_the_proxy_head_sees_what_acts_below_it(code: Code) -> None:
    first = torch.zeros(1, WIDTH)
    first[:, :32] = 3.0  # the stem's
    last = torch.zeros(1, WIDTH)
    last[:, -1] = 3.0  # the image's
    plain = PROXY(code.ws)
    assert not torch.allclose(PROXY(code.ws, styles=first), plain) and torch.equal(PROXY(code.ws, styles=last), plain)


def test_a_wrong_number_of_channels_is_named() -> None:
    with pytest.raises(ValueError, match=rf"{WIDTH} style channels"):
        TINY.restyled(TINY.broadcast(TINY.sample(1)), torch.zeros(1, 7))


def test_offsets_are_each_faces_own() -> None:
    one, two = direction(0), direction(1)
    moves = [
        ResolvedEdit(one, Edit("a", 2, track=0)),
        ResolvedEdit(two, Edit("b", -1)),
        ResolvedEdit(two, Edit("b", 0)),
    ]
    found = plan.style_offsets(moves, [0.0, 0.0], [0, 1])
    assert found is not None
    torch.testing.assert_close(found[0], 2 * one.deviation * one.vector - two.deviation * two.vector)
    torch.testing.assert_close(found[1], -two.deviation * two.vector)
    assert plan.style_offsets(moves[2:], [0.0], [0]) is None
    assert not plan.offsets(moves, [0.0, 0.0], [0, 1], SLOTS).any()


def test_it_is_stored_with_its_kind_and_has_no_rows(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path))
    made = direction(0)
    again = directions.read_direction(directions.write_direction(made, directions.own_folder()))
    assert again.kind == "style" and torch.equal(again.vector, made.vector) and again.channels == made.channels
    assert directions.facts(again)["channels"] == made.channels and len(made.channels) == 6
    with pytest.raises(UsageError, match="style channels, not rows"):
        plan.resolve_edit(again, Edit("d0", 1.0, layers=(0, 4)), SLOTS)
    with pytest.raises(ValueError, match="not w"):
        again.offset(1.0, SLOTS)
