"""The recipe of a near-perfect inversion: how a generator is fine-tuned to pictures ("Near-perfect GAN Inversion").

L = 1_p [L_recon + L_adv_local] + L_global. The slides give neither levels nor weights nor steps; what stands here was
chosen by measurement (docs/near-perfect.md).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from vidinv.errors import UsageError

CHOICES: dict[str, tuple[object, ...]] = {"what": ("convolutions", "all"), "side": (16, 32, 64, 128)}
LEAST_PLAIN = 1e-4  # rate of the weights themselves, below which nothing is learned in some hundred turns
EVERY = tuple(f"{name}_every" for name in ("cohesion", "r1", "movement", "ball"))
COUNTS = ("steps", "batch", "look", "samples", "guarding", *EVERY)


@dataclass(frozen=True)
class GeneratorTuningRecipe:
    """Defaults are the full recipe's; `configs/train/generator_tuning/` has it and its ablations. A weight of 0 is off."""

    # What is trained: layers first <= k < first + layers above the one that F replaces.
    generator: str = "mobile-stylegan-ffhq-1024"
    layers: int = 0  # 0: all; with 3 (32 to 128 pixels) the proxy head draws all, at half the cost, and less is reached
    what: str = "convolutions"  # or all: the modulations as well, which weakens edits
    rank: int = 0  # of the differences in the file; 0: whole

    # On what, and how long. `batch`: pictures a turn.
    photos: str = ""  # a folder of aligned pictures, for the command
    each: bool = True  # to every photo alone; else one generator for all
    size: int = 256  # side of the compared pictures
    steps: int = 120
    batch: int = 1
    rate: float = 9e-6  # with a guard: what a step changes of other pictures; without one: of a weight (1.5e-3)
    warmup: int = 10  # turns in which the rate rises
    ema: float = 0.9
    look: int = 50  # turns between looks at what was reached, and at what the proxy head gets wrong
    target: float = 0.0  # mean squared error that is enough; 0: none is
    seed: int = 0

    # 1_p [L_recon + L_adv_local].
    gate: float = 0.9  # p
    pixel: float = 20.0
    pyramid: float = 1.0
    levels: int = 4
    finer: float = 1.0  # weight of a band of the pyramid beside the next coarser one's
    perceptual: float = 1.0  # with a fifth of it the same squared error is reached blurred
    local: float = 0.01

    # L_global: the guard, through which every step is taken, and samples every so many turns, of which a discriminator
    # thinks and which are held to what the frozen generator draws of them.
    guard: float = 0.01  # damping of trainers/optim/preconditioned_adam.py; 0: none
    guarding: int = 8  # samples that the guard asks
    cohesion: float = 0.05
    anchor: float = 0.5
    cohesion_every: int = 6
    samples: int = 2  # drawn each time
    brought: bool = True  # the discriminator is the one that was imported with the generator, where one was
    side: int = 64  # of the pictures that another sees
    widest: int = 64  # channels of it
    rate_d: float = 2e-3
    r1: float = 1.0  # gamma / 2
    r1_every: int = 4  # of the discriminator's steps
    started: int = 20  # turns that it learns before, against the disturbed generator
    disturbed: float = 0.1  # noise on the trained weights there, in their own deviations

    # What keeps edits: their movement (ours), or the ball of pivotal tuning.
    movement: float = 0.0
    movement_every: int = 2
    step: float = 0.5  # of an edit: a difference of two samples of w, times this
    moved_side: int = 128  # pixels at which movements are compared: wrinkles are seen there
    ball: float = 0.0
    ball_every: int = 4
    radius: float = 5.0

    @property
    def has_samples(self) -> bool:
        return self.cohesion > 0 or self.anchor > 0

    @property
    def has_discriminator(self) -> bool:
        return self.local > 0 or self.cohesion > 0

    @property
    def enough(self) -> float:
        """PSNR (dB, the peak of [-1,1] is 2) of `target`."""
        return 10 * math.log10(4 / self.target) if self.target else math.inf

    @property
    def marks(self) -> list[int]:
        """The steps after which is looked what was reached."""
        return sorted({*range(self.look, self.steps, self.look), self.steps})

    def schedule(self, images: int) -> float:
        """Share of `rate` after so many images: a linear start, then half a cosine down to 2 %."""
        turn = images // self.batch
        return min(1.0, (turn + 1) / max(self.warmup, 1)) * (0.51 + 0.49 * math.cos(math.pi * turn / self.steps))

    def within(self, largest: int) -> GeneratorTuningRecipe:
        """The same for a generator whose pictures are no larger than so many pixels."""
        size = min(self.size, largest)
        return replace(self, size=size, side=min(self.side, size), moved_side=min(self.moved_side, size))

    def told(self) -> dict[str, Any]:
        """What decides the result, for a file or a fingerprint."""
        return {key: value for key, value in asdict(self).items() if key != "photos"}

    def check(self) -> None:
        """Raise UsageError for a value that is not known or cannot be."""
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                known = ", ".join(map(str, allowed))
                raise UsageError(f"{name} {getattr(self, name)!r} is not known", remedy=f"choose one of {known}")
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}", remedy=f"set {name}=1")
        if not 0 <= self.gate <= 1 or self.rate <= 0 or min(self.layers, self.rank, self.guard) < 0:
            raise UsageError("gate is a probability, rate positive, layers, rank and guard not negative")
        if not self.guard and self.rate < LEAST_PLAIN:
            raise UsageError(f"a rate of {self.rate:g} moves nothing without a guard", remedy="set rate=0.0015")
        if self.size % 2**self.levels:
            raise UsageError(f"{self.size} pixels cannot be halved {self.levels} times", remedy="set levels=4")
