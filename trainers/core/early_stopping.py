"""Stop a tuning early and select its best weights by the loss of held-out faces."""

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

PATIENCE = 2  # consecutive checks without improvement that end a tuning
GAIN = 0.002  # relative decrease of the loss that counts as an improvement


@dataclass(frozen=True)
class Check:
    """One evaluation of the held-out faces: after which step, the loss of their inversions, and their PSNR (dB)."""

    step: int
    loss: float
    psnr: float


@dataclass(frozen=True)
class Tuned:
    """The tuned state, and the evaluations of the held-out faces from step 0 on."""

    state: dict[str, Tensor]
    curve: tuple[Check, ...] = ()

    @property
    def best(self) -> Check | None:
        """The check of the returned weights; None if no faces were held out."""
        return min(self.curve, key=lambda check: check.loss, default=None)


def train_with_early_stopping(
    learn: Callable[[int], dict[str, Tensor]],
    check: Callable[[dict[str, Tensor], int], Check],
    first: dict[str, Tensor],
    marks: Sequence[int],
    folder: Path,
    enough: float = math.inf,
) -> Tuned:
    """Train from mark to mark and return the weights with the lowest held-out loss; `folder` keeps all evaluations.

    `learn(steps)` returns the weights after that many steps and `check` evaluates them; `first` are the weights of
    step 0. The tuning ends after PATIENCE checks without improvement, or at a PSNR (dB) of `enough`.
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
    """Return whether the last PATIENCE checks did not improve on the ones before."""
    before, after = curve[:-PATIENCE], curve[-PATIENCE:]
    return bool(before) and min(c.loss for c in after) > (1 - GAIN) * min(c.loss for c in before)


class SharedPhase:
    """Show the parts of a training as one phase of `images`; with `progress` None it opens a bar of its own."""

    def __init__(self, progress: Progress | None, images: int) -> None:
        self._bar = ProgressBar(unit="images") if progress is None else None
        self._shown: Progress = self._bar or progress or SilentProgress()
        self._images, self._has_begun = images, False

    def say(self, line: str) -> None:
        self._shown.say(line)

    def announce(self, line: str) -> None:
        self._shown.announce(line)

    def phase(self, name: str, total: int, done_before: int = 0) -> None:
        """Start the shared phase at the first part; `total`, that of a part, is not used."""
        if not self._has_begun:
            self._shown.phase(name, self._images, done_before)
        self._has_begun = True

    def advance(self, count: int) -> None:
        self._shown.advance(count)

    def close(self) -> None:
        """Close the bar after the last part."""
        if self._bar is not None:
            self._bar.close()
