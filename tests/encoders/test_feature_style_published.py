"""The encoder in its published shape: size, names, what each input gives, and the layers that K names."""

from __future__ import annotations

import pytest
import torch

from vidinv.encoders import feature_style
from vidinv.generators import mobile_stylegan

TINY = ((8, 1), (8, 1), (8, 2), (8, 1))


@pytest.fixture(scope="module")
def published() -> feature_style.FeatureStyle:
    """For an 18-slot StyleGAN2, without memory for its weights."""
    with torch.device("meta"):
        return feature_style.FeatureStyle("ffhq-stylegan2-w", at=5, w_avg=torch.zeros(512))


def test_it_has_the_published_size_and_names(published: feature_style.FeatureStyle) -> None:
    assert sum(p.numel() for p in published.parameters()) == 113_920_704
    state = published.state_dict()
    assert len(state) == 517
    shapes = {key: tuple(value.shape) for key, value in state.items()}
    assert shapes["conv.0.weight"] == (64, 3, 3, 3) and shapes["conv.2.weight"] == (64,)
    assert shapes["block_3.13.conv2.weight"] == (256, 256, 3, 3)
    assert shapes["block_4.0.downsample.0.weight"] == (512, 256, 1, 1)
    assert "block_4.1.downsample.0.weight" not in shapes and "block_1.0.downsample.1.running_var" in shapes
    assert shapes["content_layer.1.weight"] == (512, 256, 3, 3) and shapes["content_layer.4.weight"] == (512, 512, 3, 3)
    assert shapes["styles.17.weight"] == (512, 8640) and shapes["styles.0.bias"] == (512,)


@pytest.mark.parametrize(("part", "count"), [("styles", 79_635_456), ("content_layer", 3_542_016)])
def test_its_parts_have_the_published_sizes(published: feature_style.FeatureStyle, part: str, count: int) -> None:
    assert sum(p.numel() for p in getattr(published, part).parameters()) == count


@pytest.mark.parametrize("side", [16, 32])
def test_the_feature_code_is_that_of_the_layer_asked_for(side: int) -> None:
    generator = mobile_stylegan.tiny()
    encoder = feature_style.for_generator(generator, side, stages=TINY).eval()
    code = encoder(torch.zeros(2, 3, 64, 64))
    spec = generator.layers[generator.layer_at(side)]
    assert code.feature is not None and code.feature.shape == (2, spec.channels, side, side)
    assert code.ws.shape == (2, generator.num_ws, generator.w_dim)
    picture = generator.synthesize(code.ws, feature=code.feature, at=code.at)
    assert picture.shape[-1] == generator.resolution


def test_the_average_latent_is_added_and_not_stored() -> None:
    generator = mobile_stylegan.tiny()
    encoder = feature_style.for_generator(generator, stages=TINY).eval()
    for head in encoder.styles:
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.zeros_(head.bias)
    code = encoder(torch.rand(1, 3, 128, 128))
    torch.testing.assert_close(code.ws[0], generator.w_avg.expand_as(code.ws[0]))
    assert "w_avg" not in encoder.state_dict()


def test_another_feature_size_or_picture_is_refused_with_its_value() -> None:
    generator = mobile_stylegan.tiny()
    with pytest.raises(ValueError, match="8"):
        feature_style.FeatureStyle("s", at=1, w_avg=generator.w_avg, feature_side=8, stages=TINY)
    encoder = feature_style.for_generator(generator, stages=TINY)
    with pytest.raises(ValueError, match="1, 64, 64"):
        encoder(torch.zeros(1, 1, 64, 64))
