"""StyleGAN: published names and size, and parity with the paper's equations in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.helpers import reference_generators
from tests.helpers.published_stylegan1 import WIDTHS, W, published_state
from vidinv.generators.stylegan1 import StyleGAN1, adain


@pytest.fixture(scope="module")
def network() -> StyleGAN1:
    made = StyleGAN1("test", "test-w", 128, channel_multiplier=256 / 16384, channel_max=16, w_dim=W)
    made.load_state_dict(published_state(), strict=True)
    return made.eval().requires_grad_(False)


def paper(network: StyleGAN1, ws: Tensor, noise: bool) -> tuple[Tensor, list[Tensor]]:
    """ws [L,W] -> image [1,3,S,S] and the features."""
    state = {key: value.double() for key, value in published_state().items()}
    x, outs = state["const"], []
    blur = torch.outer(torch.tensor([1.0, 2.0, 1.0]), torch.tensor([1.0, 2.0, 1.0])).double() / 16
    for k, w in enumerate(ws.double()):
        i, part = k // 2, k % 2 + 1
        name, side = f"decode_block.{i}", 4 << k // 2
        weight = state.get(f"{name}.conv_{part}.weight")
        if part == 1 and side >= 128:  # zeros between, the kernel summed over four shifts and turned round
            assert weight is not None
            kernel = functional.conv2d(
                functional.pad(weight, [1] * 4).flatten(0, 1)[:, None], torch.ones(1, 1, 2, 2).double()
            )
            kernel = kernel.unflatten(0, weight.shape[:2])[:, :, 0].transpose(0, 1).flip(2, 3)  # [O,I,4,4]
            x = functional.conv2d(functional.pad(reference_generators.zeros_between(x, 2), [2, 1, 2, 1]), kernel)
            x = reference_generators.fir(x, blur, 1, 1)
        elif part == 1 and weight is not None:
            x = functional.conv2d(functional.pad(x.repeat_interleave(2, 2).repeat_interleave(2, 3), [1] * 4), weight)
            x = reference_generators.fir(x, blur, 1, 1)
        elif weight is not None:
            x = functional.conv2d(functional.pad(x, [1] * 4), weight)
        if noise:
            x = x + state[f"{name}.noise_weight_{part}"] * network.get_buffer(f"noise_{k}").double()
        x = reference_generators.lrelu(x + state[f"{name}.bias_{part}"])
        x = x - x.mean((2, 3), keepdim=True)
        x = x / (x.square().mean((2, 3), keepdim=True) + 1e-8).sqrt()
        style = state[f"{name}.style_{part}.weight"] @ w + state[f"{name}.style_{part}.bias"]
        scale, shift = style[: len(style) // 2], style[len(style) // 2 :]
        x = x * (1 + scale[:, None, None]) + shift[:, None, None]
        outs.append(x)
    last = len(WIDTHS) - 1
    image = functional.conv2d(x, state[f"to_rgb.{last}.to_rgb.weight"], state[f"to_rgb.{last}.to_rgb.bias"])
    return image, outs


@pytest.mark.parametrize("noise", ["const", "none"])
def test_image_and_features_are_the_papers(network: StyleGAN1, noise: str) -> None:
    ws = torch.randn(2, 12, W, generator=torch.Generator().manual_seed(1))
    wanted = [paper(network, row, noise == "const") for row in ws]
    image = network.synthesize(ws, noise=noise)
    assert reference_generators.relative_error(image, torch.cat([picture for picture, _ in wanted])) <= 1e-4
    for k in range(12):
        feature = network.synthesize(ws, noise=noise, stop=k)
        assert reference_generators.relative_error(feature, torch.cat([outs[k] for _, outs in wanted])) <= 1e-4


def test_mapping_is_the_papers(network: StyleGAN1) -> None:
    z = torch.randn(4, W, generator=torch.Generator().manual_seed(2))
    state = {key: value.double() for key, value in published_state().items()}
    x = reference_generators.unit_rms(z.double())
    for k in range(1, 9):
        x = reference_generators.lrelu(x @ state[f"block_{k}.fc.weight"].T + state[f"block_{k}.fc.bias"])
    assert reference_generators.relative_error(network.map(z), x) <= 1e-4


def test_the_1024_network_has_the_published_size() -> None:
    with torch.device("meta"):
        network = StyleGAN1("stylegan1-ffhq-1024", "ffhq-stylegan1-w")
    assert sum(p.numel() for p in network.parameters()) == 26_219_627
    assert network.num_ws == 18 and [spec.slots for spec in network.layers] == [(k,) for k in range(18)]


@pytest.mark.parametrize(("dtype", "relative", "off"), [(torch.float32, 0, 1e-4), (torch.bfloat16, 0.01, 0.1)])
def test_adain_is_the_same_however_memory_lies_also_where_the_mean_is_large(
    dtype: torch.dtype, relative: float, off: float
) -> None:
    torch.manual_seed(0)
    x, style = (torch.randn(2, 6, 32, 32) + 8).to(dtype), torch.randn(2, 12)
    x[:, 0] = 2.7183  # nothing to divide by
    truth = adain(x.double(), style.double())
    for memory in (torch.contiguous_format, torch.channels_last):
        found = adain(x.contiguous(memory_format=memory), style).double()
        torch.testing.assert_close(found[:, 1:], truth[:, 1:], rtol=relative, atol=off)
        torch.testing.assert_close(found[:, 0], truth[:, 0], rtol=0, atol=0.1)
