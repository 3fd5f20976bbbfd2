"""The light Feature-Style encoder: shapes, size, its start at the mean face, and its stored form."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vidinv.encoders import feature_style_light, registry
from vidinv.encoders.feature_style_light import FeatureStyleLight
from vidinv.errors import WeightsUnavailable
from vidinv.generators import mobile_stylegan


@pytest.fixture(scope="module")
def full_size() -> FeatureStyleLight:
    """The shape that is shipped, untrained."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FeatureStyleLight("mobile-stylegan-ffhq-w", at=2).eval().requires_grad_(False)


def pictures(count: int, side: int) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("side", [64, 128, 200, 256])
def test_a_picture_of_any_side_becomes_a_code(side: int) -> None:
    code = registry.load_encoder("feature-style-tiny")(pictures(2, side))
    assert code.ws.shape == (2, 8, 32) and code.ws.dtype == torch.float32
    assert code.feature is not None and code.feature.shape == (2, 32, 16, 16) and code.at == 2
    assert code.space == mobile_stylegan.tiny().space


def test_the_shipped_shape_fits_the_default_generator(full_size: FeatureStyleLight) -> None:
    code = full_size(pictures(1, 128))
    assert code.ws.shape == (1, 16, 512)
    assert code.feature is not None and code.feature.shape == (1, 512, 16, 16)


def test_it_is_small(full_size: FeatureStyleLight) -> None:
    assert sum(parameter.numel() for parameter in full_size.parameters()) < 30_000_000
    stored = sum(value.numel() * 2 for value in full_size.state_dict().values())
    assert stored <= 55e6  # bytes, as fp16


def test_a_block_that_is_added_changes_nothing_at_first() -> None:
    block, x = feature_style_light.PreActivatedBlock(8), torch.randn(2, 8, 5, 5)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert all(parameter.grad is not None for parameter in block.parameters())
    assert block.body[-1].weight.grad.abs().sum() > 0  # it can learn from there


def test_it_starts_at_the_mean_face() -> None:
    generator, encoder = mobile_stylegan.tiny(), registry.load_encoder("feature-style-tiny")
    faces = generator.synthesize(generator.broadcast(generator.sample(16, seed=2)))
    code = encoder(faces)
    assert (code.ws.mean((0, 1)) - generator.w_avg).norm() < 0.3 * generator.w_avg.norm()
    assert code.feature is not None
    assert ((code.feature.mean((0, 2, 3), keepdim=True) - encoder.f_mean) / encoder.f_std).abs().mean() < 1


def test_storing_it_as_fp16_keeps_its_codes(full_size: FeatureStyleLight, tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    state = full_size.state_dict()
    save_file({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, path)
    again = feature_style_light.load_shipped(path, space=full_size.space, at=full_size.at)
    image = pictures(1, 128)
    before, after = full_size(image), again(image)
    assert before.feature is not None and after.feature is not None
    assert after.ws.dtype == torch.float32
    torch.testing.assert_close(after.ws, before.ws, rtol=0, atol=0.01 * float(before.ws.std()))
    torch.testing.assert_close(after.feature, before.feature, rtol=0, atol=0.02 * float(before.feature.std()))


def test_the_shipped_file_takes_a_byte_per_weight_and_starts_near_the_mean_face() -> None:
    assert feature_style_light.SHIPPED.stat().st_size < 26e6
    code = registry.load_encoder("feature-style-light")(torch.zeros(1, 3, 256, 256))
    assert code.ws.isfinite().all() and code.feature is not None and code.feature.isfinite().all()


def test_a_file_of_another_network_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "encoder.safetensors"
    save_file({"w_avg": torch.zeros(512)}, path)
    with pytest.raises(WeightsUnavailable, match="Missing key") as refused:
        feature_style_light.load_shipped(path, space="mobile-stylegan-ffhq-w", at=2)
    assert "\n" not in str(refused.value)


def test_what_is_not_a_picture_is_named(full_size: FeatureStyleLight) -> None:
    with pytest.raises(ValueError, match=r"\(1, 1, 64, 64\)"):
        full_size(torch.zeros(1, 1, 64, 64))
