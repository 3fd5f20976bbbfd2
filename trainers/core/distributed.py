"""Make several processes compute the gradients that one process with the whole batch would compute.

Each process takes the mean loss over its rows of the global batch, and the loop averages the gradients. That equals
one process if a loss is a mean over rows. A statistic of the batch (a deviation, a divergence) gets all rows from
`gather_rows`, and random numbers are drawn row by row (`trainers/core/step_random.py`).

Gradients are averaged after the backward pass instead of by DistributedDataParallel's hooks: the hooks need each
network to be called once with every parameter in use, and do not support the second-order gradients of R1 and the path
length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor, distributed, nn


class Strategy(DDPStrategy):
    """Fabric's DDP strategy without hooks: every process has whole networks, and the loop averages the gradients."""

    def setup_module(self, module: nn.Module) -> nn.Module:  # type: ignore[override]
        return module


def process_count() -> int:
    """Return the number of processes."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def own_rows(whole: Tensor) -> Tensor:
    """Return this process's rows [N/P,...] of [N,...]."""
    return whole if process_count() == 1 else whole.chunk(process_count())[distributed.get_rank()]


def gather_rows(rows: Tensor) -> Tensor:
    """Return the rows [N/P,...] of all processes in order: [N,...]; differentiable twice.

    Every process must call it with the same shape.
    """
    return rows if process_count() == 1 else _Gather.apply(rows)


def over_all_processes(statistic: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """Turn a statistic of a batch, [N,...] -> [N,...], into one of the global batch that takes a process's own rows."""
    return lambda rows: own_rows(statistic(gather_rows(rows)))


def gradient_norm(slope: Tensor) -> Tensor:
    """Return the gradient norm of the mean loss over all processes; `slope` is the sum's gradient at own rows."""
    square = slope.detach().float().square().sum()
    if process_count() > 1:
        distributed.all_reduce(square)
    return square.sqrt() / process_count()


class _Gather(torch.autograd.Function):
    """All-gather: own rows -> the rows of all processes."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        rows = rows.contiguous()
        parts = [torch.empty_like(rows) for _ in range(process_count())]
        distributed.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return _OwnOfSum.apply(slope)


class _OwnOfSum(torch.autograd.Function):
    """The adjoint of `_Gather`: rows of all processes, summed over processes -> own rows."""

    @staticmethod
    def forward(ctx: Any, whole: Tensor) -> Tensor:
        total = whole.contiguous().clone()
        distributed.all_reduce(total)
        return own_rows(total).clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return _Gather.apply(slope)


@torch.no_grad()
def broadcast_weights(networks: Iterable[nn.Module]) -> None:
    """Copy the first process's parameters and buffers to all processes."""
    if process_count() == 1:
        return
    for network in networks:
        for value in network.state_dict().values():
            distributed.broadcast(value, 0)


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Average the gradients over all processes. A parameter without a gradient in every process keeps none."""
    if process_count() == 1:
        return
    parameters = list(parameters)
    has = parameters[0].new_tensor([value.grad is not None for value in parameters])
    slopes = [torch.zeros_like(value) if value.grad is None else value.grad for value in parameters]
    flat = torch.cat([*(slope.flatten() for slope in slopes), has])
    distributed.all_reduce(flat)
    total, anywhere = flat[: -len(has)] / process_count(), flat[-len(has) :]
    parts = total.split([value.numel() for value in parameters])
    for value, part, is_there in zip(parameters, parts, anywhere.tolist(), strict=True):
        value.grad = part.view_as(value).clone() if is_there else None
