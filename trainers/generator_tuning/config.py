"""Define the recipe for fine-tuning a generator to pictures ("Near-perfect GAN Inversion").

L = 1_p [L_recon + L_adv_local] + L_global. The slides give neither levels nor weights nor steps; the defaults were
chosen by measurement (docs/near-perfect.md).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

from vidinv.errors import UsageError

CHOICES: dict[str, tuple[object, ...]] = {"what": ("convolutions", "all"), "side": (16, 32, 64, 128)}
LEAST_PLAIN = 1e-4  # lowest useful rate without preconditioning, for some hundred turns
EVERY = tuple(f"{name}_every" for name in ("cohesion", "r1", "movement", "ball"))
COUNTS = ("steps", "batch", "look", "samples", "guarding", *EVERY)


@dataclass(frozen=True)
class GeneratorTuningRecipe:
    """Settings of a tuning. Defaults: the full recipe; `configs/train/generator_tuning/` has its ablations.

    A loss of weight 0 is off.
    """

    # What is trained: layers first <= k < first + layers above the one that F replaces.
    generator: str = "mobile-stylegan-ffhq-1024"
    layers: int = 0  # 0: all; 3 (32 to 128 pixels): rendered by the proxy head, at half the cost and lower fidelity
    what: str = "convolutions"  # all: the modulations as well, which weakens edits
    rank: int = 0  # rank of the weight differences in the file; 0: full

    # Data and schedule. `batch`: pictures per turn.
    photos: str = ""  # a folder of aligned pictures, for `vidinv train near-perfect`
    each: bool = True  # tune to every photo separately; false: one generator for all
    size: int = 256  # side of the compared pictures
    steps: int = 120
    batch: int = 1
    rate: float = 9e-6  # with `guard`: change of other pictures per step; without: change of a weight (1.5e-3)
    warmup: int = 10  # turns over which the rate rises
    ema: float = 0.9
    look: int = 50  # turns between evaluations, and between measurements of the proxy head's error
    target: float = 0.0  # mean squared error at which the tuning ends; 0: none
    seed: int = 0

    # 1_p [L_recon + L_adv_local].
    gate: float = 0.9  # p
    pixel: float = 20.0
    pyramid: float = 1.0
    levels: int = 4
    finer: float = 1.0  # weight of a pyramid band relative to the next coarser one
    perceptual: float = 1.0  # a fifth of it reaches the same squared error with blurred pictures
    local: float = 0.01

    # L_global: the preconditioner (`guard`) of every step, and new samples every `cohesion_every` turns, which a
    # discriminator classifies (`cohesion`) and which are compared with those of the frozen generator (`anchor`).
    guard: float = 0.01  # damping of trainers/optim/preconditioned_adam.py; 0: plain Adam
    guarding: int = 8  # samples from which the preconditioner is estimated
    cohesion: float = 0.05
    anchor: float = 0.5
    cohesion_every: int = 6
    samples: int = 2  # samples per such turn
    brought: bool = True  # use the discriminator that was imported with the generator, if there is one
    side: int = 64  # side of the input of a newly trained discriminator
    widest: int = 64  # its maximal number of channels
    rate_d: float = 2e-3
    r1: float = 1.0  # weight of R1: gamma / 2
    r1_every: int = 4  # in the discriminator's steps
    started: int = 20  # turns of its pre-training, against a generator with noise on its weights
    disturbed: float = 0.1  # standard deviation of that noise, relative to that of the weights

    # Preservation of edits: the effect of edits (ours), or the ball of pivotal tuning.
    movement: float = 0.0
    movement_every: int = 2
    step: float = 0.5  # size of an edit: a difference of two samples of w, times this
    moved_side: int = 128  # side at which the effects of edits are compared; wrinkles are visible at 128
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
        """The steps after which the result is evaluated."""
        return sorted({*range(self.look, self.steps, self.look), self.steps})

    def schedule(self, images: int) -> float:
        """Return the factor of `rate` after `images`: linear warm-up, then half a cosine down to 2 %."""
        turn = images // self.batch
        return min(1.0, (turn + 1) / max(self.warmup, 1)) * (0.51 + 0.49 * math.cos(math.pi * turn / self.steps))

    def within(self, largest: int) -> GeneratorTuningRecipe:
        """Return the recipe for a generator whose pictures have at most `largest` pixels a side."""
        size = min(self.size, largest)
        return replace(self, size=size, side=min(self.side, size), moved_side=min(self.moved_side, size))

    def deciding_settings(self) -> dict[str, Any]:
        """Return the settings that decide the result, for a file or a fingerprint."""
        return {key: value for key, value in asdict(self).items() if key != "photos"}

    def check(self) -> None:
        """Raise UsageError for an unknown or invalid value."""
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                known = ", ".join(map(str, allowed))
                raise UsageError(
                    f"{name}={getattr(self, name)!r} is not a known value", remedy=f"choose one of {known}"
                )
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}", remedy=f"set {name}=1")
        if not 0 <= self.gate <= 1 or self.rate <= 0 or min(self.layers, self.rank, self.guard) < 0:
            raise UsageError(
                "gate, rate, layers, rank or guard is out of range",
                remedy="set 0 <= gate <= 1, rate > 0, and layers, rank and guard >= 0",
            )
        if not self.guard and self.rate < LEAST_PLAIN:
            raise UsageError(f"rate={self.rate:g} is too low for guard=0", remedy="set rate=0.0015")
        if self.size % 2**self.levels:
            raise UsageError(f"size={self.size} cannot be halved levels={self.levels} times", remedy="set levels=4")
