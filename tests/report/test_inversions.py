"""The table of inversions on tiny networks, where the right answers are known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from torch import Tensor, nn

from vidinv.backends.tiny import PooledPixels, guides
from vidinv.config import Effort
from vidinv.frames import Code
from vidinv.generators import mobile_stylegan
from vidinv.report import inversions
from vidinv.report.inversions import Face

METHODS = ("encoder", "refined", "optimised")


class Knowing(nn.Module):
    """An encoder that answers with one code."""

    def __init__(self, code: Code) -> None:
        super().__init__()
        self.code = code

    def forward(self, image: Tensor) -> Code:
        return self.code


@pytest.fixture(scope="module")
def setting() -> tuple[inversions.Networks, Tensor]:
    """Networks whose encoder knows the face exactly, and that face."""
    generator = mobile_stylegan.tiny()
    ws = generator.broadcast(generator.sample(1, seed=2)).clone()
    code = Code(ws, generator.synthesize(ws, stop=2), 2, space=generator.space)
    face = generator.synthesize(ws, size=generator.sizes[0]).clamp(-1, 1)
    networks = inversions.Networks(generator, Knowing(code), guides(), PooledPixels())  # type: ignore[arg-type]
    return networks, face


def table(setting: tuple[inversions.Networks, Tensor], names: list[str], shown: list[int]) -> dict[str, Any]:
    networks, face = setting
    faces = [Face(name, face) for name in names]
    hear = lambda name, row: shown.append(len(row))  # noqa: E731
    return inversions.evaluate(networks, faces, METHODS, Effort(1, 1), 5, hear)


def test_a_perfect_encoder_is_better_than_an_optimisation_cut_short(
    setting: tuple[inversions.Networks, Tensor],
) -> None:
    shown: list[int] = []
    found = table(setting, ["a.png", "b.png"], shown)
    assert set(found) == set(METHODS) and shown == [4, 4]
    assert found["encoder"]["n"] == 2 and "ic" not in found["encoder"]
    assert found["encoder"]["id"] == pytest.approx(1, abs=1e-3) and found["encoder"]["mse"] < 1e-4
    assert found["optimised"]["psnr"] < found["encoder"]["psnr"]


def test_frames_of_one_clip_have_a_consistency(setting: tuple[inversions.Networks, Tensor]) -> None:
    found = table(setting, ["clip.mp4"] * 3, [])
    assert found["source"] == {"ic": pytest.approx(1, abs=1e-3)}
    assert found["encoder"]["ic"] == pytest.approx(1, abs=1e-3)


class Colours(nn.Module):
    """Mean colours stand for features."""

    num_features = 3

    def forward(self, image: Tensor) -> Tensor:
        return image.mean((2, 3))


def test_several_faces_have_a_frechet_distance_and_the_better_method_the_smaller(
    setting: tuple[inversions.Networks, Tensor],
) -> None:
    networks, face = setting
    judged = replace(networks, features=Colours())
    faces = [Face("a", face), Face("b", face)]
    found = inversions.evaluate(judged, faces, ["encoder", "optimised"], Effort(), 2, lambda *_: None)
    assert found["encoder"]["frechet_mobilenet_v2"] < found["optimised"]["frechet_mobilenet_v2"]
    alone = inversions.evaluate(judged, faces[:1], ["encoder"], Effort(), 2, lambda *_: None)
    assert "frechet_mobilenet_v2" not in alone["encoder"]


def test_a_stored_code_is_judged_by_its_picture(setting: tuple[inversions.Networks, Tensor]) -> None:
    networks, face = setting
    right = networks.encoder(face)
    wrong = replace(right, ws=right.ws + 1)
    for code, perfect in ((right, True), (wrong, False)):
        found = inversions.evaluate(networks, [Face("a", face, code)], ["stored"], Effort(), 2, lambda *_: None)
        assert (found["stored"]["mse"] < 1e-4) is perfect
    with pytest.raises(ValueError, match="no code is stored"):
        inversions.evaluate(networks, [Face("a", face)], ["stored"], Effort(), 2, lambda *_: None)
