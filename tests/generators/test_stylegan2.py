"""StyleGAN2: published names and sizes, parity with the paper's equations in float64, the picture's rule for F."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.helpers import reference_generators
from tests.helpers.published_stylegan2 import W, published_state
from vidinv.generators import stylegan2
from vidinv.generators.stylegan2 import StyleGAN2

SIDES = [8, 16, 32]


class Paper:
    """The forward pass of one sample, in float64, from the state's values and the paper's equations."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = {key: value.double() for key, value in state.items()}

    def map(self, z: Tensor) -> Tensor:
        x = reference_generators.unit_rms(z.double())
        for k in range(1, 9):
            y = reference_generators.linear(x, self.state[f"style.{k}.weight"], self.state[f"style.{k}.bias"], lr=0.01)
            x = reference_generators.lrelu(y) * 2**0.5
        return x

    def weight(self, name: str, w: Tensor, demodulate: bool) -> Tensor:
        modulation = self.state[f"{name}.modulation.weight"], self.state[f"{name}.modulation.bias"]
        weight = self.state[f"{name}.weight"][0]
        scaled = weight / (weight.shape[1] * weight.shape[2] ** 2) ** 0.5
        return reference_generators.modulated_weight(
            scaled, reference_generators.linear(w[None], *modulation)[0], demodulate
        )

    def convolve(self, name: str, x: Tensor, w: Tensor, noise: Tensor | None, up: bool) -> Tensor:
        weight = self.weight(f"{name}.conv", w, demodulate=True)
        if up:  # the transposed convolution adds each sample's stamp: zeros between, then the kernel turned round
            x = functional.pad(reference_generators.zeros_between(x, 2)[:, :, :-1, :-1], [2, 2, 2, 2])
            x = reference_generators.fir(functional.conv2d(x, weight.flip(2, 3)), reference_generators.smooth(4), 1, 1)
        else:
            x = functional.conv2d(functional.pad(x, [1, 1, 1, 1]), weight)
        if noise is not None:
            x = x + self.state[f"{name}.noise.weight"] * noise
        return reference_generators.lrelu(x + self.state[f"{name}.activate.bias"][:, None, None]) * 2**0.5

    def picture(self, name: str, x: Tensor, w: Tensor, below: Tensor | None) -> Tensor:
        made = functional.conv2d(x, self.weight(f"{name}.conv", w, demodulate=False)) + self.state[f"{name}.bias"]
        return (
            made
            if below is None
            else made
            + reference_generators.fir(
                reference_generators.zeros_between(below, 2), reference_generators.smooth(4), 2, 1
            )
        )

    def image(
        self, ws: Tensor, feature: Tensor | None = None, at: int | None = None, noise: bool = True
    ) -> tuple[Tensor, list[Tensor]]:
        """ws [L,W] -> the image [1,3,S,S] and all features; `feature` takes the place of feature `at`."""
        ws, outs = ws.double(), [self.state["input.input"]]

        def styled(name: str, row: int, up: bool = False) -> None:
            x = feature if feature is not None and len(outs) - 1 == at else outs[-1]
            outs.append(self.convolve(name, x, ws[row], self.state[f"noises.noise_{row}"] if noise else None, up))

        styled("conv1", 0)
        picture = self.picture("to_rgb1", outs[1], ws[1], None)
        for m in range(len(SIDES)):
            styled(f"convs.{2 * m}", 2 * m + 1, up=True)
            styled(f"convs.{2 * m + 1}", 2 * m + 2)
            picture = self.picture(f"to_rgbs.{m}", outs[-1], ws[2 * m + 3], picture)
        return picture, outs


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return published_state()


@pytest.fixture(scope="module")
def network(state: dict[str, Tensor]) -> StyleGAN2:
    network = StyleGAN2("test", "test-w", 32, channel_multiplier=12 * 32 / 16384, channel_max=24, w_dim=W)
    network.load_state_dict(state, strict=True)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def ws() -> Tensor:
    return torch.randn(3, 8, W, generator=torch.Generator().manual_seed(1))


def test_mapping_is_the_papers(network: StyleGAN2, state: dict[str, Tensor]) -> None:
    z = torch.randn(4, W, generator=torch.Generator().manual_seed(2))
    assert reference_generators.relative_error(network.map(z), Paper(state).map(z)) <= 1e-4


@pytest.mark.parametrize("count", [1, 3])
def test_image_and_features_are_the_papers(
    network: StyleGAN2, state: dict[str, Tensor], ws: Tensor, count: int
) -> None:
    paper = Paper(state)
    wanted = [paper.image(row) for row in ws[:count]]
    image = network.synthesize(ws[:count])
    assert reference_generators.relative_error(image, torch.cat([picture for picture, _ in wanted])) <= 1e-4
    for k in range(1, len(network.layers)):
        feature = network.synthesize(ws[:count], stop=k)
        assert reference_generators.relative_error(feature, torch.cat([outs[k] for _, outs in wanted])) <= 1e-4


def test_without_noise_it_is_the_papers_too(network: StyleGAN2, state: dict[str, Tensor], ws: Tensor) -> None:
    wanted, _ = Paper(state).image(ws[0], noise=False)
    assert reference_generators.relative_error(network.synthesize(ws[:1], noise="none"), wanted) <= 1e-4


@pytest.mark.parametrize("at", range(8))
def test_a_feature_put_in_leaves_the_pictures_that_were_drawn_before_it(
    network: StyleGAN2, state: dict[str, Tensor], ws: Tensor, at: int
) -> None:
    """Odd layers: the picture of their resolution is still G(w)'s. Even ones: it sees what was put in."""
    spec = network.layers[at]
    feature = torch.randn(
        1, spec.channels, spec.resolution, spec.resolution, generator=torch.Generator().manual_seed(at)
    )
    wanted, _ = Paper(state).image(ws[0], feature.double(), at)
    assert reference_generators.relative_error(network.synthesize(ws[:1], feature=feature, at=at), wanted) <= 1e-4
    if at == len(network.layers) - 1:  # nothing is drawn after it
        assert torch.equal(network.synthesize(ws[:1], feature=feature, at=at), network.synthesize(ws[:1]))


def test_random_noise_differs_between_images_and_calls(network: StyleGAN2, ws: Tensor) -> None:
    same = ws[:1].expand(2, -1, -1)
    first, second = network.synthesize(same, noise="random")
    assert not torch.allclose(first, second)
    assert not torch.allclose(network.synthesize(same, noise="random")[0], first)


@pytest.fixture(scope="module")
def published() -> StyleGAN2:
    """The FFHQ network's shape, without memory for its weights."""
    with torch.device("meta"):
        return StyleGAN2("stylegan2-ffhq-1024", "ffhq-stylegan2-w")


def test_the_1024_network_has_the_published_size(published: StyleGAN2) -> None:
    assert sum(p.numel() for p in published.parameters()) == 30_370_060
    assert published.num_ws == 18 and len(published.layers) == 18
    assert [spec.resolution for spec in published.layers[:10]] == [4, 4, 8, 8, 16, 16, 32, 32, 64, 64]
    assert published.layers[5].slots == (4,) and published.layer_at(16) == 5
    channels = {spec.resolution: spec.channels for spec in published.layers}
    assert channels == {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64, 1024: 32}


def test_the_1024_network_has_the_published_names_and_shapes(published: StyleGAN2) -> None:
    channels = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64, 1024: 32}
    wanted = {key: tuple(value.shape) for key, value in published_state(w_dim=512, channels=channels).items()}
    assert wanted["convs.15.conv.weight"] == (1, 32, 32, 3, 3)
    assert {key: tuple(value.shape) for key, value in published.state_dict().items()} == wanted


def test_a_resolution_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="100"):
        StyleGAN2("odd", "odd-w", 100)


def test_widths_follow_the_multiplier() -> None:
    assert stylegan2.widths(256, multiplier=1) == {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64}
