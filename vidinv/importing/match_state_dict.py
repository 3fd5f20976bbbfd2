"""Copy a checkpoint's tensors into a network and report every missing, unused or mismatched tensor."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidinv.weights.importers.checkpoint import Checkpoint

SHOWN = 6  # keys in an error's line


@dataclass(frozen=True)
class Fit:
    """Match between a file and a network, with the names in the file."""

    missing: tuple[str, ...]
    unused: tuple[str, ...]
    wrong: tuple[str, ...]  # with the reason

    @property
    def whole(self) -> bool:
        """Return whether nothing is missing, unused or wrong."""
        return not (self.missing or self.unused or self.wrong)

    def __add__(self, other: Fit) -> Fit:
        return Fit(self.missing + other.missing, self.unused + other.unused, self.wrong + other.wrong)

    def __str__(self) -> str:
        said = ((self.wrong, "wrong"), (self.missing, "missing"), (self.unused, "unused"))
        return "; ".join(f"{what} ({len(keys)}): {_some(keys)}" for keys, what in said if keys)


@torch.no_grad()
def fill_network(network: nn.Module, found: Checkpoint) -> Fit:
    """Copy every matching tensor of a checkpoint into the network, and return the match.

    Shapes may differ by axes of size one. A tensor with non-finite values does not match.
    """
    rest, missing, wrong = dict(found.state), [], []
    if found.format.average is not None:
        rest.pop(found.format.average, None)
    for key, target in network.state_dict(keep_vars=True).items():
        name = found.format.source(key)
        value = rest.pop(name, None)
        if value is None:
            if not re.fullmatch(found.format.constant, key):
                missing.append(found.prefix + name)
        elif _squeezed(value) != _squeezed(target):
            wrong.append(f"{found.prefix}{name} is {shape(value)}, not {shape(target)}")
        elif not value.isfinite().all():
            wrong.append(f"{found.prefix}{name} is not finite")
        else:
            target.copy_(value.reshape(target.shape))
    unused = [found.prefix + name for name, value in rest.items() if not found.format.idle(name, value)]
    return Fit(tuple(missing), tuple(unused), tuple(wrong))


def shape(value: Tensor) -> str:
    """Return a tensor's shape as text: 3x4, or `a number`."""
    return "x".join(map(str, value.shape)) or "a number"


def _squeezed(value: Tensor) -> tuple[int, ...]:
    return tuple(side for side in value.shape if side != 1)


def _some(keys: tuple[str, ...]) -> str:
    return ", ".join(keys[:SHOWN]) + (" ..." if len(keys) > SHOWN else "")
