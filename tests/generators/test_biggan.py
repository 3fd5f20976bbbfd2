"""BigGAN-deep: published names and sizes, spectral norm folded, statistics by truncation, parity in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.helpers import reference_generators
from vidinv.generators.biggan import BigGAN
from vidinv.weights.importers import spectral

BLOCKS = ((True, 4, 4), (False, 4, 2), (True, 2, 1))
WIDTH, Z, CLASS, CLASSES, STATISTICS = 8, 10, 6, 4, 11
ATTENTION = 2


def published_state() -> dict[str, Tensor]:
    """Random values under the names and shapes of the PyTorch checkpoints, spectral norm as it is stored."""
    random = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=random)

    def spectral_weight(name: str, *shape: int) -> dict[str, Tensor]:
        weight = draw(*shape)
        u, _, v = torch.linalg.svd(weight.flatten(1), full_matrices=False)
        return {f"{name}.weight_orig": weight, f"{name}.weight_u": u[:, 0], f"{name}.weight_v": v[0]}

    def statistics(name: str, channels: int) -> dict[str, Tensor]:
        variances = 0.2 + torch.rand(STATISTICS, channels, generator=random)
        return {f"{name}.running_means": 0.3 * draw(STATISTICS, channels), f"{name}.running_vars": variances}

    w_dim = Z + CLASS
    state = {"embeddings.weight": draw(CLASS, CLASSES), "generator.gen_z.bias": draw(16 * 4 * WIDTH)}
    state |= spectral_weight("generator.gen_z", 16 * 4 * WIDTH, w_dim)
    place = 0
    for index, (_, c_in, c_out) in enumerate(BLOCKS):
        if index == ATTENTION:
            c, name = c_in * WIDTH, f"generator.layers.{place}"
            shapes = {"theta": (c // 8, c), "phi": (c // 8, c), "g": (c // 2, c), "o_conv": (c, c // 2)}
            for part, shape in shapes.items():
                state |= spectral_weight(f"{name}.snconv1x1_{part}", *shape, 1, 1)
            state[f"{name}.gamma"] = draw(1)
            place += 1
        name, inner = f"generator.layers.{place}", c_in * WIDTH // 4
        sizes = ((c_in * WIDTH, inner, 1), (inner, inner, 3), (inner, inner, 3), (inner, c_out * WIDTH, 1))
        for part, (read, made, side) in enumerate(sizes):
            state |= statistics(f"{name}.bn_{part}", read)
            state |= spectral_weight(f"{name}.bn_{part}.scale", read, w_dim)
            state |= spectral_weight(f"{name}.bn_{part}.offset", read, w_dim)
            state |= spectral_weight(f"{name}.conv_{part}", made, read, side, side)
            state[f"{name}.conv_{part}.bias"] = 0.1 * draw(made)
        place += 1
    state |= statistics("generator.bn", WIDTH)
    state |= {"generator.bn.weight": draw(WIDTH), "generator.bn.bias": draw(WIDTH)}
    state |= spectral_weight("generator.conv_to_rgb", WIDTH, WIDTH, 3, 3)
    return state | {"generator.conv_to_rgb.bias": 0.1 * draw(WIDTH)}


class Paper:
    """The forward pass in float64 from the stored state; the spectral norm is the largest singular value."""

    def __init__(self, truncation: float) -> None:
        self.state = {key: value.double() for key, value in published_state().items()}
        self.truncation = truncation

    def weight(self, name: str) -> Tensor:
        stored = self.state[f"{name}.weight_orig"]
        return stored / torch.linalg.svdvals(stored.flatten(1))[0]

    def normalized(self, name: str, x: Tensor) -> Tensor:
        """Statistics are stored for truncation 0, 0.1 ... 1 and are linear in between."""
        weights = (1 - (torch.linspace(0, 1, STATISTICS) - self.truncation).abs() * (STATISTICS - 1)).clamp_min(0)
        mean, variance = (weights.double() @ self.state[f"{name}.running_{kind}"] for kind in ("means", "vars"))
        return (x - mean[:, None, None]) / (variance + 1e-4).sqrt()[:, None, None]

    def convolve(self, name: str, x: Tensor, bias: bool = True) -> Tensor:
        weight = self.weight(name)
        side = weight.shape[-1] // 2
        made = functional.conv2d(functional.pad(x, [side] * 4), weight)
        return made + self.state[f"{name}.bias"][:, None, None] if bias else made

    def block(self, name: str, x: Tensor, w: Tensor, up: bool, c_out: int) -> Tensor:
        y = x
        for part in range(4):
            scale, shift = (self.weight(f"{name}.bn_{part}.{kind}") @ w for kind in ("scale", "offset"))
            y = self.normalized(f"{name}.bn_{part}", y) * (1 + scale)[:, None, None] + shift[:, None, None]
            y = y.clamp_min(0)
            if part == 1 and up:
                y = y.repeat_interleave(2, 2).repeat_interleave(2, 3)
            y = self.convolve(f"{name}.conv_{part}", y)
        kept = x[:, :c_out]
        return y + (kept.repeat_interleave(2, 2).repeat_interleave(2, 3) if up else kept)

    def attention(self, name: str, x: Tensor) -> Tensor:
        def cells(part: str) -> Tensor:
            made = self.convolve(f"{name}.snconv1x1_{part}", x, bias=False)
            return torch.stack([made[:, :, i::2, j::2] for i in (0, 1) for j in (0, 1)]).amax(0)[0].flatten(1)

        asked = self.convolve(f"{name}.snconv1x1_theta", x, bias=False)[0].flatten(1)
        keys, values = cells("phi"), cells("g")
        pixels = []
        for pixel in asked.T:
            weight = torch.exp(pixel @ keys)
            pixels.append(values @ (weight / weight.sum()))
        seen = torch.stack(pixels, 1).unflatten(1, x.shape[2:])[None]
        return x + self.state[f"{name}.gamma"] * self.convolve(f"{name}.snconv1x1_o_conv", seen, bias=False)

    def features(self, w: Tensor) -> list[Tensor]:
        """w [D] -> every feature, then the image."""
        w = w.double()
        x = self.weight("generator.gen_z") @ w + self.state["generator.gen_z.bias"]
        outs = [x.reshape(4, 4, 4 * WIDTH).permute(2, 0, 1)[None]]  # rows, columns, channels
        for index, (up, _, c_out) in enumerate(BLOCKS):
            if index == ATTENTION:
                outs.append(self.attention(f"generator.layers.{len(outs) - 1}", outs[-1]))
            outs.append(self.block(f"generator.layers.{len(outs) - 1}", outs[-1], w, up, c_out * WIDTH))
        weight, bias = self.state["generator.bn.weight"], self.state["generator.bn.bias"]
        x = self.normalized("generator.bn", outs[-1]) * weight[:, None, None] + bias[:, None, None]
        return [*outs, self.convolve("generator.conv_to_rgb", x.clamp_min(0))[:, :3].tanh()]


@pytest.fixture(scope="module")
def network() -> BigGAN:
    made = BigGAN(
        "test",
        "test-z",
        16,
        width=WIDTH,
        blocks=BLOCKS,
        attention_before=ATTENTION,
        z_dim=Z,
        class_dim=CLASS,
        classes=CLASSES,
        statistics=STATISTICS,
    )
    made.load_state_dict(spectral.fold_spectral_norm(published_state()), strict=True)
    return made.eval().requires_grad_(False)


@pytest.mark.parametrize("truncation", [1.0, 0.4, 0.73, 0.0])
def test_image_and_features_are_the_papers_at_every_truncation(network: BigGAN, truncation: float) -> None:
    network.truncation = truncation
    z = torch.randn(2, Z, generator=torch.Generator().manual_seed(1))
    w = network.map(z, torch.eye(CLASSES)[[0, 3]])
    embedding = published_state()["embeddings.weight"].T[[0, 3]]
    assert torch.equal(w, torch.cat([z, embedding], 1))
    wanted = [Paper(truncation).features(row) for row in w]
    made = [network.synthesize(w[:, None], stop=k) for k in range(len(network.layers))]
    for k, feature in enumerate([*made, network.synthesize(w[:, None])]):
        assert reference_generators.relative_error(feature, torch.cat([each[k] for each in wanted])) <= 1e-4
    network.truncation = 1.0


def test_folding_leaves_what_has_no_spectral_norm_alone() -> None:
    plain = {"a.weight": torch.ones(2, 2), "a.weight_u": torch.ones(2), "b.bias": torch.zeros(1)}
    assert spectral.fold_spectral_norm(plain).keys() == plain.keys()


@pytest.mark.parametrize(("resolution", "millions"), [(128, 50.4), (256, 55.9), (512, 56.2)])
def test_the_networks_have_the_published_sizes(resolution: int, millions: float) -> None:
    with torch.device("meta"):
        network = BigGAN("biggan", "imagenet-biggan-z", resolution)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 1) == millions
    attention = network.layers[9]
    assert (attention.name, attention.resolution) == ("attention", 64)
    assert attention.channels == (256 if resolution == 128 else 512)


def test_samples_are_cut_and_scaled_by_the_truncation() -> None:
    network = BigGAN(
        "t", "t-z", 32, width=8, blocks=((True, 4, 4), (True, 4, 2), (True, 2, 1)), statistics=3, classes=5
    )
    network.truncation = 0.4
    z = network.sample(500, seed=1)[:, :128].detach()
    assert z.abs().max() <= 0.8 and z.abs().max() > 0.75
    assert float(z.std()) == pytest.approx(0.4 * 0.88, abs=0.01)  # of a normal cut at two deviations


def test_blocks_of_another_resolution_are_refused() -> None:
    with pytest.raises(ValueError, match="64"):
        BigGAN("t", "t-z", 64)
    with pytest.raises(ValueError, match="16 pixels, not 32"):
        BigGAN("t", "t-z", 32, width=8, blocks=BLOCKS)
