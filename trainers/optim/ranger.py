"""Optimise with Ranger, as the published Feature-Style training does: RAdam, Lookahead and centralised gradients.

RAdam: Liu et al., "On the Variance of the Adaptive Learning Rate and Beyond"; Lookahead: Zhang et al., "Lookahead
Optimizer: k steps forward, 1 step back"; centralisation: Yong et al., "Gradient Centralization".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Ranger(torch.optim.RAdam):
    """RAdam on centralised gradients; every `k` steps slow weights move by `alpha` to them and replace them."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.95, 0.999),
        eps: float = 1e-5,
        k: int = 6,
        alpha: float = 0.5,
    ) -> None:
        super().__init__(parameters, lr=lr, betas=betas, eps=eps)
        self.k, self.alpha = k, alpha

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step; the state of each parameter also holds `slow`, so that a resume is exact."""
        started: dict[nn.Parameter, Tensor] = {}
        for parameter in self._trained():
            assert parameter.grad is not None
            if parameter.grad.ndim > 1:
                parameter.grad -= parameter.grad.mean(tuple(range(1, parameter.grad.ndim)), keepdim=True)
            if "slow" not in self.state[parameter]:
                started[parameter] = parameter.detach().clone()
        result = super().step(closure)
        for parameter in self._trained():
            state = self.state[parameter]
            if parameter in started:
                state["slow"] = started[parameter]
            if int(state["step"]) % self.k == 0:
                slow: Tensor = state["slow"]
                slow.lerp_(parameter, self.alpha)
                parameter.copy_(slow)
        return result

    def _trained(self) -> list[nn.Parameter]:
        return [p for group in self.param_groups for p in group["params"] if p.grad is not None]
