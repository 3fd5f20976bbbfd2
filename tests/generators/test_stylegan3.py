"""StyleGAN3: published names and sizes, filters of Kaiser's equations, parity in float64, and what moving w moves."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.helpers import reference_generators
from tests.helpers.published_stylegan3 import BASE, LAYERS, MOST, SIDE, W, published_state, schedule
from vidinv.generators import alias_free, stylegan3
from vidinv.generators.stylegan3 import StyleGAN3

NAMES_1024 = [
    *("L0_36_512", "L1_36_512", "L2_52_512", "L3_52_512", "L4_84_512", "L5_148_512", "L6_148_512", "L7_276_323"),
    *("L8_276_203", "L9_532_128", "L10_1044_81", "L11_1044_51", "L12_1044_32", "L13_1024_32", "L14_1024_3"),
]


def paper(state: dict[str, Tensor], ws: Tensor) -> list[Tensor]:
    """ws [L,W] -> every feature [1,C,h,w], then the image."""
    state = {key: value.double() for key, value in state.items()}
    ws = ws.double()
    names = [key.split(".")[1] for key in state if key.startswith("synthesis.L") and key.endswith("magnitude_ema")]
    outs = [fourier(state, ws[0])]
    for index, name in enumerate(names):
        part = {key.removeprefix(f"synthesis.{name}."): value for key, value in state.items() if f".{name}." in key}
        last = index == len(names) - 1
        style = reference_generators.linear(ws[None, index + 1], part["affine.weight"], part["affine.bias"])[0]
        weight = part["weight"]
        if last:
            weight = reference_generators.modulated_weight(weight / weight.shape[1] ** 0.5, style, demodulate=False)
        else:
            weight = weight / weight.square().mean((1, 2, 3), keepdim=True).sqrt()
            weight = reference_generators.modulated_weight(weight, style / style.square().mean().sqrt())
        weight = weight / part["magnitude_ema"].sqrt()
        side = weight.shape[-1] - 1
        x = functional.conv2d(functional.pad(outs[-1], [side] * 4), weight) + part["bias"][:, None, None]
        outs.append(x if last else nonlinear(x, part, schedule(max(index - 1, 0)), schedule(index)))
    return [*outs[:-1], outs[-1] * 0.25]


def nonlinear(x: Tensor, part: dict[str, Tensor], before: tuple[float, ...], after: tuple[float, ...]) -> Tensor:
    """Up, leaky ReLU, down. Padding: as much as the canvas needs, and so that its centre stays the image's."""
    between = 2 * max(before[2], after[2])
    up, down = int(between // before[2]), int(between // after[2])
    row, kernel = part["up_filter"] * up, part["down_filter"]
    if kernel.ndim == 1:
        kernel = torch.outer(kernel, kernel)
    wide = reference_generators.zeros_between(x, up)
    needed = (int(after[3]) - 1) * down + 1 + len(row) - 1 + len(kernel) - 1 - wide.shape[-1]
    low = (needed + up) // 2
    wide = reference_generators.fir(wide, torch.outer(row, row), low, needed - low)
    return reference_generators.fir(reference_generators.lrelu(wide) * 2**0.5, kernel, 0, 0)[:, :, ::down, ::down]


def fourier(state: dict[str, Tensor], w: Tensor) -> Tensor:
    """Every wave drawn at every point of the canvas after the point was moved and turned."""
    cutoff, _, rate, size, _ = schedule(0)
    placing = reference_generators.linear(
        w[None], state["synthesis.input.affine.weight"], state["synthesis.input.affine.bias"]
    )[0]
    c, s, x, y = placing / placing[:2].square().sum().sqrt()
    turn = torch.tensor([[c, -s, 0], [s, c, 0], [0, 0, 1]], dtype=torch.float64)
    move = torch.tensor([[1, 0, -x], [0, 1, -y], [0, 0, 1]], dtype=torch.float64)
    matrix = turn @ move @ state["synthesis.input.transform"]
    places = (torch.arange(size, dtype=torch.float64) + 0.5 - size / 2) / rate
    points = torch.stack([places.expand(size, size), places[:, None].expand(size, size), torch.ones(size, size)], 2)
    points = points.double() @ matrix.T  # [h,w,3]
    freqs, phases = state["synthesis.input.freqs"], state["synthesis.input.phases"]
    waves = []
    for frequency, phase in zip(freqs, phases, strict=True):
        seen = (frequency @ matrix[:2, :2]).norm()
        fading = (1 - (seen - cutoff) / (rate / 2 - cutoff)).clamp(0, 1)
        waves.append(torch.sin(2 * math.pi * (points[..., :2] @ frequency + phase)) * fading)
    weight = state["synthesis.input.weight"] / len(waves) ** 0.5
    return torch.einsum("oc,chw->ohw", weight, torch.stack(waves))[None]


def network(radial: bool) -> StyleGAN3:
    made = StyleGAN3(
        "t", "t-w", SIDE, config="r" if radial else "t", channel_base=BASE, channel_max=MOST, layers=LAYERS, w_dim=W
    )
    made.load_state_dict(published_state(radial), strict=True)
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize("radial", [False, True])
def test_image_and_features_are_the_papers(radial: bool) -> None:
    ws = torch.randn(2, LAYERS + 2, W, generator=torch.Generator().manual_seed(1))
    made = network(radial)
    wanted = [paper(published_state(radial), row) for row in ws]
    for count in (1, 2):
        got = [made.synthesize(ws[:count], stop=k) for k in range(len(made.layers))] + [made.synthesize(ws[:count])]
        for k, feature in enumerate(got):
            assert reference_generators.relative_error(feature, torch.cat([each[k] for each in wanted[:count]])) <= 1e-4


def test_mapping_is_the_papers() -> None:
    made, state = network(False), published_state(False)
    x = reference_generators.unit_rms(z := torch.randn(3, W, generator=torch.Generator().manual_seed(2)).double())
    for index in range(2):
        y = reference_generators.linear(
            x, state[f"mapping.fc{index}.weight"], state[f"mapping.fc{index}.bias"], lr=0.01
        )
        x = reference_generators.lrelu(y) * 2**0.5
    assert reference_generators.relative_error(made.map(z.float()), x) <= 1e-4
    assert torch.equal(made.w_avg, state["mapping.w_avg"])


@pytest.mark.parametrize("radial", [False, True])
def test_filters_are_those_of_kaisers_equations(radial: bool) -> None:
    made = StyleGAN3(
        "t", "t-w", SIDE, config="r" if radial else "t", channel_base=BASE, channel_max=MOST, layers=LAYERS, w_dim=W
    )
    own, wanted = made.state_dict(), published_state(radial)
    filters = [key for key in wanted if key.endswith("_filter")]
    assert filters and {own[key].ndim for key in filters if "down" in key} == ({1, 2} if radial else {1})
    for key in filters:
        torch.testing.assert_close(own[key], wanted[key], rtol=0, atol=1e-6)


def test_a_filter_passes_its_band_and_stops_what_lies_beyond() -> None:
    taps = alias_free.low_pass(48, 8.0, 8.0, 128.0)
    assert taps is not None
    place = (torch.arange(48) - 23.5) / 128

    def response(frequency: float) -> float:
        return abs(float((taps * torch.cos(2 * math.pi * frequency * place)).sum()))

    assert response(0) == pytest.approx(1, abs=1e-6) and response(3.5) > 0.98
    assert max(response(f) for f in range(13, 64)) < 0.02


def test_the_1024_network_has_the_published_size_and_names() -> None:
    with torch.device("meta"):
        made = StyleGAN3("stylegan3-t-ffhq-1024", "ffhq-stylegan3-w")
    assert made.synthesis.names == NAMES_1024
    assert round(sum(p.numel() for p in made.parameters()) / 1e6, 1) == 22.3
    assert made.num_ws == 16 and made.layers[0].resolution == 36 and made.layers[0].slots == (0,)
    shapes = {key: tuple(value.shape) for key, value in made.state_dict().items()}
    assert shapes["synthesis.input.weight"] == (512, 512) and shapes["synthesis.input.freqs"] == (512, 2)
    assert shapes["synthesis.L2_52_512.up_filter"] == (24,) and shapes["synthesis.L2_52_512.down_filter"] == (12,)
    assert "synthesis.L14_1024_3.up_filter" not in shapes and shapes["synthesis.L14_1024_3.weight"] == (3, 32, 1, 1)


def test_moving_the_input_moves_the_image() -> None:
    """Translation equivariance, which the filters are there for: the input moved by whole pixels of the image."""
    made = stylegan3.tiny()
    ws = made.broadcast(made.sample(1, seed=4))
    still = made.synthesize(ws)
    made.synthesis.input.transform[0, 2] = 4 / made.resolution  # the picture's content moves to the left
    moved = made.synthesize(ws)
    error = (moved[..., 6:-10] - still[..., 10:-6]).square().mean()
    assert error < 0.05 * still.var() and (moved - still).square().mean() > 10 * error


def test_impossible_settings_are_named() -> None:
    with pytest.raises(ValueError, match="100 pixels"):
        StyleGAN3("t", "t-w", 100)
    with pytest.raises(ValueError, match="'x'"):
        StyleGAN3("t", "t-w", 32, config="x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("resolution", "config", "base", "parameters"),
    [(1024, "t", 32768, 22_313_167), (1024, "r", 32768, 15_093_151), (256, "r", 16384, 15_779_565)],
)
def test_the_parameters_are_those_of_the_papers_configurations(
    resolution: int, config: str, base: int, parameters: int
) -> None:
    """Layer by layer: R has 1x1 kernels and twice the channels.

    The 15.8M that are said of R are no other layers: they come out at 256 pixels with half the base, 15.1M at 1024.
    """
    wider, side = (2, 1) if config == "r" else (1, 3)
    cutoffs = [2 * (resolution / 4) ** min(index / 12, 1) for index in range(14)]
    widths = [round(min(wider * base / 2 / cutoff, wider * 512)) for cutoff in cutoffs] + [3]
    total = 2 * (512 * 512 + 512) + widths[0] ** 2 + 4 * 512 + 4  # mapping, and the input with what places it
    for index, width in enumerate(widths):
        below, kernel = widths[max(index - 1, 0)], side if index < 14 else 1
        total += width * below * kernel**2 + width + below * 512 + below
    with torch.device("meta"):
        network = StyleGAN3("a", "a-w", resolution, config=config, channel_base=base)
    print(config, resolution, sum(value.numel() for value in network.parameters()))
    assert sum(value.numel() for value in network.parameters()) == total == parameters
