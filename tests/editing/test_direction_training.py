"""A lesson on a generator whose pictures say their w: the planted attribute is found, freed, placed and calibrated."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from vidinv.editing import direction_training
from vidinv.editing.direction_training import Lesson, MeasuredSamples, RenderContext
from vidinv.frames import Array, Code
from vidinv.generators import mobile_stylegan

TINY = mobile_stylegan.tiny()
AGE, GLOW = (
    torch.nn.functional.normalize(torch.randn(TINY.w_dim, generator=torch.Generator().manual_seed(k)), dim=0)
    for k in (0, 1)
)
SLOTS = TINY.num_ws


def paint(code: Code) -> Tensor:
    """A "picture" that holds what w+ says: age in the first four rows, glow in all, both in the corner pixels."""
    ws = code.ws
    held = torch.zeros(len(ws), 3, 8, 8)
    held[:, 0, 0, 0] = (ws[:, :4].mean(1) - TINY.w_avg) @ AGE / 20
    held[:, 1, 0, 0] = (ws.mean(1) - TINY.w_avg) @ GLOW / 20
    return held


def measure(pictures: Tensor) -> dict[str, Array]:
    age, glow = 40 + 200 * pictures[:, 0, 0, 0], 200 * pictures[:, 1, 0, 0]
    return {"age": age.numpy(), "glow": glow.numpy()}


def embed(pictures: Tensor) -> Tensor:
    return torch.nn.functional.normalize(torch.cat([torch.ones(len(pictures), 1), pictures[:, :2, 0, 0]], 1), dim=1)


STUDIO = RenderContext(TINY, paint, measure, embed)


@pytest.fixture(scope="module")
def readings() -> MeasuredSamples:
    return direction_training.measure_samples(STUDIO, direction_training.samples(TINY, 1200, seed=3))


def test_every_sample_is_read_and_counted() -> None:
    told: list[int] = []
    found = direction_training.measure_samples(STUDIO, direction_training.samples(TINY, 10, seed=0), told.append)
    assert sum(told) == 10 and found.scores["age"].shape == (10,) and found.w.shape == (10, TINY.w_dim)


@pytest.mark.parametrize("method", ["ridge", "boundary"])
def test_the_attribute_is_found_freed_and_calibrated(readings: MeasuredSamples, method: str) -> None:
    wanted = Lesson("age", "years", method, free_of=("glow",))
    direction = direction_training.fit(wanted, readings, direction_training.others(wanted, {}, readings), TINY)
    glow = direction_training.normal(Lesson("glow", ""), readings)
    assert abs(float(direction.vector @ glow)) < 1e-5
    assert float(direction.vector @ AGE) > 0.6
    fresh, spreads = direction_training.samples(TINY, 6, seed=9), direction_training.spreads_of(readings)
    done = direction_training.calibrate(direction, "years", STUDIO, fresh, spreads)
    step = direction.deviation * direction.vector
    assert done.calibration["years"] == pytest.approx(10 * float(step @ AGE), rel=0.02)  # 200 / 20
    assert done.leak == {"glow": pytest.approx(10 * float(step @ GLOW) / spreads["glow"], abs=2e-3)}
    assert set(done.kept) == {"-2", "-1", "+1", "+2"} and done.kept["+2"] <= done.kept["+1"] <= 1


def test_the_rows_are_those_where_it_works_and_leaks_least(readings: MeasuredSamples) -> None:
    direction = direction_training.fit(Lesson("age", "years", "ridge"), readings, [], TINY)
    entangled = torch.nn.functional.normalize(AGE + GLOW, dim=0)
    blended = direction.__class__(**{**direction.__dict__, "vector": entangled})
    found = direction_training.choose_rows(
        blended, STUDIO, direction_training.samples(TINY, 6, seed=9), direction_training.spreads_of(readings)
    )
    assert found.layers == (0, 4)  # age lies there; the rows after it would only add glow


def test_what_is_not_known_is_left_out(readings: MeasuredSamples) -> None:
    score = readings.scores["age"].clone()
    score[::2] = np.nan
    holes = MeasuredSamples(readings.w, {**readings.scores, "age": score})
    assert len(holes.known("age").w) == 600 and len(holes.known("glow").w) == 1200
    assert float(direction_training.normal(Lesson("age", "", "ridge"), holes) @ AGE) > 0.6
    assert np.isfinite(direction_training.spreads_of(holes)["age"])


def test_a_rare_attribute_is_learned_from_means(readings: MeasuredSamples) -> None:
    has = (readings.scores["age"] > readings.scores["age"].quantile(0.9)).float()
    rare = MeasuredSamples(readings.w, {"worn": has})
    assert float(direction_training.normal(Lesson("worn", "", "difference"), rare) @ AGE) > 0.5


def test_codes_of_photos_teach_row_by_row() -> None:
    random = torch.Generator().manual_seed(5)
    codes = TINY.w_avg + torch.randn(300, SLOTS, TINY.w_dim, generator=random)
    told = (codes[:, 2] - codes[:, 5]) @ AGE  # two rows of w+ that say it in opposite ways
    direction = direction_training.fit(Lesson("age", "", "ridge"), MeasuredSamples(codes, {"age": told}), [], TINY)
    assert direction.vector.shape == (SLOTS, TINY.w_dim)
    along = direction.vector @ AGE
    assert float(along[2]) > 0.4 and float(along[5]) < -0.4 and float(along[[0, 1, 3, 4, 6, 7]].abs().max()) < 0.1
    other = torch.nn.functional.normalize(torch.randn(SLOTS * TINY.w_dim, generator=random), dim=0).view(SLOTS, -1)
    freed = direction_training.fit(Lesson("age", "", "ridge"), MeasuredSamples(codes, {"age": told}), [other], TINY)
    assert abs(float((freed.vector * other).sum())) < 1e-5 < abs(float((direction.vector * other).sum()))


def test_strength_one_of_uneven_rows_is_a_deviation_of_the_samples_on_the_chosen_rows() -> None:
    vector = torch.stack([(row + 1) * AGE for row in range(SLOTS)])
    vector = vector / vector.norm()
    made = direction_training.Direction("age", vector, 1.0, (0, SLOTS), TINY.space)
    found = direction_training.choose_rows(
        made, STUDIO, direction_training.samples(TINY, 6, seed=9), {"age": 10.0, "glow": 10.0}
    )
    first, last = found.layers
    step = found.offset(1.0, SLOTS).double()
    unit = vector[first:last].double() / vector[first:last].double().norm()
    samples = TINY.sample(10_000, seed=13).double()
    assert float((step[first:last] * unit).sum()) == pytest.approx(float((samples @ unit.sum(0)).std()), rel=1e-4)


def test_what_nothing_measures_is_learned_and_not_calibrated(readings: MeasuredSamples) -> None:
    scored = MeasuredSamples(readings.w, {**readings.scores, "charm": readings.scores["age"]})
    wanted, fresh = Lesson("charm", "points", "ridge"), direction_training.samples(TINY, 4, seed=9)
    direction = direction_training.learn_direction(wanted, {}, scored, STUDIO, fresh)
    assert direction.calibration == {} and direction.layers == (0, SLOTS)
    assert float(direction.vector @ AGE) > 0.6 and direction.leak["age"] > 0.5 and direction.kept["+2"] < 1
