"""The encoders of the two autoencoders: one code an image, where it lies, and what is bound to what."""

from __future__ import annotations

import pytest
import torch

from vidinv.encoders import automodulator, encoder_file, registry, stylegan_ae
from vidinv.encoders.base import Encoder
from vidinv.errors import UsageError
from vidinv.generators import registry as generators
from vidinv.generators.stylegan2 import StyleGAN2
from vidinv.generators.stylegan2_discriminator import Discriminator

OF = {"ae-w-tiny": "stylegan2-tiny", "ae-w-plus-tiny": "stylegan2-tiny", "automodulator-tiny": "automodulator-tiny"}


@pytest.fixture(scope="module", params=OF)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    return registry.load_encoder(request.param)


def test_an_images_code_fits_its_generator_and_depends_on_nothing_else(encoder: Encoder) -> None:
    name = next(name for name, other in registry.ENCODERS.items() if name in OF and other().space == encoder.space)
    generator = generators.load_generator(OF[name])
    image = torch.rand(3, 3, 96, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1  # any size is taken
    code = encoder(image)
    assert code.ws.shape == (3, generator.num_ws, generator.w_dim) and code.space == generator.space
    torch.testing.assert_close(encoder(image[1:2]).ws, code.ws[1:2], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(code.ws[0], code.ws[1], atol=1e-4)
    whole = encoder_file.with_feature(encoder, generator)(image)
    close = {"rtol": 1e-3, "atol": 1e-4}
    drawn = generator.synthesize(whole.ws, feature=whole.feature, at=whole.at)
    torch.testing.assert_close(drawn, generator.synthesize(code.ws), **close)
    with pytest.raises(ValueError, match=r"\(3, 8, 8\)"):
        encoder(torch.zeros(3, 8, 8))


def test_in_w_all_rows_are_one_and_in_w_plus_they_are_not() -> None:
    image = torch.rand(1, 3, 64, 64)
    rows = registry.load_encoder("ae-w-tiny")(image).ws[0]
    assert (rows == rows[0]).all()
    rows = registry.load_encoder("ae-w-plus-tiny")(image).ws[0]
    assert not torch.allclose(rows[0], rows[1])


def test_an_automodulators_code_lies_on_the_sphere() -> None:
    code = registry.load_encoder("automodulator-tiny")(torch.rand(4, 3, 32, 32) * 2 - 1)
    torch.testing.assert_close(code.ws.norm(dim=2), torch.ones(4, code.ws.shape[1]))
    assert code.z is not None and torch.equal(code.z, code.ws[:, 0])


def test_the_papers_encoder_is_the_discriminators_trunk_with_the_published_sizes() -> None:
    with torch.device("meta"):
        generator = StyleGAN2("g", "g-w", 128)
        encoder = stylegan_ae.for_generator(generator, tied=True)
        judge = Discriminator(128)
    own, its = encoder.convs.state_dict(), judge.convs.state_dict()
    assert {key: value.shape for key, value in own.items()} == {key: value.shape for key, value in its.items()}
    assert encoder.final_linear[0].weight.shape == (512, 8192) and encoder.final_linear[1].weight.shape == (512, 512)
    assert encoder.slots == 12 and encoder.final_conv[0].weight.shape == (512, 512, 3, 3)


def test_the_papers_automodulator_has_its_widths() -> None:
    assert list(automodulator.widths(256).values())[::-1] == [64, 128, 256, 512, 512, 512, 512]


def test_an_automodulators_encoder_is_for_an_automodulator() -> None:
    with pytest.raises(UsageError, match="stylegan2-tiny is not an automodulator"):
        encoder_file.build_encoder("automodulator", generators.load_generator("stylegan2-tiny"), 16)


def test_a_picture_of_less_contrast_has_another_code() -> None:
    encoder, image = registry.load_encoder("automodulator-tiny"), torch.rand(2, 3, 32, 32) * 2 - 1
    assert (encoder(image).ws - encoder(0.3 * image).ws).abs().max() > 1e-3


def test_deep_layers_pass_the_picture_on_and_not_their_biases() -> None:
    """Codes of different pictures differ from the start, which 14 layers of spectral norm 1 with biases prevent."""
    torch.manual_seed(0)
    encoder = automodulator.for_generator(generators.load_generator("automodulator-tiny")).eval()
    codes = encoder(torch.rand(64, 3, 32, 32) * 2 - 1).ws[:, 0]
    assert all(name.split(".")[0] == "from_rgb" for name, _ in encoder.named_parameters() if name.endswith("bias"))
    assert codes.std(0).norm() > 0.02
