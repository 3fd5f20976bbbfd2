"""Measure the divergence of a batch of codes from the prior (Deep Automodulators, section 3.1)."""

from __future__ import annotations

from torch import Tensor


def prior_divergence(z: Tensor) -> Tensor:
    """Return D_KL of the batch's Gaussian from N(0, I), mean over the dimensions; z [N,D] -> scalar.

    (v + m^2) / 2 - ln(v) / 2 - 1/2 with the mean m and the variance v of each dimension over the batch. Samples of the
    prior have about 1 / N; codes spread evenly on the unit sphere tend to 2.620 at D = 512, and identical
    codes to infinity.
    """
    if z.ndim != 2 or len(z) < 2:
        raise ValueError(f"the divergence needs a batch [N,D] of at least two codes, got {tuple(z.shape)}")
    mean, variance = z.mean(0), z.var(0, correction=0)
    return ((variance + mean.square() - (variance + 1e-12).log() - 1) / 2).mean()


def gap(real: Tensor, fake: Tensor, margin: float) -> Tensor:
    """Return max(-margin, D(E(x)) - D(E(x^))), the adversarial part of the encoder's loss (eq. 1), a scalar.

    The gradient vanishes once codes of samples are farther from the prior than those of data by the margin.
    """
    return (real - fake).clamp(min=-margin)
