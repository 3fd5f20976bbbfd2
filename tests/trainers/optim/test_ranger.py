"""Ranger against RAdam with the gradients centralised and the weights looked back to by hand."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from vidinv.trainers.optim.ranger import Ranger


def gradient(step: int, shape: torch.Size) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(step)) + 0.5


def test_it_is_radam_on_centralised_gradients_with_lookahead() -> None:
    start = torch.randn(4, 3, generator=torch.Generator().manual_seed(99))
    ours, theirs, slow = nn.Parameter(start.clone()), nn.Parameter(start.clone()), start.clone()
    ranger = Ranger([ours], lr=0.05, k=3, alpha=0.25)
    radam = torch.optim.RAdam([theirs], lr=0.05, betas=(0.95, 0.999), eps=1e-5)
    for step in range(1, 14):
        drawn = gradient(step, start.shape)
        ours.grad, theirs.grad = drawn.clone(), drawn - drawn.mean(1, keepdim=True)
        ranger.step()
        radam.step()
        if step % 3 == 0:
            slow = slow + 0.25 * (theirs.detach() - slow)
            theirs.data.copy_(slow)
        torch.testing.assert_close(ours, theirs)


def test_a_training_continued_from_its_state_is_one_never_stopped() -> None:
    weights = [nn.Parameter(torch.ones(4, 3)), nn.Parameter(torch.ones(3))]
    whole = copy.deepcopy(weights)
    parted, resumed = Ranger(weights, lr=0.05), None
    never = Ranger(whole, lr=0.05)
    for step in range(20):
        if step == 9:
            resumed = Ranger(weights, lr=0.05)
            resumed.load_state_dict(copy.deepcopy(parted.state_dict()))
            parted = resumed
        for group, optimiser in ((weights, parted), (whole, never)):
            for n, parameter in enumerate(group):
                parameter.grad = gradient(100 * n + step, parameter.shape)
            optimiser.step()
    for a, b in zip(weights, whole, strict=True):
        assert torch.equal(a, b)
