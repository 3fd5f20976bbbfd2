"""Synthetic training samples: latent codes of the generator, with truncation and style mixing."""

from __future__ import annotations

import torch
from torch import Tensor

from vidinv.generators.base import Generator


def sample_ws(generator: Generator, count: int, *, seed: int, mixing: float = 0.4) -> Tensor:
    """ws [count,L,D]: psi drawn in [0.6, 1] per sample; with probability `mixing` a second w from a random slot on."""
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(2 * count, generator.z_dim, generator=random).to(generator.w_avg.device)
    w = generator.map(z)
    psi = torch.rand(2 * count, 1, generator=random).to(w) * 0.4 + 0.6
    first, second = generator.w_avg.lerp(w, psi).split(count)
    split = torch.randint(1, generator.num_ws, (count,), generator=random)
    split[torch.rand(count, generator=random) >= mixing] = generator.num_ws
    rows = torch.arange(generator.num_ws)[None] < split[:, None]  # [N,L]
    return torch.where(rows[..., None].to(w.device), first[:, None], second[:, None])
