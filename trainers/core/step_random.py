"""Draw the random numbers of a training step: per row for this process, or shared by all processes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from vidinv.trainers.data.step_sampler import seed_for


class StepRandom:
    """Source of random numbers for the loss of one optimiser step.

    The random numbers of a row are a function of (seed, turn, step, index of the draw, row of the global batch): each
    process draws only its own rows, and the result does not depend on the number of processes. Every process must
    draw in the same order.
    """

    def __init__(
        self, seed: int, turn: int = 0, step: str = "", *, rank: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        self.place, self.rank, self.device = (seed, turn, step), rank, torch.device(device)
        self._generator = torch.Generator(self.device if self.device.type == "cuda" else "cpu")
        self._draws = 0

    def shared(self) -> torch.Generator:
        """Return a CPU generator for one draw that is the same in all processes."""
        self._draws += 1
        return torch.Generator().manual_seed(seed_for(*self.place, self._draws, "shared"))

    def normal(self, count: int, *shape: int) -> Tensor:
        """Standard normal numbers [count,*shape], float32, for this process's `count` rows."""
        return self._rows(count, shape, torch.Tensor.normal_)

    def uniform(self, count: int, *shape: int) -> Tensor:
        """Numbers in [0,1) [count,*shape], float32, for this process's `count` rows."""
        return self._rows(count, shape, torch.Tensor.uniform_)

    def integers(self, low: int, high: int, count: int) -> Tensor:
        """Integers in [low,high) [count], int64, for this process's `count` rows."""
        return (low + (self.uniform(count) * (high - low)).long()).clamp(max=high - 1)

    def noise(self, fixed: Tensor, count: int) -> Tensor:
        """Noise maps [count,1,h,w] for this process's rows, in place of a generator's fixed map [1,1,h,w]."""
        return self.normal(count, *fixed.shape[1:]).to(fixed)

    def _rows(self, count: int, shape: tuple[int, ...], fill: Callable[..., Tensor]) -> Tensor:
        self._draws += 1
        made = torch.empty(count, *shape, device=self._generator.device)
        for place, row in enumerate(made):
            fill(row, generator=self._generator.manual_seed(self._seed(self.rank * count + place)))
        return made.to(self.device)

    def _seed(self, row: int) -> int:
        return seed_for(*self.place, self._draws, row)
