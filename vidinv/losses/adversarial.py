"""Compute StyleGAN2's adversarial losses (softplus of logits [N,1]) and R1; all are means over the batch.

sp(x) = log(1 + e^x). An untrained discriminator, whose logits are 0, has the loss 2 log 2 = 1.3863.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus


def discriminator(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Return the discriminator's loss sp(-D(x)) + sp(D(G(z))) (Goodfellow et al., eq. 1), a scalar."""
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def generator(fake_logits: Tensor) -> Tensor:
    """Return the generator's non-saturating loss sp(-D(G(z))), a scalar."""
    return softplus(-fake_logits).mean()


def r1(images: Tensor, logits: Tensor) -> Tensor:
    """Return ||grad D(x)||^2 of real pictures (Mescheder et al., eq. 9), without the weight gamma / 2; a scalar.

    `images` [N,3,S,S] require gradients and `logits` [N,1] were computed from them; the penalty is differentiable.
    """
    (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return slope.square().sum((1, 2, 3)).mean()
