"""Latent projection: compare an autoencoder's encoder with a projector that optimises codes, by LPIPS and CPU time."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from vidinv.jobs.autoencoder.trained import BATCH, Autoencoder
from vidinv.losses.lpips import LPIPS

RATE, RISE, FALL = 0.1, 0.05, 0.25  # Adam's rate; shares of the steps of its warm-up and decay


@dataclass(frozen=True)
class ProjectedCodes:
    """Codes [N,L,D] after `steps`, with the CPU seconds per picture and the LPIPS, means over the pictures."""

    codes: Tensor
    steps: int
    seconds: float
    lpips: float


def encode_faces(of: Autoencoder, image: Tensor, perceptual: LPIPS) -> ProjectedCodes:
    """The encoder's codes; the time includes drawing them, because a projector draws its codes as well."""
    begun = time.process_time()
    codes = of.encode(image)
    of.draw(codes)
    return ProjectedCodes(
        codes, 0, (time.process_time() - begun) / len(image), mean_lpips(of, codes, image, perceptual)
    )


def project_faces(of: Autoencoder, image: Tensor, start: Tensor, steps: int, perceptual: LPIPS) -> ProjectedCodes:
    """Optimise codes from `start` by `steps` of Adam on LPIPS + the mean squared error of each picture.

    They are in W where `start` is [N,1,D], in W+ where it is [N,L,D].
    """
    begun, codes = time.process_time(), []
    for part, first in zip(image.split(BATCH), start.split(BATCH), strict=True):
        w = first.clone().requires_grad_()
        optimiser = torch.optim.Adam([w], lr=RATE)
        distance = perceptual.against(part)
        for step in range(steps):
            share = (step + 1) / steps
            optimiser.param_groups[0]["lr"] = RATE * min(1.0, share / RISE) * min(1.0, (1 - share) / FALL + 1e-3)
            made = of.generator.synthesize(w.expand(-1, of.generator.num_ws, -1))
            loss = (distance(made) + (made - part).square().mean((1, 2, 3))).sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        codes.append(w.detach().expand(-1, of.generator.num_ws, -1))
    found = torch.cat(codes)
    seconds = (time.process_time() - begun) / len(image)
    return ProjectedCodes(found, steps, seconds, mean_lpips(of, found, image, perceptual))


@torch.no_grad()
def mean_lpips(of: Autoencoder, codes: Tensor, image: Tensor, perceptual: LPIPS) -> float:
    """The mean LPIPS between the pictures [N,3,S,S] and those that their codes draw."""
    pairs = zip(of.draw(codes).split(BATCH), image.split(BATCH), strict=True)
    return float(torch.cat([perceptual(a, b) for a, b in pairs]).mean())
