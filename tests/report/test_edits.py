"""The table of edits on a tiny generator, with scorers whose right answers are known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vidinv.backends.tiny import MeanDifference, embed
from vidinv.editing.directions import Direction
from vidinv.frames import Code
from vidinv.generators import mobile_stylegan
from vidinv.report import edits, published_baselines, tables
from vidinv.report.inversions import Face

Array = NDArray[Any]
GENERATOR = mobile_stylegan.tiny()


def direction(name: str, index: int) -> Direction:
    """Along one coordinate of w."""
    vector = torch.eye(GENERATOR.w_dim)[index]
    return Direction(name, vector, 0.5, (0, GENERATOR.num_ws), GENERATOR.space, calibration={"points": 1.0})


def code(seed: int) -> Code:
    ws = GENERATOR.broadcast(GENERATOR.sample(1, seed=seed)).clone()
    return Code(ws, GENERATOR.synthesize(ws, stop=2).detach(), 2, space=GENERATOR.space)


class Sheet:
    """Draws a code as a picture that carries w's first coordinates, so that a scorer can read them back."""

    def __call__(self, code: Code) -> Tensor:
        picture = torch.zeros(len(code), 3, 256, 256)
        picture[:, 0, 0, :8] = code.ws[:, 0, :8]
        return picture


def read(index: int) -> Any:
    return lambda pictures: pictures[:, 0, 0, index].numpy()


def judges(**others: Any) -> edits.EditEvaluators:
    """Age is coordinate 0, smile the absolute of coordinate 1 about the code's own, both in plain numbers."""

    def measure(pictures: Tensor) -> dict[str, Array]:
        return {"age": read(0)(pictures), "smile": -np.abs(read(1)(pictures)), "beard": 2 * read(0)(pictures)}

    given: dict[str, Any] = {
        "generator": GENERATOR,
        "draw": Sheet(),
        "measure": measure,
        "second": lambda pictures: {"age": 3 * read(0)(pictures)},
        "seen_twice": ("age",),
        "spreads": {"age": 1.0, "smile": 1.0, "beard": 0.5},
        "identity": {"id": embed, "id_other": embed},
    }
    return edits.EditEvaluators(**{**given, **others})


def table(names: list[str], shown: list[int] | None = None, **others: Any) -> dict[str, Any]:
    faces = [(Face(name, torch.zeros(1, 3, 256, 256)), code(seed)) for seed, name in enumerate(names)]
    hear = (lambda name, row: shown.append(len(row))) if shown is not None else (lambda name, row: None)
    return edits.evaluate(judges(**others), faces, [direction("age", 0), direction("smile", 1)], [], hear)


def test_what_rises_is_told_from_what_does_not() -> None:
    shown: list[int] = []
    found = table(["a.png", "b.png", "c.png"], shown)
    age, smile = found["edits"]["age"], found["edits"]["smile"]
    assert (found["files"], found["faces"], shown) == (3, 3, [6, 6, 6])
    assert age["scorer"]["rises"] == 3 and age["second"]["rises"] == 3
    assert smile["scorer"]["rises"] < 3 and smile["second"] is None
    w = torch.cat([code(seed).ws[:, 0, 0] for seed in range(3)]).mean()
    for strength, value in age["scorer"]["mean"].items():
        assert value == pytest.approx(float(w) + 0.5 * float(strength), rel=1e-3, abs=1e-3)
    assert age["moves"] == pytest.approx(2.0, rel=1e-3)


def test_a_leak_is_counted_in_standard_deviations_per_unit() -> None:
    leak = table(["a.png", "b.png"])["edits"]["age"]["leak"]
    assert leak == {"smile": pytest.approx(0, abs=1e-6), "beard": pytest.approx(0.5 * 2 / 0.5, rel=1e-3)}


def test_a_random_direction_is_as_long_and_moves_the_scorer_less() -> None:
    found = table([f"{n}.png" for n in range(6)])["edits"]["age"]
    assert 0 < found["random"]["moves"] < found["moves"] and found["random"]["rises"] < 6


def test_the_frames_of_a_clip_are_one_value() -> None:
    found = table(["clip.mp4", "clip.mp4", "a.png"])
    assert (found["files"], found["faces"]) == (2, 3)
    clip, picture = (torch.stack([code(seed).ws[0, 0, 0] for seed in seeds]).mean() for seeds in ((0, 1), (2,)))
    expected = float((clip + picture) / 2) + 0.5
    assert found["edits"]["age"]["scorer"]["mean"]["+1"] == pytest.approx(expected, rel=1e-3)
    assert found["edits"]["age"]["scorer"]["rises"] == 2


@pytest.mark.parametrize(
    ("values", "strictly", "but_for_noise"),
    [
        ([0, 1, 2, 3], True, True),
        ([0, 0, 0, 1], True, True),
        ([0, 0, 0, 0], False, False),  # what does not move does not rise
        ([0.04, 0, 2, 3], False, True),
        ([0, 1, 0.5, 3], False, False),
        ([0, 1, np.nan, 3], False, False),
    ],
)
def test_to_rise_is_never_to_fall(values: list[float], strictly: bool, but_for_noise: bool) -> None:
    row = np.array([values])
    assert bool(edits.rises(row)[0]) is strictly and bool(edits.rises(row, 0.05)[0]) is but_for_noise


def test_what_nothing_sees_is_null_in_the_json() -> None:
    hidden = table(["a.png"], measure=lambda x: dict.fromkeys(("age", "smile", "beard"), np.full(len(x), np.nan)))
    assert hidden["edits"]["age"]["scorer"]["rises"] == 0
    assert hidden["edits"]["age"]["scorer"]["mean"]["-2"] is None and hidden["inversion"]["age"] is None
    json.dumps(hidden, allow_nan=False)
    assert "?" in "\n".join(tables.edit_tables(hidden))


class Colours(nn.Module):
    """Mean colours stand for features."""

    num_features = 3

    def forward(self, image: Tensor) -> Tensor:
        return image.mean((2, 3))


def test_a_paper_is_followed_with_the_edits_that_are_there() -> None:
    tallies = published_baselines.tallies(MeanDifference(), Colours())
    faces = [(Face(name, torch.zeros(1, 3, 256, 256)), code(seed)) for seed, name in enumerate("ab")]
    edits.evaluate(judges(), faces, [direction("age", 0), direction("smile", 1)], tallies, lambda *_: None)
    found = published_baselines.summaries(tallies, "frechet_colours")
    style, tuning = (found[protocol.name] for protocol in published_baselines.PROTOCOLS)
    assert style["edited_by"] == ["smile"] and style["left_out"] == ["gender", "makeup", "eyeglasses"]
    assert tuning["edited_by"] == ["age", "smile"] and (style["pictures"], tuning["pictures"]) == (2, 4)
    pictures = [Sheet()(edits.feature_edit.edit(GENERATOR, c, [(direction("smile", 1), 1.0)])) for _, c in faces]
    expected = [10 * np.log10(4 / float(picture.square().mean())) for picture in pictures]
    assert style["psnr"] == pytest.approx(np.mean(expected), rel=1e-3)
    assert style["frechet_colours"] >= 0 and "FID 27.45" in "\n".join(tables.protocol_table("a paper", style))


def test_a_protocol_of_sets_alone_says_what_it_takes() -> None:
    tallies = published_baselines.tallies(MeanDifference(), None)
    faces = [(Face("a", torch.zeros(1, 3, 256, 256)), code(0))]
    edits.evaluate(judges(), faces, [direction("smile", 1)], tallies, lambda *_: None)
    style, tuning = published_baselines.summaries(tallies, "frechet_colours").values()
    assert "--frechet" in tables.protocol_table("sets", style)[0] and len(tables.protocol_table("sets", style)) == 1
    assert "FID" not in "\n".join(tables.protocol_table("pairs", tuning)) and "18.28" in "\n".join(
        tables.protocol_table("", tuning)
    )


def test_the_tables_are_markdown_of_one_width() -> None:
    for lines in (tables.score_table(table(["a.png"])), tables.identity_table(table(["a.png"]))):
        assert len({len(line) for line in lines}) == 1 and len({line.count("|") for line in lines}) == 1
        assert lines[2].startswith("| age") and set(lines[1]) == set("|- ")
