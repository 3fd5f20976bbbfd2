"""Fine-tune a generator with preconditioned Adam, which changes its other pictures as little as possible.

A generator that is fine-tuned to one picture forgets the rest, because each step changes all pictures. The effect of a
step dW on the rest is estimated by gradients g of rendered samples, each along a random picture: the squared change is
<dW, E[g g^T] dW>. As in Shampoo (Gupta et al.) and K-FAC this second moment is approximated by a product of one matrix
per axis of a weight, M = E[g g^T] of the gradient unfolded along that axis. Adam then works in coordinates V with
dW = c M_1^-1/2 V M_2^-1/2 ..., in which all directions change the samples equally: a step is long in directions that
do not change samples, and short in directions that do. The matrices are estimated once, from the frozen generator,
before the training.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.trainers.generator_tuning.context import differentiable

FIRST = 50_000  # seed of the first sample
COARSEST = 8  # side in pixels of a random picture's coarsest octave


@dataclass(frozen=True)
class Preconditioner:
    """Preconditioner of one weight: M^-1/2 (symmetric) for every axis, and the factor c."""

    axes: tuple[Tensor, ...]
    scale: float

    def __call__(self, value: Tensor) -> Tensor:
        """Return c M_1^-1/2 value M_2^-1/2 ..., mapping gradients of W to those of V, or steps of V to those of W."""
        for matrix in self.axes:
            value = torch.tensordot(value, matrix, ([0], [0]))  # the first axis becomes the last
        return value * self.scale


class PreconditionedAdam(torch.optim.Adam):
    """Adam in the coordinates of preconditioners, one per parameter.

    A step of `lr` in one coordinate changes rendered samples by about `lr` (rms, in [-1,1]).
    """

    def __init__(
        self, parameters: Sequence[nn.Parameter], preconditioners: Sequence[Preconditioner], **options: Any
    ) -> None:
        if len(parameters) != len(preconditioners):
            raise ValueError(
                f"one preconditioner per parameter is needed, got {len(preconditioners)} for {len(parameters)}"
            )
        self.preconditioners = tuple(preconditioners)
        super().__init__(parameters, **options)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step; Adam's step of V is mapped to a step of W."""
        parameters = [p for group in self.param_groups for p in group["params"]]
        before = [p.clone() for p in parameters]
        for parameter, preconditioner in zip(parameters, self.preconditioners, strict=True):
            if parameter.grad is not None:
                parameter.grad = preconditioner(parameter.grad)
        found = super().step(closure)
        for parameter, was, preconditioner in zip(parameters, before, self.preconditioners, strict=True):
            parameter.copy_(was + preconditioner(parameter - was))
        return found


def build_preconditioners(
    generator: Generator, names: Iterable[str], damping: float, pictures: int, size: int, seed: int = FIRST
) -> dict[str, Preconditioner]:
    """Return preconditioners of the generator's weights by name, estimated from `pictures` samples at `size` pixels.

    `damping` is added to the matrices, whose mean diagonal is 1: with 0.01 no direction counts for less than a
    hundredth of the mean.
    """
    own = dict(generator.named_parameters())
    weights = {name: own[name] for name in names}
    moments: dict[str, list[Tensor]] = {}
    squares = dict.fromkeys(weights, 0.0)
    for k in range(pictures):
        for name, slope in _slopes(generator, weights, seed + k, size).items():
            matrices = [_moment(slope, axis) for axis in range(slope.ndim)]
            moments[name] = [a + b for a, b in zip(moments[name], matrices, strict=True)] if k else matrices
            squares[name] += float(slope.square().mean()) / pictures
    floor = 1e-6 * max(squares.values())
    return {
        name: Preconditioner(tuple(_root(matrix, damping) for matrix in found), max(squares[name], floor) ** -0.5)
        for name, found in moments.items()
    }


def _slopes(generator: Generator, weights: Mapping[str, nn.Parameter], seed: int, size: int) -> dict[str, Tensor]:
    """Return gradients of one rendered sample along a random picture, scaled to rms changes of the sample."""
    ws = generator.broadcast(generator.sample(1, seed))
    with differentiable(weights.values()):
        with torch.autocast(ws.device.type, torch.bfloat16):
            drawn = generator.synthesize(ws, size=generator.sizes[0])
        picture = resize(drawn.float(), size)
        along = _octaves(picture.shape, seed).to(picture)
        slopes = torch.autograd.grad((picture * along).sum() / picture.numel() ** 0.5, list(weights.values()))
    return dict(zip(weights, slopes, strict=True))


def _octaves(shape: Sequence[int], seed: int) -> Tensor:
    """Return a random picture [1,3,S,S] with equal variance in every octave from COARSEST to S."""
    generator = torch.Generator().manual_seed(seed)
    side, found = shape[-1], torch.zeros(*shape)
    while side >= COARSEST:
        noise = torch.randn(*shape[:2], side, side, generator=generator)
        found += torch.nn.functional.interpolate(noise, size=tuple(shape[-2:]), mode="nearest")
        side //= 2
    return found


def _moment(slope: Tensor, axis: int) -> Tensor:
    """Return g g^T of a gradient unfolded along an axis: [n,n]."""
    unfolded = slope.movedim(axis, 0).reshape(slope.shape[axis], -1)
    return unfolded @ unfolded.T


def _root(matrix: Tensor, damping: float) -> Tensor:
    """Return (M + damping)^-1/2 for M scaled to a mean diagonal of 1; the identity if M is zero."""
    mean = matrix.diagonal().mean()
    if mean <= 0:
        return torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    values, vectors = torch.linalg.eigh((matrix / mean).double())
    return ((vectors * (values.clamp(min=0) + damping).rsqrt()) @ vectors.T).to(matrix)
