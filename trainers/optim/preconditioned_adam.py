"""Adam that leaves a generator's other pictures alone: it steps where every direction changes them by as much.

Fine-tuned to one picture, a generator forgets the rest, because a step that helps the one moves them all. What a step
dW does to the rest is told by gradients g of samples' pictures, each taken along a random picture: they change by
<dW, E[g g^T] dW>. As in Shampoo (Gupta et al.) and K-FAC that second moment is taken for a product of one matrix for
every axis of a weight, M = E[g g^T] of the gradient unfolded along it. Adam then works in coordinates V with
dW = c M_1^-1/2 V M_2^-1/2 ..., where all directions cost the samples alike: a step goes far where no sample looks, and
is short where they do. Only the frozen generator is asked, once, before the training.
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

FIRST = 50_000  # seed of the first sample that is asked
COARSEST = 8  # pixels of a random picture's coarsest octave


@dataclass(frozen=True)
class Preconditioner:
    """Of one weight: M^-1/2 for every axis, symmetric, and the factor c."""

    axes: tuple[Tensor, ...]
    scale: float

    def __call__(self, value: Tensor) -> Tensor:
        """c M_1^-1/2 value M_2^-1/2 ...; of gradients of W the gradient of V, of steps of V those of W."""
        for matrix in self.axes:
            value = torch.tensordot(value, matrix, ([0], [0]))  # its first axis becomes the last
        return value * self.scale


class GuardedAdam(torch.optim.Adam):
    """Adam in the coordinates of guards, one for every parameter.

    A step of `lr` in one coordinate changes the samples' pictures by about `lr` (rms, in [-1,1]).
    """

    def __init__(self, parameters: Sequence[nn.Parameter], guards: Sequence[Preconditioner], **options: Any) -> None:
        if len(parameters) != len(guards):
            raise ValueError(f"a guard for every parameter, got {len(parameters)} and {len(guards)}")
        self.guards = tuple(guards)
        super().__init__(parameters, **options)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """One step. What Adam adds to a parameter is a step of V, and becomes one of W."""
        parameters = [p for group in self.param_groups for p in group["params"]]
        before = [p.clone() for p in parameters]
        for parameter, guard in zip(parameters, self.guards, strict=True):
            if parameter.grad is not None:
                parameter.grad = guard(parameter.grad)
        found = super().step(closure)
        for parameter, was, guard in zip(parameters, before, self.guards, strict=True):
            parameter.copy_(was + guard(parameter - was))
        return found


def guards(
    generator: Generator, names: Iterable[str], damping: float, pictures: int, size: int, seed: int = FIRST
) -> dict[str, Preconditioner]:
    """Guards of the generator's weights by name, by so many samples of it at `size` pixels.

    `damping` is added to the matrices, whose mean diagonal is 1: with 0.01 no direction is taken for less than a
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
    """Gradients of one sample's picture along a random one, scaled so that they say rms changes of the picture."""
    ws = generator.broadcast(generator.sample(1, seed))
    with differentiable(weights.values()):
        with torch.autocast(ws.device.type, torch.bfloat16):
            drawn = generator.synthesize(ws, size=generator.sizes[0])
        picture = resize(drawn.float(), size)
        along = _octaves(picture.shape, seed).to(picture)
        slopes = torch.autograd.grad((picture * along).sum() / picture.numel() ** 0.5, list(weights.values()))
    return dict(zip(weights, slopes, strict=True))


def _octaves(shape: Sequence[int], seed: int) -> Tensor:
    """A random picture [1,3,S,S] with as much in every octave from COARSEST to S."""
    generator = torch.Generator().manual_seed(seed)
    side, found = shape[-1], torch.zeros(*shape)
    while side >= COARSEST:
        noise = torch.randn(*shape[:2], side, side, generator=generator)
        found += torch.nn.functional.interpolate(noise, size=tuple(shape[-2:]), mode="nearest")
        side //= 2
    return found


def _moment(slope: Tensor, axis: int) -> Tensor:
    """g g^T of a gradient unfolded along an axis: [n,n]."""
    unfolded = slope.movedim(axis, 0).reshape(slope.shape[axis], -1)
    return unfolded @ unfolded.T


def _root(matrix: Tensor, damping: float) -> Tensor:
    """(M + damping)^-1/2, M with a mean diagonal of 1; the identity of zeros, which nothing depends on."""
    mean = matrix.diagonal().mean()
    if mean <= 0:
        return torch.eye(len(matrix), dtype=matrix.dtype, device=matrix.device)
    values, vectors = torch.linalg.eigh((matrix / mean).double())
    return ((vectors * (values.clamp(min=0) + damping).rsqrt()) @ vectors.T).to(matrix)
