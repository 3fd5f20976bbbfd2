"""An encoder's own file: read back, it gives the same codes; what is no encoder of this generator is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from vidinv.encoders import encoder_file
from vidinv.encoders.base import Encoder
from vidinv.encoders.encoder_file import EncoderFacts
from vidinv.errors import OutputUnwritable, UsageError
from vidinv.generators import mobile_stylegan
from vidinv.generators.base import Generator


@pytest.fixture(scope="module")
def generator() -> Generator:
    return mobile_stylegan.tiny()


@pytest.fixture(scope="module")
def light(generator: Generator) -> Encoder:
    """As stored: its weights are fp16's."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return encoder_file.build_encoder("light", generator, 16).half().float().eval()


@pytest.fixture(scope="module")
def stored(light: Encoder, generator: Generator, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("encoder") / "encoder.safetensors"
    return encoder_file.write_encoder(path, light.state_dict(), EncoderFacts("light", generator.space, 16))


def test_it_gives_the_same_codes_again(light: Encoder, stored: Path, generator: Generator) -> None:
    image = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0)) * 2 - 1
    before, after = light(image), encoder_file.read_encoder(stored, generator)(image)
    assert torch.allclose(before.ws, after.ws, atol=1e-5) and torch.allclose(before.feature, after.feature, atol=1e-5)
    assert encoder_file.check_encoder(stored, generator.space) == EncoderFacts("light", generator.space, 16)
    assert [path.name for path in stored.parent.iterdir()] == [stored.name]


def test_without_its_feature_branch_the_inversion_is_g_of_w(
    light: Encoder, generator: Generator, tmp_path: Path
) -> None:
    facts = EncoderFacts("light", generator.space, 16, feature_branch=False)
    path = encoder_file.write_encoder(tmp_path / "e.safetensors", light.state_dict(), facts)
    read = encoder_file.read_encoder(path, generator)
    code = read(torch.rand(1, 3, 128, 128) * 2 - 1)
    drawn = generator.synthesize(code.ws, feature=code.feature, at=code.at)
    assert torch.allclose(drawn, generator.synthesize(code.ws), atol=1e-5)
    assert read.state_dict().keys() == {f"encoder.{key}" for key in light.state_dict()}


def test_one_of_another_space_is_refused(stored: Path) -> None:
    with pytest.raises(UsageError, match="the generator has the space 'other-w'"):
        encoder_file.check_encoder(stored, "other-w")


def test_one_of_an_unknown_family_or_feature_is_refused(tmp_path: Path) -> None:
    for facts in (EncoderFacts("heavy", "any-w", 16), EncoderFacts("light", "any-w", 64)):
        with pytest.raises(UsageError, match=r"known are light, residual, published, adaptive.*, with F at 16 or 32"):
            encoder_file.check_encoder(encoder_file.write_encoder(tmp_path / "e.safetensors", {}, facts), "any-w")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputUnwritable, match="cannot be written"):
        encoder_file.write_encoder(tmp_path / "none" / "e.safetensors", {}, EncoderFacts("light", "any-w", 16))


def test_tensors_of_another_encoder_are_refused(tmp_path: Path, generator: Generator) -> None:
    path = encoder_file.write_encoder(
        tmp_path / "e.safetensors", {"a": torch.zeros(2)}, EncoderFacts("light", generator.space, 16)
    )
    with pytest.raises(UsageError, match="does not hold the tensors"):
        encoder_file.read_encoder(path, generator)


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    text, weights = tmp_path / "text.safetensors", tmp_path / "weights.safetensors"
    text.write_text("hello")
    save_file({"a": torch.zeros(2)}, weights)
    for path in (text, weights, tmp_path):
        with pytest.raises(UsageError, match="is not an encoder file"):
            encoder_file.check_encoder(path, "any-w")
    with pytest.raises(UsageError, match="does not exist"):
        encoder_file.check_encoder(tmp_path / "none", "any-w")
