"""Decoding, suppression and rotated frames, on made-up network outputs."""

import numpy as np
import pytest

from vidinv.faces import detector


def test_decode_places_boxes_and_points_on_the_anchor_grid():
    size = 64
    counts = [2 * (size // stride) ** 2 for stride in detector.STRIDES]
    outputs = [np.zeros((n, width), np.float32) for width in (1, 4, 10) for n in counts]
    cell = 2 * (3 * 8 + 5) + 1  # stride 8, row 3, column 5, second anchor
    outputs[0][cell] = 0.9
    outputs[3][cell] = (1, 2, 3, 4)
    outputs[6][cell] = np.tile((0.5, -0.5), 5)
    boxes, scores, points = detector.decode(outputs, size, 0.5)
    np.testing.assert_allclose(boxes, [(40 - 8, 24 - 16, 40 + 24, 24 + 32)])
    np.testing.assert_allclose(scores, [0.9])
    np.testing.assert_allclose(points, [[(44, 20)] * 5])


def test_suppression_keeps_the_best_of_overlapping_boxes():
    boxes = np.array([(0, 0, 10, 10), (1, 0, 11, 10), (50, 50, 60, 60)], np.float32)
    assert detector.suppress(boxes, np.array([0.6, 0.9, 0.7]), 0.4).tolist() == [1, 2]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270, -90])
def test_points_found_upright_map_back_to_the_coded_frame(rotation):
    coded = np.zeros((5, 8))
    coded[1, 6] = 1
    upright = np.rot90(coded, (rotation // 90) % 4)
    y, x = np.argwhere(upright)[0]
    np.testing.assert_array_equal(detector.coded_points(np.array([x, y]), rotation, 8, 5), (6, 1))


def test_float_images_mean_the_same_as_bytes():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(detector.to_bytes(image.astype(np.float32) / 127.5 - 1), image)
