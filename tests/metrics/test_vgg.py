"""VGG16 as a classifier in two parts: its size and shapes, and what a file of other tensors is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vidinv.errors import WeightsUnavailable
from vidinv.metrics.vgg import VGG16, load_vgg16


def test_it_has_the_published_size_and_the_last_convolutions_maps() -> None:
    with torch.device("meta"):
        network = VGG16()
        maps = network.maps(torch.zeros(2, 3, 256, 256))
        assert maps.shape == (2, 512, 14, 14) and network.scores(maps).shape == (2, 1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == 138_357_544
    names = list(network.state_dict())
    assert names[:2] == ["features.0.weight", "features.0.bias"] and names[-1] == "classifier.6.bias"
    assert "features.28.weight" in names and "features.29.weight" not in names


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vgg16.pth"
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsUnavailable):
        load_vgg16(path)
