"""The last block on means over cells: exact where nothing bends, near the true picture where it does."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from vidinv.generators import mobile_stylegan, proxy, registry
from vidinv.generators.halved import HalvedBlock
from vidinv.generators.mobile_stylegan import MobileStyleGAN
from vidinv.generators.ops import resize
from vidinv.trainers.data.generated_samples import draw_shard


def straight() -> MobileStyleGAN:
    """A tiny generator whose last block is linear, and whose last depthwise convolution looks at one pixel."""
    generator = copy.deepcopy(mobile_stylegan.tiny())
    block = generator.blocks[-1]
    assert isinstance(block, mobile_stylegan.Block) and block.conv2.depthwise is not None
    block.conv1.bias.data += 50
    block.conv2.depthwise.data *= torch.eye(3)[1][:, None] * torch.eye(3)[1]
    block.conv2.bias.data += 1000
    return generator


def averaged(generator: MobileStyleGAN, ws: Tensor, styles: Tensor | None = None) -> Tensor:
    rows = generator.restyled(ws, styles)
    return resize(generator.synthesize(ws, styles=rows, size=generator.sizes[0]), generator.resolution // 4)


def test_where_no_activation_bends_it_is_the_generators_picture_averaged() -> None:
    generator = straight().double()
    stand_in = proxy.Proxy(generator, HalvedBlock(generator).double())
    ws = generator.broadcast(generator.sample(2, seed=3)).double()
    found, true = stand_in(ws), averaged(generator, ws)
    assert found.shape == (2, 3, 16, 16)
    assert (found - true).abs().max() < 1e-6 * true.std(), "kernels are made in float32"


def test_an_offset_of_the_styles_of_the_last_block_is_seen() -> None:
    generator = straight()
    stand_in = proxy.Proxy(generator, HalvedBlock(generator))
    ws = generator.broadcast(generator.sample(1, seed=3))
    widths = [row.shape[1] for row in generator.styles(ws)]
    offset = torch.zeros(1, sum(widths))
    offset[:, -widths[-1] :] = 0.5  # of the map to RGB, which no head that was distilled reads
    moved = stand_in(ws, styles=offset) - stand_in(ws)
    torch.testing.assert_close(
        moved,
        averaged(generator, ws, offset) - averaged(generator, ws),
        rtol=1e-3,
        atol=1e-3 * moved.abs().max().item(),
    )


def test_of_a_tuned_generator_it_is_made_anew_and_stays_quick() -> None:
    generator = straight()
    tuned = copy.deepcopy(generator)
    tuned.to_image.bias.data += 0.4
    ws = generator.broadcast(generator.sample(1, seed=3))
    base = proxy.Proxy(generator, HalvedBlock(generator))
    own = proxy.for_tuned_generator(base, tuned)
    assert own.is_quick
    torch.testing.assert_close(own(ws), base(ws) + 0.2, rtol=1e-4, atol=1e-3)  # the low band counts half


def test_a_feature_of_another_size_is_refused_with_its_shape() -> None:
    generator = mobile_stylegan.tiny()
    with pytest.raises(ValueError, match=r"\[N,32,16,16\] features, got \(1, 16, 16, 16\)"):
        HalvedBlock(generator)(torch.zeros(1, 16, 16, 16), generator.broadcast(generator.sample(1)))


@pytest.mark.slow
@pytest.mark.weights
def test_the_default_generators_picture_of_256_pixels_is_kept_to_35_db_on_its_manifold_and_off_it() -> None:
    generator = registry.load_generator("mobile-stylegan-ffhq-1024")
    stand_in, at = proxy.load_proxy(generator, 256), generator.layer_at(16)
    shard = {key: value[:8] for key, value in draw_shard(generator, at, 3, 256).items()}
    with torch.no_grad():
        found = stand_in(shard["ws"].float(), shard["feature"].float(), at).clamp(-1, 1)
    error = (found - (shard["image"].float() / 127.5 - 1)).square().mean((1, 2, 3))
    assert (10 * torch.log10(4 / error)).mean() > 35
