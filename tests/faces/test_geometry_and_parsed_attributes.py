"""What shapes and parsed crops say of a face, on shapes and labels drawn by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vidinv.faces import geometry, parsed_attributes
from vidinv.faces.landmarks import TO_68
from vidinv.faces.parser import CLASSES


def face(gap: float = 0.0, lids: float = 0.3, jaw: float = 1.0) -> NDArray[np.float64]:
    """106 landmarks [106,2] of a face 2 wide at the jaw and 2 high below the eyes, mouth and eyes 1 and 0.4 wide."""
    p68 = np.zeros((68, 2))
    p68[:17] = np.stack([np.linspace(-1, 1, 17) * jaw, np.linspace(0, 0, 17)], 1)
    p68[4], p68[12], p68[8] = (-jaw, 1), (jaw, 1), (0, 2)
    for first, x in ((36, -0.6), (42, 0.2)):
        p68[first], p68[first + 3] = (x, 0), (x + 0.4, 0)
        p68[[first + 1, first + 2]] = [(x + 0.1, -lids * 0.2), (x + 0.3, -lids * 0.2)]
        p68[[first + 5, first + 4]] = [(x + 0.1, lids * 0.2), (x + 0.3, lids * 0.2)]
    p68[48], p68[54] = (-0.5, 1), (0.5, 1)
    p68[[61, 62, 63]] = [(-0.2, 1), (0, 1), (0.2, 1)]
    p68[[67, 66, 65]] = [(-0.2, 1 + gap), (0, 1 + gap), (0.2, 1 + gap)]
    points = np.zeros((106, 2))
    points[list(TO_68)] = p68
    return points


def turned(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same face elsewhere, larger, and tilted."""
    return points @ (3 * np.array([[0.8, 0.6], [-0.6, 0.8]])) + 40


@pytest.mark.parametrize("place", [lambda points: points, turned])
def test_shapes_are_measured_in_the_faces_own_size(place) -> None:  # type: ignore[no-untyped-def]
    shapes = np.stack([place(face(gap=0.4)), place(face(lids=0.5)), place(face(jaw=1.2))])
    assert geometry.mouth_open(shapes) == pytest.approx([0.4, 0, 0], abs=1e-9)
    assert geometry.eyes_open(shapes) == pytest.approx([0.3, 0.5, 0.3])
    assert geometry.fullness(shapes) == pytest.approx([1, 1, 1.2])


def test_pressed_lips_overlap() -> None:
    pressed = np.stack([turned(face(gap=-0.1)), turned(face(gap=-0.3))])
    assert geometry.mouth_open(pressed) == pytest.approx([-0.1, -0.3], abs=1e-9)


@pytest.mark.weights
def test_a_gradient_of_the_landmarks_opens_the_mouth() -> None:
    from vidinv.faces.landmarks import load_landmarks
    from vidinv.generators import registry

    generator, points, box = (
        registry.load_generator("mobile-stylegan-ffhq-1024"),
        load_landmarks(),
        np.array([112, 143, 399, 440.0]),
    )
    w = generator.sample(1, seed=4)
    image = generator.synthesize(generator.broadcast(w), size=512).detach().clamp(-1, 1).requires_grad_()
    found = points.of_crops(image, box)
    pixels = ((image[0].detach() + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
    assert np.abs(found.detach().numpy() - points.detect(pixels, box[None])).max() < 0.5
    (gradient,) = torch.autograd.grad(geometry.opening(found).sum(), image)
    raised = (image + 20 * gradient).detach()
    assert float(geometry.opening(points.of_crops(raised, box))) > float(geometry.opening(found.detach()))


def labels(**where: tuple[slice, slice]) -> torch.Tensor:
    """One crop of skin with other classes on parts of it: [1,100,100]."""
    found = torch.full((1, 100, 100), CLASSES.index("skin"), dtype=torch.uint8)
    for name, part in where.items():
        found[0][part] = CLASSES.index(name)
    return found


def test_hair_is_found_where_it_lies() -> None:
    fringe = labels(hair=(slice(0, 28), slice(0, 100)))  # half of the forehead's box
    assert (
        float(parsed_attributes.bangs(fringe)) == pytest.approx(0.5, abs=0.01)
        and float(parsed_attributes.hair_length(fringe)) == 0
    )
    long = labels(hair=(slice(62, 100), slice(0, 25)))
    assert (
        float(parsed_attributes.hair_length(long)) == pytest.approx(0.25) and float(parsed_attributes.bangs(long)) == 0
    )


def test_shades_are_those_of_their_parts_and_unknown_without_them() -> None:
    image = torch.zeros(1, 3, 100, 100)  # grey: luma 0.5
    image[:, :, :28] = 0.6  # luma 0.8
    image[:, :, 66:92, 34:66] = -0.4  # a dark jaw, luma 0.3
    parsed = labels(hair=(slice(0, 28), slice(0, 100)))
    assert float(parsed_attributes.hair_lightness(image, parsed)) == pytest.approx(0.8, abs=1e-5)
    assert float(parsed_attributes.beard(image, parsed)) == pytest.approx(0.2, abs=1e-5)
    assert torch.isnan(parsed_attributes.hair_lightness(image, labels())).all()


def test_painted_lips_are_redder_than_the_skin() -> None:
    image = torch.zeros(1, 3, 100, 100)
    image[:, 0, 70:80, 40:60] = 0.4
    parsed = labels(lip_lower=(slice(70, 80), slice(40, 60)))
    assert float(parsed_attributes.makeup(image, parsed)) == pytest.approx(0.2, abs=1e-5)


def test_glasses_are_a_share_of_the_crop() -> None:
    assert float(parsed_attributes.glasses_area(labels(glasses=(slice(40, 50), slice(0, 100))))) == pytest.approx(0.1)
