"""Faces that are held out of a tuning say which weights are the best, and when to stop."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors.torch import load_file
from torch import Tensor

from vidinv import fileio
from vidinv.progress import Progress, ProgressBar, SilentProgress

PATIENCE = 2  # checks in a row without a gain that end a tuning
GAIN = 0.002  # share of the loss that counts as one


@dataclass(frozen=True)
class Check:
    """What the held-out faces said after so many steps: the loss of their inversions, and their PSNR (dB)."""

    step: int
    loss: float
    psnr: float


@dataclass(frozen=True)
class Tuned:
    """The state of what was tuned, and how the held-out faces saw it come, from step 0 on."""

    state: dict[str, Tensor]
    curve: tuple[Check, ...] = ()

    @property
    def best(self) -> Check | None:
        """The check whose weights these are; None where nothing was held out."""
        return min(self.curve, key=lambda check: check.loss, default=None)


def stopped_early(
    learn: Callable[[int], dict[str, Tensor]],
    check: Callable[[dict[str, Tensor], int], Check],
    first: dict[str, Tensor],
    marks: Sequence[int],
    folder: Path,
    enough: float = math.inf,
) -> Tuned:
    """Learn from mark to mark and keep the weights that the held-out faces like best; `folder` has what was seen.

    `learn(steps)` gives the weights after so many, `check` looks at them; those of `first` are of step 0. It ends where
    nothing was gained twice, or with a PSNR of `enough`.
    """
    record, best = folder / "validation.json", folder / "best.safetensors"
    curve = [Check(**check) for check in json.loads(record.read_text())] if record.exists() else []
    for step in [0, *marks]:
        if step <= (curve[-1].step if curve else -1):
            continue
        if _is_over(curve) or (curve and curve[-1].psnr >= enough):
            break
        state = first if step == 0 else learn(step)
        curve.append(check(state, step))
        folder.mkdir(parents=True, exist_ok=True)
        if curve[-1] == Tuned(state, tuple(curve)).best:
            fileio.write_tensors(best, state)
        fileio.write_atomically(record, json.dumps([asdict(check) for check in curve]))
    return Tuned(load_file(best), tuple(curve))


def _is_over(curve: Sequence[Check]) -> bool:
    """Whether the last PATIENCE checks are no better than what was there before them."""
    before, after = curve[:-PATIENCE], curve[-PATIENCE:]
    return bool(before) and min(c.loss for c in after) > (1 - GAIN) * min(c.loss for c in before)


class SharedPhase:
    """One phase of `images` over a training in several parts; where `shown` is None it has a bar of its own."""

    def __init__(self, shown: Progress | None, images: int) -> None:
        self._bar = ProgressBar(unit="images") if shown is None else None
        self._shown: Progress = self._bar or shown or SilentProgress()
        self._images, self._has_begun = images, False

    def say(self, line: str) -> None:
        self._shown.say(line)

    def phase(self, name: str, total: int, done_before: int = 0) -> None:
        """The first part starts the phase of the whole; `total` is that of a part."""
        if not self._has_begun:
            self._shown.phase(name, self._images, done_before)
        self._has_begun = True

    def advance(self, count: int) -> None:
        self._shown.advance(count)

    def close(self) -> None:
        """The end of the last part."""
        if self._bar is not None:
            self._bar.close()
