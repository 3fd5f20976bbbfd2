"""The encoder's training at a tiny size: its batches, and that a stopped training goes on as if it had not stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from trainers import feature_style
from trainers.feature_style import Recipe
from vidinv.encoders import feature_style_light
from vidinv.encoders.registry import TINY_SIZES
from vidinv.generators.mobile_stylegan import MobileStyleGAN
from vidinv.generators.proxy import Proxy, ProxyHead

AT = 2


class PooledPixels(nn.Module):
    """A person is the picture at 8x8."""

    def embed(self, image: Tensor) -> Tensor:
        return functional.normalize(functional.adaptive_avg_pool2d(image.float(), 8).flatten(1), dim=1)


@pytest.fixture(scope="module")
def proxy() -> Proxy:
    """A random generator with the 64x64 feature that the head reads, and a random head."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = MobileStyleGAN("small", "small-w", channels=(16, 16, 16, 16, 8), w_dim=16)
        generator.w_avg.copy_(generator.sample(200, seed=1).detach().mean(0))
        return Proxy(generator, ProxyHead(channels=8, width=8, slots=3, w_dim=16)).eval().requires_grad_(False)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(value, b[key]) for key, value in a.items())


def test_pasting_puts_a_rectangle_of_the_neighbour_into_every_second_feature() -> None:
    levels = torch.arange(4.0)[:, None, None, None].expand(4, 3, 16, 16)  # every sample its own level
    for seed in range(20):
        mixed = feature_style.paste_cells(levels, torch.Generator().manual_seed(seed))
        assert torch.equal(mixed[1::2], levels[1::2])
        for n in (0, 2):
            pasted = mixed[n, 0] != levels[n, 0]
            rows, columns = pasted.any(1).nonzero()[:, 0], pasted.any(0).nonzero()[:, 0]
            box = pasted[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert box.all() and 1 < box.shape[0] <= 8 and 1 < box.shape[1] <= 8
            assert (mixed[n][:, pasted] == levels[n - 1, 0, 0, 0]).all()


def test_a_batch_depends_on_its_seed_alone(proxy: Proxy) -> None:
    first = feature_style.draw(proxy, AT, 4, seed=5)
    torch.rand(3)  # the global generator moves on; the batch must not care
    again, other = feature_style.draw(proxy, AT, 4, seed=5), feature_style.draw(proxy, AT, 4, seed=6)
    assert same(vars(first), vars(again))
    assert not torch.equal(first.ws, other.ws) and not torch.equal(first.seen, other.seen)
    assert first.image.shape == first.seen.shape == (4, 3, 128, 128)


def test_an_exact_picture_is_what_its_code_draws(proxy: Proxy) -> None:
    batch = feature_style.draw(proxy, AT, 8, seed=1)
    assert batch.exact.any() and not batch.exact.all()
    drawn = proxy(batch.ws, batch.feature, AT).clamp(-1.1, 1.1)
    assert torch.equal(drawn[batch.exact], batch.image[batch.exact])


class Run:
    """A training at its start: encoder, its average and optimiser."""

    def __init__(self, proxy: Proxy, seed: int) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.encoder = feature_style_light.for_generator(proxy.generator, **TINY_SIZES)
        self.average = {key: value.detach().clone() for key, value in self.encoder.state_dict().items()}
        self.optimiser = torch.optim.AdamW(self.encoder.parameters(), lr=1e-3)

    def step(self, proxy: Proxy, number: int) -> dict[str, float]:
        batch = feature_style.draw(proxy, AT, 2, seed=number)
        total, parts = feature_style.losses(self.encoder, proxy, PooledPixels(), batch, Recipe(), AT)  # type: ignore[arg-type]
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        self.optimiser.step()
        return parts


def test_a_restored_training_takes_the_identical_next_step(proxy: Proxy, tmp_path: Path) -> None:
    kept, restored = Run(proxy, seed=0), Run(proxy, seed=1)
    for number in range(2):
        kept.step(proxy, number)
    feature_style.save(tmp_path, kept.encoder, kept.average, kept.optimiser, step=2, spent=7.5)
    found = feature_style.restore(tmp_path, restored.encoder, restored.average, restored.optimiser)
    assert found == (2, 7.5)
    assert same(kept.average, restored.average)
    assert kept.step(proxy, 2) == restored.step(proxy, 2)
    assert same(kept.encoder.state_dict(), restored.encoder.state_dict())


def test_without_a_saved_state_a_training_starts_at_zero(proxy: Proxy, tmp_path: Path) -> None:
    run = Run(proxy, seed=0)
    assert feature_style.restore(tmp_path, run.encoder, run.average, run.optimiser) == (0, 0.0)
