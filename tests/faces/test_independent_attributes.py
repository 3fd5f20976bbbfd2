"""What other networks than the labels' say of a face, on regions and points drawn by hand, and against the meter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vidinv.faces import attribute_meter, independent_attributes
from vidinv.faces.parser import CLASSES

SIDE = 100


def test_the_witness_sees_attributes_of_the_meter() -> None:
    assert set(independent_attributes.UNITS) <= set(attribute_meter.UNITS) == set(attribute_meter.SPREADS)


def labels(gap: int = 0, half: int = 10, lift: int = 0, lids: int = 0, jaw: int = 20) -> torch.Tensor:
    """One crop [1,100,100]: a face `2 * jaw` wide from row 20 to 89, eyes at row 40, a mouth `2 * half` wide at row 70.

    The lips are 3 rows each around a `gap`; the mouth's outer fifth on either side lies `lift` rows higher.
    """
    found = torch.zeros((1, SIDE, SIDE), dtype=torch.uint8)
    found[0, 20:90, 50 - jaw : 50 + jaw] = CLASSES.index("skin")
    for name, x in (("eye_left", 40), ("eye_right", 60)):
        found[0, 40 : 40 + lids, x - 4 : x + 4] = CLASSES.index(name)
    for x in range(50 - half, 50 + half):
        top = 70 - (lift if abs(x + 0.5 - 50) > 0.6 * half else 0)
        for name, first, last in (("lip_upper", 0, 3), ("mouth", 3, 3 + gap), ("lip_lower", 3 + gap, 6 + gap)):
            found[0, top + first : top + last, x] = CLASSES.index(name)
    return found


def test_a_mouth_is_open_by_its_gap_over_its_width() -> None:
    assert float(independent_attributes.mouth_open(labels(gap=5))) == pytest.approx(5 / 20)
    assert float(independent_attributes.mouth_open(labels())) == 0


def test_a_smile_is_wider_and_its_corners_are_higher() -> None:
    assert float(independent_attributes.smile(labels())) == pytest.approx(0.2, abs=1e-6)
    assert float(independent_attributes.smile(labels(half=15))) == pytest.approx(0.3, abs=1e-6)
    assert float(independent_attributes.smile(labels(lift=4))) == pytest.approx(0.2 + 2 * 0.04, abs=1e-6)
    assert float(independent_attributes.smile(labels(gap=6))) == pytest.approx(
        0.2, abs=1e-6
    )  # an open mouth is no smile


def test_lids_and_jaw_are_measured() -> None:
    assert float(independent_attributes.eyes_open(labels(lids=6))) == pytest.approx(0.06)
    assert float(independent_attributes.eyes_open(labels())) == 0
    assert float(independent_attributes.fullness(labels(jaw=30))) == pytest.approx(0.6 / (0.895 - 0.4776), rel=1e-4)


def test_a_face_without_a_mouth_is_not_judged_by_it() -> None:
    bare = torch.full((1, SIDE, SIDE), CLASSES.index("skin"), dtype=torch.uint8)
    for judge in (independent_attributes.mouth_open, independent_attributes.smile, independent_attributes.fullness):
        assert torch.isnan(judge(bare)).all()


def five(turn: float, nod: float) -> NDArray[np.float64]:
    """Eyes, nose and mouth corners of a head 2 wide and 2 high, its nose 1 before it, turned by radians: [1,5,2]."""
    head = np.array([(-1, -1, 0), (1, -1, 0), (0, 0, 1), (-0.8, 1, 0), (0.8, 1, 0)], float)  # x right, y down, z nearer
    yawed = head @ np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    nodded = yawed @ np.array([[1, 0, 0], [0, np.cos(nod), np.sin(nod)], [0, -np.sin(nod), np.cos(nod)]])
    tilt = 0.3  # the picture is rolled, larger and elsewhere
    rolled = nodded[:, :2] @ (40 * np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]]))
    return (rolled + 70)[None]


def test_the_nose_tells_where_a_head_turns() -> None:
    for turn in (-0.4, 0.0, 0.4):
        expected = np.sin(turn) / (2 * np.cos(turn))  # the nose's way over the eyes' distance
        assert independent_attributes.yaw(five(turn, 0)) == pytest.approx(expected, abs=1e-9)
    down, straight, up = (float(independent_attributes.pitch(five(0, nod))[0]) for nod in (-0.3, 0.0, 0.3))
    assert straight == pytest.approx(0.5) and down < straight < up


@pytest.mark.slow
@pytest.mark.weights
def test_both_see_the_same_faces_alike() -> None:
    from vidinv.editing import direction_training
    from vidinv.faces.attribute_meter import load_meter
    from vidinv.generators import proxy, registry

    generator = registry.load_generator("mobile-stylegan-ffhq-1024")
    draw = proxy.load_proxy(generator, 256)
    with torch.inference_mode():
        crops = draw(generator.broadcast(direction_training.samples(generator, 16, seed=99))).clamp(-1, 1)
    first, second = load_meter().measure(crops), independent_attributes.load_independent_meter().measure(crops)
    for name, least in (("yaw", 0.9), ("mouth_open", 0.7), ("smile", 0.6)):
        assert np.corrcoef(first[name], second[name])[0, 1] > least, name
