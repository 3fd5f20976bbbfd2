"""What the occlusion network is taught with: things before faces, with their true alpha."""

from __future__ import annotations

import numpy as np
import torch

from vidinv.faces.occlusion import OcclusionNetwork
from vidinv.trainers.augment import occluders
from vidinv.trainers.occlusion import train as occlusion_training


def faces(count: int, value: int) -> torch.Tensor:
    return torch.full((count, 3, 128, 128), value, dtype=torch.uint8)


def test_what_is_laid_over_a_face_is_where_its_alpha_says() -> None:
    face, other = np.zeros((128, 128, 3), np.float32), np.ones((128, 128, 3), np.float32)
    drawn = [occluders.paste_occluder(face, other, np.random.default_rng(seed)) for seed in range(60)]
    for shown, alpha in drawn:
        assert shown.dtype == np.float32 and shown.min() >= 0 and shown.max() <= 1
        assert alpha.min() >= 0 and alpha.max() <= 1 + 1e-6
        assert (shown[alpha == 0] == 0).all()
    assert np.mean([alpha.max() > 0.5 for _, alpha in drawn]) > 0.8


def test_every_shape_is_drawn() -> None:
    for draw in occluders.SHAPES:
        shares = [(draw(128, np.random.default_rng(seed)) > 0.5).mean() for seed in range(30)]
        assert 0.005 < np.median(shares) < 0.6, draw.__name__


def test_samples_are_of_their_seed_alone_and_some_are_clear() -> None:
    first, again = (occlusion_training.draw(faces(32, 90), faces(32, 200), np.random.default_rng(4)) for _ in range(2))
    assert torch.equal(first.image, again.image) and torch.equal(first.alpha, again.alpha)
    clear = (first.alpha.amax((1, 2)) == 0).float().mean()
    assert 0.1 < clear < 0.7 and first.image.abs().max() <= 1
    assert (first.weight[:, 64, 64] == 1).all() and (first.weight[:, 0, 0] < 1).all()


def test_the_loss_wants_the_alpha_where_it_counts() -> None:
    alpha, weight = torch.zeros(1, 128, 128), torch.ones(1, 128, 128)
    alpha[:, :, 40:80] = 1
    weight[:, :20] = 0
    sample = occlusion_training.OccludedSamples(torch.zeros(1, 3, 128, 128), alpha, weight)
    right = 20 * (alpha - 0.5)
    wrong_outside = right.clone()
    wrong_outside[:, :20] *= -1
    assert occlusion_training.loss(right, sample) < 0.01 and occlusion_training.loss(-right, sample) > 5
    assert torch.equal(occlusion_training.loss(wrong_outside, sample), occlusion_training.loss(right, sample))


def test_the_network_learns_from_its_loss() -> None:
    torch.manual_seed(0)
    network = OcclusionNetwork().train()
    sample = occlusion_training.draw(faces(4, 90), faces(4, 200), np.random.default_rng(5))
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    values = []
    for _ in range(12):
        value = occlusion_training.loss(network(sample.image), sample)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert values[-1] < 0.9 * values[0]
