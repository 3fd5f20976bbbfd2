"""The mask: holes of the parser are closed, and what lies outside the edited region stays outside."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from vidinv.backends import tiny
from vidinv.config import MaskConfig
from vidinv.faces import regions
from vidinv.faces.parser import CLASSES
from vidinv.stages.blend import compose_layers
from vidinv.stages.mask import fill_holes, in_front, region_mask


def test_a_hole_inside_the_face_is_filled_and_nothing_far_outside_is() -> None:
    y, x = np.mgrid[:128, :128] - 64
    face = (x / 30) ** 2 + (y / 40) ** 2 < 1
    holed = face & ~(x**2 + (y - 5) ** 2 < 8**2)
    filled = fill_holes(holed)
    assert filled[face].all()
    assert not filled[(x / 35) ** 2 + (y / 45) ** 2 > 1].any()


def test_what_lies_before_the_face_stays_there() -> None:
    labels = tiny.parse(torch.zeros(1, 3, 8, 8), 128)[0]
    hand = np.zeros((128, 128), bool)
    hand[70:90, :80] = True  # from the left, over the mouth
    covered = np.where(hand, CLASSES.index("background"), labels).astype(np.uint8)
    mask = region_mask(covered, labels, "face", 128, SETTINGS)
    open_mask = region_mask(labels, labels, "face", 128, SETTINGS)
    assert open_mask.alpha[80, 60] > 0.99 and mask.alpha[77:83, 30:70].max() < 0.05
    assert mask.alpha[60, 64] > 0.99  # the nose above it


def test_a_small_hole_of_the_parser_is_not_in_front() -> None:
    labels = tiny.parse(torch.zeros(1, 3, 8, 8), 128)[0]
    labels[62:66, 60:64] = CLASSES.index("background")
    assert not in_front(labels).any()


def test_no_face_stays_no_face() -> None:
    assert not fill_holes(np.zeros((64, 64), bool)).any()


PARSED = tiny.parse(torch.zeros(1, 3, 8, 8), 128)[0]
SETTINGS = MaskConfig()


def test_a_part_reaches_around_itself_and_no_farther() -> None:
    mouth = np.isin(PARSED, regions.REGIONS["mouth"])
    mask = region_mask(PARSED, PARSED, "mouth", 128, SETTINGS)
    assert mask.alpha[mouth].min() > 0.99 and mask.skin_cover > 0.99
    far = cv2.distanceTransform((~mouth).astype(np.uint8), cv2.DIST_L2, 5) > 0.13 * 128
    assert mask.alpha[far].max() < 1e-3 and mask.alpha.mean() < 0.15


def test_the_head_has_hair_and_the_face_has_none() -> None:
    hair = np.isin(PARSED, regions.REGIONS["hair"])
    face, head = (region_mask(PARSED, PARSED, name, 128, SETTINGS) for name in ("face", "head"))
    assert head.alpha[hair].mean() > 0.9 > 0.6 > face.alpha[hair].mean()


def test_what_the_edit_draws_is_covered_too() -> None:
    lower = np.roll(PARSED, 20, 0)
    mask = region_mask(PARSED, lower, "mouth", 128, SETTINGS)
    assert mask.alpha[np.isin(lower, regions.REGIONS["mouth"])].min() > 0.99


def test_a_part_that_is_not_seen_changes_nothing() -> None:
    assert not region_mask(PARSED, PARSED, "eyes", 128, SETTINGS).alpha.any()


def test_hair_is_a_ring_and_not_what_it_encloses() -> None:
    hair = np.isin(PARSED, regions.REGIONS["hair"])
    mask = region_mask(PARSED, PARSED, "hair", 128, SETTINGS)
    assert mask.alpha[hair].mean() > 0.9
    assert mask.alpha[np.isin(PARSED, regions.REGIONS["mouth"])].mean() < 1e-2


def layer(value: float, weight: float) -> tuple[torch.Tensor, np.ndarray]:  # type: ignore[type-arg]
    return torch.full((3, 4, 4), value), np.full((4, 4), weight, np.float32)


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        # source 0, inversion 0.1; each step is weight * (picture - what lies below)
        ("replace", 0.5 * 0.4 + 0.25 * (0.8 - 0.5 * 0.4)),
        ("residual", 0.5 * (0.4 - 0.1) + 0.25 * (0.8 - 0.4)),
    ],
)
def test_layers_lie_over_each_other(mode: str, wanted: float) -> None:
    source, inversion = torch.zeros(3, 4, 4), torch.full((3, 4, 4), 0.1)
    delta, where = compose_layers(source, inversion, [layer(0.4, 0.5), layer(0.8, 0.25)], mode, 1.0)
    assert delta == pytest.approx(np.full((4, 4, 3), wanted / 2), abs=1e-6) and where.all()
    nothing, nowhere = compose_layers(source, inversion, [layer(0.4, 0.5)], mode, 0.0)
    assert not nothing.any() and not nowhere.any()
