"""The losses on features: zero on equals, the cosine's own values, and where gradients go."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vidinv.losses.feature import feature_reconstruction
from vidinv.losses.parsing import multi_layer_parsing


class Halves:
    """Two taps: the picture's two channel halves."""

    def taps(self, image: Tensor) -> tuple[Tensor, ...]:
        return image[:, :2], image[:, 2:]


def test_parsing_sums_one_minus_cosine_over_the_taps() -> None:
    a = torch.zeros(1, 4, 1, 1)
    b = torch.zeros(1, 4, 1, 1)
    a[0, :, 0, 0] = torch.tensor([1.0, 0, 1, 0])
    b[0, :, 0, 0] = torch.tensor([0.0, 1, 3, 3])  # 90 degrees apart, then 45
    expected = (1 - 0) + (1 - 2**-0.5)
    assert float(multi_layer_parsing(Halves(), a, b)) == pytest.approx(expected, abs=1e-6)
    assert float(multi_layer_parsing(Halves(), a, a)) == pytest.approx(0, abs=1e-6)


def test_parsing_refuses_two_shapes() -> None:
    with pytest.raises(ValueError, match="4, 2, 2"):
        multi_layer_parsing(Halves(), torch.zeros(1, 4, 2, 2), torch.zeros(1, 4, 1, 1))


@pytest.mark.parametrize("stop", [False, True])
def test_feature_reconstruction_reaches_w_unless_stopped(stop: bool) -> None:
    feature, own = torch.ones(1, 2, 2, 2, requires_grad=True), torch.full((1, 2, 2, 2), 3.0, requires_grad=True)
    loss = feature_reconstruction(feature, own, stop_gradient=stop)
    loss.backward()
    assert float(loss.detach()) == 4 and feature.grad is not None
    assert (own.grad is None) == stop


@pytest.mark.weights
def test_the_real_parser_tells_another_face_from_the_same_one() -> None:
    from vidinv.faces.parser import load_parser
    from vidinv.generators import registry

    generator, parser = registry.load_generator("mobile-stylegan-ffhq-1024"), load_parser()
    with torch.no_grad():
        ws = generator.broadcast(generator.w_avg.lerp(generator.sample(2, seed=6), 0.8))
        a, b = (generator.synthesize(row[None], size=512).clamp(-1, 1) for row in ws)
        same, other = multi_layer_parsing(parser, a, a), multi_layer_parsing(parser, a, b)
    assert float(same) < 1e-4 and float(other) > 0.5
