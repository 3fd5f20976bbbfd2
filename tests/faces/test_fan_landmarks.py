"""The landmark source `fan`: the package face-alignment, with random weights of the published network's shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from vidinv.errors import WeightsUnavailable
from vidinv.faces.landmarks import FanLandmarks, five_points

pytest.importorskip("face_alignment", reason="the extra [face-alignment] is not installed")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Path]:
    """An empty folder of torch's hub, where the package looks for its weights."""
    before = torch.hub.get_dir()
    torch.hub.set_dir(str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    yield tmp_path / "checkpoints"
    torch.hub.set_dir(before)


@pytest.fixture
def weights(hub: Path) -> Path:
    from face_alignment.models import FAN

    torch.manual_seed(0)
    path = hub / FanLandmarks.FILE
    torch.save(FAN(4).state_dict(), path)
    return path


def test_without_its_weights_it_names_the_folder_and_fetches_nothing(hub: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=str(hub)):
        FanLandmarks()
    assert not list(hub.iterdir())


@pytest.mark.slow
def test_each_box_has_68_points_that_move_with_it(weights: Path) -> None:
    random = np.random.default_rng(0)
    face = random.uniform(0, 255, (96, 96, 3)).astype(np.uint8)
    image = np.zeros((560, 720, 3), np.uint8)
    for x, y in ((180, 180), (420, 280)):
        image[y : y + 96, x : x + 96] = face
    boxes = np.array([[180, 180, 276, 276], [420, 280, 516, 376]], np.float32)
    network = FanLandmarks()
    found = network.detect(image, boxes)
    assert found.shape == (2, 68, 2) and found.dtype == np.float32
    np.testing.assert_allclose(found[1] - found[0], np.broadcast_to([240, 100], (68, 2)), atol=1)
    assert five_points(found[0]).shape == (5, 2)
    assert network.detect(image, boxes[:0]).shape == (0, 68, 2)
    with pytest.raises(ValueError, match="upright"):
        network.detect(image, boxes, rotation=90)
