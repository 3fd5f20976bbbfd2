"""What several processes compute as if they were one that sees the whole batch.

Each has its rows of the global batch and the mean over them as its loss; the loop averages the gradients. That equals
one process where a loss is a mean over rows. What looks at several rows at once (a deviation or a divergence over the
batch) is handed all of them by `gathered`, and what is random is drawn row by row (`trainers/core/step_random.py`).

Gradients are averaged after the backward pass and not by DistributedDataParallel's hooks: these need each network to
be called once, with every parameter in use, and know nothing of the gradients of gradients that R1 and the path length
take.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, distributed, nn


class Strategy(DDPStrategy):
    """Fabric's processes, each with whole networks, without hooks on them."""

    def setup_module(self, module: nn.Module) -> nn.Module:  # type: ignore[override]
        return module


def count() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def own(whole: Tensor) -> Tensor:
    """This process's rows [N/P,...] of [N,...]."""
    return whole if count() == 1 else whole.chunk(count())[distributed.get_rank()]


def gathered(rows: Tensor) -> Tensor:
    """The rows [N/P,...] of all processes, in order: [N,...]. Has a gradient, and that one too.

    Every process has to call it, with the same shape.
    """
    return rows if count() == 1 else _Gather.apply(rows)


def over_all(statistic: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A function of a batch, [N,...] -> [N,...], as one of the process's rows: they count with those of the others."""
    return lambda rows: own(statistic(gathered(rows)))


def slope_length(slope: Tensor) -> Tensor:
    """The length of the gradient of the mean over all processes' losses; `slope` is of their sum, at own rows."""
    square = slope.detach().float().square().sum()
    if count() > 1:
        distributed.all_reduce(square)
    return square.sqrt() / count()


class _Gather(torch.autograd.Function):
    """Rows of every process -> the whole, at each of them."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        rows = rows.contiguous()
        parts = [torch.empty_like(rows) for _ in range(count())]
        distributed.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return _OwnOfSum.apply(slope)


class _OwnOfSum(torch.autograd.Function):
    """The adjoint: a whole at every process -> own rows of their sum."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor) -> Tensor:
        total = whole.contiguous().clone()
        distributed.all_reduce(total)
        return own(total).clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return _Gather.apply(slope)


@torch.no_grad()
def agree(networks: Iterable[nn.Module]) -> None:
    """Give all processes the first one's parameters and buffers."""
    if count() == 1:
        return
    for network in networks:
        for value in network.state_dict().values():
            distributed.broadcast(value, 0)


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Give all processes the mean of their gradients. A parameter that has none anywhere keeps none."""
    if count() == 1:
        return
    parameters = list(parameters)
    has = parameters[0].new_tensor([value.grad is not None for value in parameters])
    slopes = [torch.zeros_like(value) if value.grad is None else value.grad for value in parameters]
    flat = torch.cat([*(slope.flatten() for slope in slopes), has])
    distributed.all_reduce(flat)
    total, anywhere = flat[: -len(has)] / count(), flat[-len(has) :]
    parts = total.split([value.numel() for value in parameters])
    for value, part, is_there in zip(parameters, parts, anywhere.tolist(), strict=True):
        value.grad = part.view_as(value).clone() if is_there else None
