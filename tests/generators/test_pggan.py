"""PGGAN: published names and size, and parity with the paper's equations in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.helpers import reference_generators
from tests.helpers.published_pggan import WIDTHS, Z, published_state
from vidinv.generators.pggan import PGGAN


def paper(latent: Tensor, classes: int = 0) -> list[Tensor]:
    """latent [1,Z] -> all features, then the image."""
    state = {key: value.double() for key, value in published_state(classes).items()}
    x = reference_generators.unit_rms(latent.double())
    outs: list[Tensor] = []
    for k in range(2 * len(WIDTHS)):
        weight, bias = state[f"layer{k}.weight"], state[f"layer{k}.bias"]
        weight = weight * (2 / weight[0].numel()) ** 0.5
        if k == 0:  # a dense layer onto 4x4 pixels, the kernel read backwards
            x = torch.einsum("ni,oiyx->noyx", x, weight.flip(2, 3))
        else:
            if k % 2 == 0:
                x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
            x = functional.conv2d(functional.pad(x, [1] * 4), weight)
        x = reference_generators.unit_rms(reference_generators.lrelu(x + bias[:, None, None]))
        outs.append(x)
    last = len(WIDTHS) - 1
    weight = state[f"output{last}.weight"] / WIDTHS[32] ** 0.5
    return [*outs, functional.conv2d(x, weight, state[f"output{last}.bias"])]


@pytest.mark.parametrize("classes", [0, 3])
def test_image_and_features_are_the_papers(classes: int) -> None:
    network = PGGAN("test", "test-z", 32, channel_multiplier=6 * 32 / 16384, channel_max=12, z_dim=Z, c_dim=classes)
    network.load_state_dict(published_state(classes), strict=True)
    network.requires_grad_(False)
    z = torch.randn(2, Z, generator=torch.Generator().manual_seed(1))
    c = torch.eye(3)[:2] if classes else None
    w = network.map(z, c)
    wanted = [paper(torch.cat([z, c], 1)[i : i + 1] if c is not None else z[i : i + 1], classes) for i in range(2)]
    made = [network.synthesize(w[:, None], stop=k) for k in range(8)] + [network.synthesize(w[:, None])]
    for k, feature in enumerate(made):
        assert reference_generators.relative_error(feature, torch.cat([each[k] for each in wanted])) <= 1e-4


def test_the_1024_network_has_the_published_size() -> None:
    with torch.device("meta"):
        network = PGGAN("pggan-celebahq-1024", "celebahq-pggan-z")
    assert sum(p.numel() for p in network.parameters()) == 23_079_115
    assert network.num_ws == 1 and len(network.layers) == 18
