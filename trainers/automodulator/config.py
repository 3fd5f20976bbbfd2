"""The recipe of a deep automodulator: what grows, for how long, and the weight of every loss."""

from __future__ import annotations

from dataclasses import dataclass

from vidinv.errors import UsageError

DISTANCES = ("robust", "l1", "l2")


@dataclass(frozen=True)
class Stage:
    """The training at one side in pixels."""

    side: int
    images: int
    batch: int
    rate: float
    margin: float

    @property
    def folder(self) -> str:
        """Where it lies in its training's folder."""
        return f"stage-{self.side:04d}"


@dataclass(frozen=True)
class AutomodulatorRecipe:
    """Defaults are the paper's for faces of 256 pixels; `configs/train/automodulator/` has others.

    `images`, `batches`, `rates` and `margins` are of the stages, from `first` pixels on; the last entry holds for all
    that follow.
    """

    # What is trained.
    name: str = "automodulator"  # of the decoder, once it is done; its space is NAME-z
    size: int = 256
    channel_max: int = 512
    halves_from: int = 128  # side from which the decoder has fewer channels; 64: the paper's CelebA-HQ
    w_dim: int = 512
    extra: bool = False  # a second block of 8x8, which L_inv needs

    # On what: a corpus (.npy), a folder of aligned photos, tars, an LMDB; empty: samples of the default generator.
    data: str = ""
    held_out: int = 0  # of a corpus, the last so many
    workers: int = -1  # processes that decode the pictures; -1: none on up to four cores, else four at most

    # How it grows.
    first: int = 4  # pixels
    images: tuple[int, ...] = (2_400_000, 2_400_000, 2_400_000, 2_400_000, 10_400_000, 10_600_000, 5_000_000)
    batches: tuple[int, ...] = (128, 128, 128, 64, 32, 16, 16)  # ours: the paper says that they decrease
    rates: tuple[float, ...] = (5e-4, 5e-4, 5e-4, 5e-4, 1e-3)
    margins: tuple[float, ...] = (2.0, 2.0, 0.5)  # CelebA-HQ: 0.2 at 128 and 0.4 at 256
    settle: int = 0  # images on which a new block first learns, alone, to do what it comes in for; the paper: none
    fade: float = 0.5  # share of a stage over which its block comes in
    ema: float = 0.999
    seed: int = 0
    half: bool = False  # bfloat16 in the forward passes
    save_every: int = 50_000  # images between checkpoints

    # Losses: eq. 1 and 6. A weight of 0 switches one off.
    divergence: float = 1.0  # of both divergences and the margin
    distance: str = "robust"  # d_rho; l1 or l2 is the ablation without it
    reconstruction: float = 0.2  # l_x; the paper's 1 belongs to l1
    code: float = 1.0  # l_z
    layers: float = 1.0  # L_j
    mixed: float = 0.25  # share of samples that are mixtures
    mirror: float = 0.0  # L_inv and its complement, on mirror pairs

    @property
    def stages(self) -> list[Stage]:
        """From `first` pixels to `size`."""
        count = self.size.bit_length() - self.first.bit_length() + 1

        def of(values: tuple[float, ...], place: int) -> float:
            return values[min(place, len(values) - 1)]

        return [
            Stage(
                self.first << place,
                int(of(self.images, place)),
                int(of(self.batches, place)),
                of(self.rates, place),
                of(self.margins, place),
            )
            for place in range(count)
        ]

    def check(self, processes: int = 1) -> None:
        """Raise UsageError for a value that is not known or a combination that cannot be, shared by `processes`."""
        if self.distance not in DISTANCES:
            raise UsageError(f"distance {self.distance!r} is not known", remedy=f"choose one of {', '.join(DISTANCES)}")
        for key, side in (("first", self.first), ("size", self.size)):
            if side < 4 or side & (side - 1) or side > self.size:
                raise UsageError(f"{key}={side} pixels cannot be", remedy="set 4, 8, 16, ... up to size")
        if not (self.images and self.batches and self.rates and self.margins):
            raise UsageError("a list of the stages is empty", remedy="give images, batches, rates and margins")
        if min(stage.batch for stage in self.stages) < 4:
            raise UsageError("the divergence of a batch needs several", remedy="set batches of at least 4")
        for batch in (stage.batch for stage in self.stages):
            whole, share = int(self.mixed * batch), self.mixed * batch / processes
            if processes > 1 and (batch % processes or whole != processes * int(share)):
                raise UsageError(
                    f"a batch of {batch} with {whole} mixtures cannot be shared by {processes} processes",
                    remedy="set batches so that each has as many",
                )
        if self.mirror and not self.extra:
            raise UsageError("mirror needs a second block of 8x8", remedy="set extra=true")
        if self.settle < 0:
            raise UsageError(f"settle={self.settle} images cannot be", remedy="set 0 or more")
        if not 0 <= self.mixed < 1 or not 0 <= self.fade <= 1:
            raise UsageError("mixed and fade are shares", remedy="set them from 0 to 1")
