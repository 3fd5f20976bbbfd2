"""The proxy head: what it reads, and how far the shipped one is from the true image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from vidinv.errors import UsageError
from vidinv.generators import mobile_stylegan, proxy, registry
from vidinv.generators.ops import resize


def test_it_draws_128_pixels_from_the_generators_own_feature_or_from_an_injected_one() -> None:
    generator = mobile_stylegan.tiny()
    stand_in = proxy.load_proxy(generator, 128)
    ws = generator.broadcast(generator.sample(2, seed=3))
    feature = generator.synthesize(ws, stop=2)
    assert stand_in(ws).shape == (2, 3, 128, 128)
    assert torch.equal(stand_in(ws), stand_in(ws, feature, 2))
    assert not torch.equal(stand_in(ws), stand_in(ws, feature + 0.5, 2))


def test_the_heads_and_the_whole_image_share_their_lower_layers_and_nothing_else_changes() -> None:
    generator = mobile_stylegan.tiny()
    stand_in = proxy.load_proxy(generator, 128)
    ws = generator.broadcast(generator.sample(1, seed=3))
    feature = generator.synthesize(ws, stop=2) + 0.3
    for f, at in ((None, None), (feature, 2)):
        drawn, whole = stand_in.with_whole(ws, f, at, 32)
        assert torch.equal(drawn, stand_in(ws, f, at))
        torch.testing.assert_close(whole, generator.synthesize(ws, feature=f, at=at, size=32))


def test_a_feature_at_the_heads_own_layer_is_what_it_draws_and_a_later_one_is_refused() -> None:
    generator = mobile_stylegan.tiny()
    stand_in = proxy.load_proxy(generator, 128)
    ws = generator.broadcast(generator.sample(1, seed=3))
    own = generator.synthesize(ws, stop=stand_in.layer)
    assert torch.equal(stand_in(ws, own, stand_in.layer), stand_in(ws))
    assert not torch.equal(stand_in(ws, own + 0.5, stand_in.layer), stand_in(ws))
    with pytest.raises(ValueError, match="F replaces the later layer"):
        stand_in(ws, own, stand_in.layer + 1)


def test_a_feature_of_another_size_is_refused_with_its_shape() -> None:
    head = proxy.load_proxy(mobile_stylegan.tiny(), 128).head
    with pytest.raises(ValueError, match=r"16, 16"):
        head(torch.zeros(1, 16, 16, 16), torch.zeros(1, 8, 32))


def test_a_generator_without_a_head_is_named() -> None:
    generator = mobile_stylegan.tiny("nobody")
    with pytest.raises(UsageError, match="nobody"):
        proxy.load_proxy(generator, 128)


@pytest.mark.weights
def test_the_shipped_head_is_as_close_to_the_true_image_as_its_file_says() -> None:
    generator = registry.load_generator("mobile-stylegan-ffhq-1024")
    stand_in = proxy.load_proxy(generator, 128)
    with safe_open(str(proxy.ASSETS / "proxy_head_128.safetensors"), framework="pt") as file:
        promised = float(file.metadata()["fidelity"])
    with torch.no_grad():
        w = generator.w_avg.lerp(generator.sample(6, seed=99), 0.8)
        ws = generator.broadcast(w)
        true = torch.cat([resize(generator.synthesize(row[None], size=512), 128) for row in ws])
        error = (stand_in(ws) - true).square().mean((1, 2, 3))
    assert (10 * torch.log10(4 / error)).mean() > promised - 2


def test_where_no_head_was_distilled_the_generator_draws_itself() -> None:
    generator = registry.load_generator("stylegan2-tiny")
    stand_in = proxy.image_decoder(generator, 16)
    ws = generator.broadcast(generator.sample(2, seed=3))
    feature = generator.synthesize(ws, stop=5) + 0.3
    whole = generator.synthesize(ws, feature=feature, at=5)
    assert not stand_in.is_quick and stand_in.size == 16
    torch.testing.assert_close(stand_in(ws, feature, 5), resize(whole, 16))
    drawn, same = stand_in.with_whole(ws, feature, 5, 64)
    torch.testing.assert_close(drawn, resize(whole, 16))
    torch.testing.assert_close(same, whole)
    assert proxy.image_decoder(mobile_stylegan.tiny(), 128).is_quick


def test_a_head_of_ones_own_is_read_for_its_generator_alone(tmp_path: Path) -> None:
    generator = mobile_stylegan.tiny()
    spec = proxy.HeadSpec(32, 64, 16, 1, 9, 32)
    head = proxy.ProxyHead(spec)
    path = tmp_path / "head.safetensors"
    save_file(head.state_dict(), path, metadata=proxy.head_metadata(generator, spec))
    found = proxy.read_proxy(path, generator)
    ws = generator.broadcast(generator.sample(1, seed=3))
    torch.testing.assert_close(found(ws), proxy.Proxy(generator, head.eval())(ws))
    with pytest.raises(UsageError, match="of 'mobile-stylegan-tiny', not of 'stylegan2-tiny'"):
        proxy.read_proxy(path, registry.load_generator("stylegan2-tiny"))


def test_a_heads_shape_follows_from_the_generator() -> None:
    default = mobile_stylegan.MobileStyleGAN("any", "any-w")
    assert {size: proxy.spec_for(default, size) for size in proxy.FFHQ_HEADS} == proxy.FFHQ_HEADS
    generator = registry.load_generator("stylegan2-tiny")
    spec = proxy.spec_for(generator, 128)
    assert (spec.side, spec.channels, spec.w_dim, spec.slots) == (32, 32, 32, 3), "rows 0-6 are read up to 32 pixels"
    drawn = proxy.Proxy(generator, proxy.ProxyHead(spec))(generator.broadcast(generator.sample(1)))
    assert drawn.shape == (1, 3, 128, 128)
    with pytest.raises(UsageError, match="no layer of 128 pixels"):
        proxy.spec_for(generator, 256)
