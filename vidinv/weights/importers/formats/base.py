"""Describe a published checkpoint layout: how its keys identify it, its sizes, and the name of each tensor."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from vidinv.errors import WeightsUnavailable

State = Mapping[str, Tensor]
# Resampling filters, which some files repeat and others omit, and BatchNorm's step counters.
CONSTANT = r"(.*\.)?((blur|upsample)\.kernel|num_batches_tracked)"
HIGHEST = 10_000  # largest number in a valid key
WIDEST, LONGEST = 8192, 64  # largest valid number of channels, and of residual blocks per stage


@dataclass(frozen=True)
class Format:
    """One published layout.

    `marks`: key patterns that must each match at least one key. `settings`: the architecture's constructor arguments,
    from the tensors' shapes; `choices`: further arguments from the rest of the file (the entries named in `reads`) and
    from the user's settings (those named in `options`). `source`: the name in the file of one of our tensors.
    `average`: the key of the average latent. `prepared`: converts the state before any lookup. `idle`: whether an
    unused tensor of the file is redundant. `constant`: pattern of our tensors that may be absent from the file.
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
    choices: Callable[[Mapping[str, Any], Mapping[str, str]], dict[str, Any]] = lambda rest, requested: {}
    options: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()

    def fits(self, keys: Iterable[str]) -> bool:
        """Return whether every mark matches at least one key."""
        keys = list(keys)
        return all(any(re.fullmatch(mark, key) for key in keys) for mark in self.marks)


def most_common(values: Iterable[int], what: str) -> int:
    """Return the most common value, so that a single wrong tensor does not decide a size."""
    counted = Counter(values).most_common(1)
    if not counted:
        raise _untold(what)
    return counted[0][0]


def sizes(state: State, pattern: str, axis: int) -> list[int]:
    """Return the sizes along an axis of all tensors whose keys match."""
    return [v.shape[axis] for k, v in state.items() if re.fullmatch(pattern, k) and -v.ndim <= axis < v.ndim]


def numbers(state: State, pattern: str) -> list[int]:
    """Return the numbers in the first group of the keys that match."""
    return [int(found[1]) for key in state if (found := re.fullmatch(pattern, key))]


def largest_number(state: State, pattern: str, what: str) -> int:
    """Return the largest of these numbers. Raises WeightsUnavailable if there is none or it is implausible."""
    found = numbers(state, pattern)
    if not found:
        raise _untold(what)
    if max(found) > HIGHEST:
        raise WeightsUnavailable(f"a key gives its {what} the number {max(found)}, which is implausible")
    return max(found)


def count_numbers(state: State, pattern: str, what: str) -> int:
    """Count these numbers; numbers with few keys are ignored, so that a stray key has no effect."""
    found = Counter(numbers(state, pattern))
    if not found:
        raise _untold(what)
    most = max(found.values())
    return sum(2 * count >= most for count in found.values())


def stages(counts: Iterable[int], widths: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return (channels, residual blocks) of each stage. Raises WeightsUnavailable for implausible numbers."""
    made = tuple(zip(widths, counts, strict=True))
    for width, count in made:
        if not (0 < width <= WIDEST and 0 < count <= LONGEST):
            raise WeightsUnavailable(f"by its keys a stage has {count} blocks of {width} channels, which is wrong")
    return made


def _untold(what: str) -> WeightsUnavailable:
    return WeightsUnavailable(f"the file does not give its {what}", remedy="its keys are incomplete")
