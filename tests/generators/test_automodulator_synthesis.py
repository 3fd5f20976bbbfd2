"""The automodulator's decoder against the paper's words: one block in float64, its widths, mixing, growing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidinv.generators import automodulator
from vidinv.generators.automodulator import Automodulator


@pytest.fixture(scope="module")
def tiny() -> Automodulator:
    return automodulator.tiny()


def adain(x: Tensor, deviation: Tensor, mean: Tensor) -> Tensor:
    """Eq. 3, for one image and channel at a time."""
    out = torch.empty_like(x)
    for n in range(x.shape[0]):
        for j in range(x.shape[1]):
            chi = x[n, j]
            out[n, j] = deviation[n, j] * (chi - chi.mean()) / chi.std(correction=0) + mean[n, j]
    return out


def test_a_block_is_convolution_filter_noise_activation_adain_twice() -> None:
    network = automodulator.tiny().double()
    torch.manual_seed(0)
    z = functional.normalize(torch.randn(2, 32, dtype=torch.float64), dim=1)
    ws = network.broadcast(z)
    canvas = network.synthesize(ws, stop=1)
    x = canvas.repeat_interleave(2, 2).repeat_interleave(2, 3)
    for part, k in ((0, 2), (1, 3)):
        layer = network.blocks[1][part]
        weight = layer.conv.weight * 2**0.5 / (layer.conv.weight[0].numel()) ** 0.5
        x = functional.conv2d(x, weight, layer.conv.bias, padding=1)
        if part == 0:
            row = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64) / 4
            kernel = torch.outer(row, row).expand(x.shape[1], 1, 3, 3)
            x = functional.conv2d(x, kernel, padding=1, groups=x.shape[1])
        x = functional.leaky_relu(x + layer.noise * network.get_buffer(f"noise_{k}"), 0.2)
        affine = z @ layer.modulation.weight.T + layer.modulation.bias
        deviation, mean = affine.chunk(2, 1)
        x = adain(x, deviation + 1, mean)
    torch.testing.assert_close(network.synthesize(ws, stop=3), x, rtol=1e-6, atol=1e-6)


def test_the_papers_widths_are_those_of_its_appendix() -> None:
    assert list(automodulator.widths(256).values()) == [512, 512, 512, 512, 512, 256, 128]
    assert list(automodulator.widths(256, halves_from=64).values()) == [512, 512, 512, 512, 256, 128, 64]
    with torch.device("meta"):
        paper = Automodulator("a", "a-z", 256)
    assert paper.num_ws == 14 and paper.blocks[6][1].modulation.weight.shape == (256, 512)


def test_a_code_is_drawn_on_the_sphere_whatever_its_length(tiny: Automodulator) -> None:
    z = torch.randn(3, 32)
    torch.testing.assert_close(tiny.map(z), tiny.map(7 * z))
    torch.testing.assert_close(tiny.map(z).norm(dim=1), torch.ones(3))


def test_an_untrained_decoder_draws_different_codes_differently(tiny: Automodulator) -> None:
    """What its modulation's weights are not divided for: else all pictures are nearly one at first."""
    rows = tiny.styles(tiny.broadcast(tiny.sample(200, seed=1)))
    assert 0.8 < torch.cat(rows, 1).std(0).mean() < 1.2
    images = tiny.synthesize(tiny.broadcast(tiny.sample(16, seed=1)))
    assert images.std(0).mean() > 0.5 * images.std()


def test_mixing_a_code_with_itself_is_plain_decoding_and_a_mixture_keeps_the_coarse_canvas(tiny: Automodulator) -> None:
    a, b = (tiny.broadcast(tiny.sample(2, seed=seed)) for seed in (1, 2))
    rows = (0, 4)
    for other in (a, b):
        mixed = a.clone()
        mixed[:, rows[1] :] = other[:, rows[1] :]
        canvas = tiny.synthesize(a, stop=rows[1] - 1)
        split = tiny.synthesize(other, start=rows[1], canvas=canvas)
        torch.testing.assert_close(split, tiny.synthesize(mixed))
        torch.testing.assert_close(tiny.synthesize(mixed, stop=rows[1] - 1), canvas)
        assert torch.allclose(split, tiny.synthesize(a)) == (other is a)


def test_the_extra_block_draws_8x8_once_more() -> None:
    extra = automodulator.tiny(extra=True)
    assert [spec.resolution for spec in extra.layers] == [4, 4, 8, 8, 8, 8, 16, 16, 32, 32]


@pytest.mark.parametrize("extra", [False, True])
def test_a_block_comes_in_from_the_picture_of_half_the_side(extra: bool) -> None:
    torch.manual_seed(0)
    growing = Automodulator("a", "a-z", 8, channel_max=8, w_dim=8, extra=extra, growing=True).eval()
    smaller = Automodulator("a", "a-z", 4, channel_max=8, w_dim=8).eval()
    state = {key: value for key, value in growing.state_dict().items() if key.startswith("blocks.0.")}
    rgb = {key.replace("before", "to_rgb"): value for key, value in growing.state_dict().items() if "before" in key}
    smaller.load_state_dict(state | rgb)
    w = growing.map(torch.randn(2, 8))
    half = smaller.synthesize(smaller.broadcast(w))
    pictures = []
    for share in (0.0, 0.25, 1.0):
        growing.share = share
        pictures.append(growing.synthesize(growing.broadcast(w)))
    old = functional.interpolate(half, (8, 8), mode="bilinear", align_corners=False)
    torch.testing.assert_close(pictures[0], old)
    torch.testing.assert_close(pictures[1], torch.lerp(old, pictures[2], 0.25))
