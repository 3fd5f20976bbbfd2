"""Adaptive encoders: the paper's sizes, what each family says, and what an untrained one draws."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from vidinv.encoders import adaptive, encoder_file
from vidinv.encoders import registry as encoders
from vidinv.generators import biggan, mobile_stylegan, pggan, stylegan1, stylegan2
from vidinv.generators import registry as generators
from vidinv.generators.base import Generator

FAMILIES = {
    "adaptive-tiny": "mobile-stylegan-tiny",
    "adaptive-stylegan1-tiny": "stylegan1-tiny",
    "adaptive-stylegan2-tiny": "stylegan2-tiny",
    "adaptive-pggan-tiny": "pggan-tiny",
    "adaptive-biggan-tiny": "biggan-tiny",
}


def millions(generator: Generator) -> float:
    return sum(parameter.numel() for parameter in adaptive.for_generator(generator).parameters()) / 1e6


@pytest.mark.parametrize("family", [stylegan1.StyleGAN1, stylegan2.StyleGAN2])
@pytest.mark.parametrize(
    ("side", "first", "blocks", "size"), [(256, 64, 7, 24.1), (512, 32, 8, 24.2), (1024, 16, 9, 24.3)]
)
def test_a_stylegan_encoder_has_the_papers_size(
    family: type[Generator], side: int, first: int, blocks: int, size: float
) -> None:
    wide = adaptive.widths(side)
    assert wide[0] == first and len(wide) == blocks and max(wide) == 512
    assert all(b == min(2 * a, 512) for a, b in itertools.pairwise(wide))
    with torch.device("meta"):
        assert round(millions(family("x", "x", side)), 1) == size  # type: ignore[call-arg]


def test_the_other_encoders_are_about_as_large() -> None:
    with torch.device("meta"):
        for side in (256, 512, 1024):
            encoder = adaptive.for_generator(pggan.PGGAN("x", "x", side))
            assert encoder.z.weight.shape == (512, 8192) and 23.0 < millions(pggan.PGGAN("x", "x", side)) < 23.5
        for side in (128, 256, 512):
            encoder = adaptive.for_generator(biggan.BigGAN("x", "x", side))
            assert encoder.c.weight.shape == (256, 8192) and encoder.z.weight.shape == (128, 256)


def test_the_default_generators_encoder_is_as_the_papers_at_512() -> None:
    with torch.device("meta"):
        generator = mobile_stylegan.MobileStyleGAN("x", "x")
        encoder = adaptive.for_generator(generator)
        assert encoder.input_size == 512 and round(millions(generator), 1) == 24.2
        code = encoder(torch.zeros(1, 3, 512, 512))
    assert code.ws.shape == (1, 16, 512) and code.const is not None and code.const.shape == (1, 512, 4, 4)


def shown(name: str, count: int = 2) -> tuple[Generator, Tensor, Tensor | None]:
    generator = generators.load_generator(name)
    z, c = generator.latents(count, seed=3)
    return generator, generator.synthesize(generator.broadcast(generator.map(z, c))), c


@pytest.mark.parametrize(("encoder", "generator"), FAMILIES.items())
def test_every_family_says_what_its_generator_takes(encoder: str, generator: str) -> None:
    network, image, c = shown(generator)
    code = encoders.load_encoder(encoder)(image, c)
    assert code.space == network.space
    assert code.ws.shape == (2, network.num_ws, network.w_dim)
    if network.constant is not None:
        assert code.const is not None and code.const.shape == (2, *network.constant.shape[1:])
        drawn = network.synthesize(code.ws, canvas=code.const)
    else:
        assert code.z is not None and code.z.shape == (2, network.z_dim)
        torch.testing.assert_close(code.ws[:, 0, : network.z_dim], code.z)
        drawn = network.synthesize(code.ws)
    assert drawn.shape == image.shape and torch.isfinite(drawn).all()


@pytest.mark.parametrize("generator", ["mobile-stylegan-tiny", "stylegan1-tiny", "stylegan2-tiny"])
def test_the_generators_own_constant_changes_nothing_and_another_does(generator: str) -> None:
    network, image, _ = shown(generator)
    ws = network.broadcast(network.map(network.latents(2, seed=3)[0]))
    assert network.constant is not None
    own = network.constant.expand(2, -1, -1, -1)
    assert torch.equal(network.synthesize(ws, canvas=own), image)
    other = network.synthesize(ws, canvas=own.flip(3))
    assert not torch.allclose(other, image, atol=1e-2)
    early = network.synthesize(ws, canvas=own.flip(3), stop=0)
    torch.testing.assert_close(network.synthesize(ws, feature=early, at=0), other)
    with pytest.raises(ValueError, match="constant input is"):
        network.synthesize(ws, canvas=own[:, :-1])


def test_a_generator_without_a_constant_says_so() -> None:
    network, _, _ = shown("pggan-tiny")
    with pytest.raises(ValueError, match="no constant"):
        network.synthesize(torch.zeros(1, 1, network.w_dim), canvas=torch.zeros(1, 16, 4, 4))


def test_an_untrained_encoder_begins_at_the_mean_face() -> None:
    network, image, _ = shown("mobile-stylegan-tiny")
    code = encoders.load_encoder("adaptive-tiny")(image)
    assert code.const is not None and network.constant is not None
    assert torch.equal(code.const, network.constant.expand_as(code.const))
    spread = network.sample(256, seed=1).std(0).mean()
    assert (code.ws - network.w_avg).square().mean().sqrt() < 2 * spread


def test_noise_is_drawn_while_it_learns_and_not_afterwards() -> None:
    _, image, _ = shown("mobile-stylegan-tiny")
    encoder = encoders.load_encoder("adaptive-tiny")
    for name, parameter in encoder.named_parameters():
        if name.endswith("noise"):
            parameter.fill_(0.5)
    assert torch.equal(encoder(image).ws, encoder(image).ws)
    encoder.train()
    assert not torch.equal(encoder(image).ws, encoder(image).ws)


def test_class_statistics_are_learned() -> None:
    _, image, c = shown("biggan-tiny", 8)
    encoder = encoders.load_encoder("adaptive-biggan-tiny").train()
    before = {key: value.clone() for key, value in encoder.state_dict().items() if "running_mean" in key}
    encoder(image, c)
    assert before and all(not torch.equal(encoder.state_dict()[key], value) for key, value in before.items())
    encoder.eval()
    assert c is not None
    assert not torch.allclose(encoder(image, c).ws, encoder(image, c.roll(1, 1)).ws)


def test_layer_statistics_are_mean_and_deviation() -> None:
    x = torch.randn(2, 3, 5, 7, dtype=torch.float64) * 3 + 1
    mean, deviation = adaptive.statistics(x)
    torch.testing.assert_close(mean.double(), x.mean((2, 3)), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(deviation.double(), x.std((2, 3), correction=0), rtol=1e-4, atol=1e-4)


def test_rows_that_a_smaller_encoder_lacks_are_read_from_the_picture() -> None:
    network = generators.load_generator("stylegan2-tiny")  # 10 rows at 64 pixels
    encoder = adaptive.for_generator(network, 16, 8)
    assert encoder(torch.zeros(1, 3, 64, 64)).ws.shape == (1, 10, 32)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="no adaptive encoder"):
        adaptive.for_generator(generators.load_generator("stylegan3-t-tiny"))
    with pytest.raises(ValueError, match="has classes"):
        adaptive.for_generator(generators.load_generator("pggan-classes-tiny"))
    with pytest.raises(ValueError, match="power of two"):
        adaptive.widths(48)
    encoder = encoders.load_encoder("adaptive-biggan-tiny")
    with pytest.raises(ValueError, match=r"c must be \[1,3\], got None"):
        encoder(torch.zeros(1, 3, 32, 32))


def test_a_file_of_one_draws_its_constant_into_the_feature(tmp_path: object) -> None:
    from pathlib import Path

    network, image, _ = shown("mobile-stylegan-tiny")
    torch.manual_seed(1)
    encoder = encoder_file.build_encoder("adaptive-tiny", network, 16).eval()
    for name, parameter in encoder.named_parameters():
        if name == "scale":
            parameter.data.fill_(0.5)
    facts = encoder_file.EncoderFacts("adaptive-tiny", network.space, 16, feature_branch=False)
    path = encoder_file.write_encoder(Path(str(tmp_path)) / "e.safetensors", encoder.state_dict(), facts)
    loaded = encoder_file.read_encoder(path, network)
    code = loaded(image)
    assert code.feature is not None and code.at == network.layer_at(16) and code.const is not None
    meant = network.synthesize(code.ws, canvas=code.const)
    torch.testing.assert_close(network.synthesize(code.ws, feature=code.feature, at=code.at), meant)
    assert not torch.allclose(network.synthesize(code.ws), meant, atol=1e-3)
