"""Codes by scale: which rows a scale has, what a mixture, a variation, an attribute and four corners hold."""

from __future__ import annotations

import pytest
import torch

from vidinv.editing import style_mixing
from vidinv.errors import UsageError
from vidinv.generators import registry
from vidinv.generators.base import Generator


@pytest.fixture(scope="module", params=["automodulator-tiny", "stylegan2-tiny", "mobile-stylegan-tiny"])
def generator(request: pytest.FixtureRequest) -> Generator:
    return registry.load_generator(request.param)


def test_a_scale_has_the_rows_that_layers_of_its_sides_read() -> None:
    modulator, gan = (
        registry.load_generator("automodulator-tiny"),
        registry.load_generator("stylegan2-tiny"),
    )  # to 32 and 64 pixels
    assert [style_mixing.rows(modulator, scale) for scale in ("coarse", "medium", "8-16", "all")] == [
        *((0, 4), (4, 8), (2, 6), (0, 8))
    ]
    assert [style_mixing.rows(gan, scale) for scale in ("coarse", "medium", "fine")] == [(0, 3), (3, 7), (7, 10)]
    for scale in ("fine", "rough", "8", "64-8"):
        with pytest.raises(UsageError):
            style_mixing.rows(modulator, scale)


def test_a_mixture_keeps_every_canvas_below_the_rows_it_takes(generator: Generator) -> None:
    a, b = (generator.broadcast(generator.sample(2, seed=seed)) for seed in (1, 2))
    medium = style_mixing.rows(generator, "medium")
    mixed = style_mixing.mix(a, b, medium)
    below = [k for k, spec in enumerate(generator.layers) if spec.resolution <= 8][-1]
    assert torch.equal(generator.synthesize(mixed, stop=below), generator.synthesize(a, stop=below))
    assert not torch.allclose(generator.synthesize(mixed), generator.synthesize(a))
    assert torch.equal(style_mixing.mix(a, a, medium), a) and torch.equal(
        style_mixing.mix(a, b, (0, generator.num_ws)), b
    )


def test_variations_share_the_scale_that_is_kept_and_differ_in_the_rest(generator: Generator) -> None:
    ws = generator.broadcast(generator.sample(1, seed=3))
    first, last = style_mixing.rows(generator, "coarse")
    varied = style_mixing.vary(generator, ws, (first, last), 5, seed=0)
    assert torch.equal(varied[:, first:last], ws[:, first:last].expand(5, -1, -1))
    assert varied[:, last:].std(0).mean() > 0.5 * generator.sample(50, seed=1).std(0).mean()
    assert torch.equal(varied, style_mixing.vary(generator, ws, (first, last), 5, seed=0))


def test_an_attribute_is_what_the_exemplars_differ_in_and_moves_its_scale_alone(generator: Generator) -> None:
    direction = torch.nn.functional.normalize(
        torch.randn(generator.w_dim, generator=torch.Generator().manual_seed(0)), dim=0
    )
    codes = generator.broadcast(generator.sample(64, seed=4))
    along = style_mixing.attribute(codes + direction, codes)
    torch.testing.assert_close(along, direction.expand(generator.num_ws, -1), rtol=1e-3, atol=1e-4)
    first, last = style_mixing.rows(generator, "8-16")
    ws = codes[:3]
    moved = style_mixing.shift(generator, ws, along, 0.7, (first, last))
    kept = [row for row in range(generator.num_ws) if not first <= row < last]
    torch.testing.assert_close(moved[:, kept], ws[:, kept])
    wanted = style_mixing.on_its_manifold(generator, ws + 0.7 * direction)
    torch.testing.assert_close(moved[:, first:last], wanted[:, first:last], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(style_mixing.shift(generator, ws, along, 0.0, (0, last)), ws)
    for count in (3, 65):
        with pytest.raises(UsageError, match=f"{count} exemplars"):
            style_mixing.attribute(torch.zeros(count, 2, 4), codes[:8, :2, :4])


def test_four_corners_are_the_codes_and_an_automodulators_stay_on_the_sphere(generator: Generator) -> None:
    corners = generator.broadcast(generator.sample(4, seed=5))
    found = style_mixing.between_four(generator, corners, 5)
    assert found.shape == (25, generator.num_ws, generator.w_dim)
    torch.testing.assert_close(found[[0, 4, 20, 24]], corners)
    middle = style_mixing.on_its_manifold(generator, corners.mean(0, keepdim=True))
    torch.testing.assert_close(found[12:13], middle)
    if generator.name.startswith("automodulator"):
        torch.testing.assert_close(found.norm(dim=2), torch.ones(25, generator.num_ws))
