"""What a published layout is: how it is told by its keys, its sizes, and where each tensor lies in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vidinv.errors import WeightsUnavailable

State = Mapping[str, Tensor]
# The filters, which some files repeat and others leave out, and BatchNorm's step counters.
CONSTANT = r"(.*\.)?((blur|upsample)\.kernel|num_batches_tracked)"
HIGHEST = 10_000  # that a key may count to
WIDEST, LONGEST = 8192, 64  # channels, and residual blocks of a stage: beyond them a key is wrong


@dataclass(frozen=True)
class Format:
    """One published layout.

    `marks`: patterns of keys, each of which at least one key has. `settings`: what the architecture is built with, from
    the tensors' shapes; `choices`: more of it from what the file holds beside the state (of which it `reads` these) and
    from what the user asked for (which may be these `options`). `source`: the name in the file of a tensor of ours.
    `average`: where the average latent lies. `prepared`: the state before anything is looked up in it. `idle`: tensors
    that say nothing which ours do not know. `constant`: a pattern of ours that need not be in the file.
    """

    name: str
    kind: str
    architecture: str
    marks: tuple[str, ...]
    settings: Callable[[State], dict[str, Any]]
    source: Callable[[str], str] = str
    average: str | None = None
    prepared: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    idle: Callable[[str, Tensor], bool] = lambda key, value: key.endswith("num_batches_tracked")
    constant: str = CONSTANT
    choices: Callable[[Mapping[str, Any], Mapping[str, str]], dict[str, Any]] = lambda beside, asked: {}
    options: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    def fits(self, keys: Iterable[str]) -> bool:
        """Whether every mark is among the keys."""
        keys = list(keys)
        return all(any(re.fullmatch(mark, key) for key in keys) for mark in self.marks)


def most_common(values: Iterable[int], what: str) -> int:
    """The value that most of several tensors agree on, so that a single wrong one is found out, not believed."""
    counted = Counter(values).most_common(1)
    if not counted:
        raise _untold(what)
    return counted[0][0]


def sizes(state: State, pattern: str, axis: int) -> list[int]:
    """Sizes along an axis of all tensors whose keys match."""
    return [v.shape[axis] for k, v in state.items() if re.fullmatch(pattern, k) and -v.ndim <= axis < v.ndim]


def numbers(state: State, pattern: str) -> list[int]:
    """The numbers in the keys that match, as their first group."""
    return [int(found[1]) for key in state if (found := re.fullmatch(pattern, key))]


def largest(state: State, pattern: str, what: str) -> int:
    """The largest of these numbers."""
    found = numbers(state, pattern)
    if not found:
        raise _untold(what)
    if max(found) > HIGHEST:
        raise WeightsUnavailable(f"a key counts its {what} to {max(found)}, which cannot be")
    return max(found)


def counted(state: State, pattern: str, what: str) -> int:
    """How many of these numbers there are; those of few keys are left out, so that a stray key is not believed."""
    found = Counter(numbers(state, pattern))
    if not found:
        raise _untold(what)
    most = max(found.values())
    return sum(2 * count >= most for count in found.values())


def stages(counts: Iterable[int], widths: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """(channels, residual blocks) of each stage. Raises WeightsUnavailable for what cannot be."""
    made = tuple(zip(widths, counts, strict=True))
    for width, count in made:
        if not (0 < width <= WIDEST and 0 < count <= LONGEST):
            raise WeightsUnavailable(f"by its keys a stage has {count} blocks of {width} channels, which cannot be")
    return made


def _untold(what: str) -> WeightsUnavailable:
    return WeightsUnavailable(f"the file does not say its {what}", remedy="its keys are incomplete")
