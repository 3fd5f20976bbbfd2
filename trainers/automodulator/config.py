"""Define the recipe of a deep automodulator training: stages of growth, schedule and loss weights."""

from __future__ import annotations

from dataclasses import dataclass

from vidinv.errors import UsageError

DISTANCES = ("robust", "l1", "l2")


@dataclass(frozen=True)
class Stage:
    """The training at one resolution: side in pixels, number of images, batch size, learning rate, margin M."""

    side: int
    images: int
    batch: int
    rate: float
    margin: float

    @property
    def folder(self) -> str:
        """Name of the stage's folder inside the training's folder."""
        return f"stage-{self.side:04d}"


@dataclass(frozen=True)
class AutomodulatorRecipe:
    """Settings of a training. Defaults: the paper's for faces of 256 pixels; see `configs/train/automodulator/`.

    `images`, `batches`, `rates` and `margins` have one entry per stage, from `first` pixels on; the last entry applies
    to all further stages.
    """

    # What is trained.
    name: str = "automodulator"  # name of the trained decoder; its latent space is NAME-z
    size: int = 256
    channel_max: int = 512
    halves_from: int = 128  # side from which the decoder has fewer channels; 64: the paper's CelebA-HQ
    w_dim: int = 512
    extra: bool = False  # a second 8x8 block, which L_inv needs

    # Training data: a corpus (.npy), a folder of aligned photos, tars or an LMDB; empty: generated samples.
    data: str = ""
    held_out: int = 0  # number of pictures at the end of a corpus that are not trained on
    workers: int = -1  # processes that decode the pictures; -1: none on up to four cores, else four at most

    # Progressive growing.
    first: int = 4  # pixels
    images: tuple[int, ...] = (2_400_000, 2_400_000, 2_400_000, 2_400_000, 10_400_000, 10_600_000, 5_000_000)
    batches: tuple[int, ...] = (128, 128, 128, 64, 32, 16, 16)  # our choice: the paper only says that they decrease
    rates: tuple[float, ...] = (5e-4, 5e-4, 5e-4, 5e-4, 1e-3)
    margins: tuple[float, ...] = (2.0, 2.0, 0.5)  # CelebA-HQ: 0.2 at 128 and 0.4 at 256
    settle: int = 0  # images on which only a new block is trained to imitate its stand-in; the paper: none
    fade: float = 0.5  # share of a stage over which its new block is faded in
    ema: float = 0.999
    seed: int = 0
    half: bool = False  # bfloat16 in the forward passes
    save_every: int = 50_000  # images between checkpoints

    # Losses: eq. 1 and 6. A weight of 0 switches one off.
    divergence: float = 1.0  # weight of both divergences and the margin
    distance: str = "robust"  # d_rho; l1 and l2 are the ablations
    reconstruction: float = 0.2  # l_x; the paper's value 1 is for l1
    code: float = 1.0  # l_z
    layers: float = 1.0  # L_j
    mixed: float = 0.25  # share of samples that are mixtures
    mirror: float = 0.0  # L_inv and its complement, on pairs of mirrored pictures

    @property
    def stages(self) -> list[Stage]:
        """The stages from `first` pixels to `size`."""
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
        """Raise UsageError for an unknown value or an invalid combination, for a training in `processes` processes."""
        if self.distance not in DISTANCES:
            raise UsageError(
                f"distance={self.distance!r} is not a known value", remedy=f"choose one of {', '.join(DISTANCES)}"
            )
        for key, side in (("first", self.first), ("size", self.size)):
            if side < 4 or side & (side - 1) or side > self.size:
                raise UsageError(
                    f"{key}={side} is not a power of two from 4 to size", remedy="set 4, 8, 16, ... up to size"
                )
        if not (self.images and self.batches and self.rates and self.margins):
            raise UsageError(
                "images, batches, rates or margins is empty", remedy="give images, batches, rates and margins"
            )
        if min(stage.batch for stage in self.stages) < 4:
            raise UsageError(
                "a batch of fewer than 4 is too small for the divergence", remedy="set batches of at least 4"
            )
        for batch in (stage.batch for stage in self.stages):
            whole, share = int(self.mixed * batch), self.mixed * batch / processes
            if processes > 1 and (batch % processes or whole != processes * int(share)):
                raise UsageError(
                    f"a batch of {batch} with {whole} mixtures cannot be divided among {processes} processes",
                    remedy="set batches so that every process has equally many of both",
                )
        if self.mirror and not self.extra:
            raise UsageError("mirror needs a second 8x8 block", remedy="set extra=true")
        if self.settle < 0:
            raise UsageError(f"settle={self.settle} is negative", remedy="set 0 or more")
        if not 0 <= self.mixed < 1 or not 0 <= self.fade <= 1:
            raise UsageError(
                f"mixed={self.mixed:g} or fade={self.fade:g} is out of range",
                remedy="set mixed in [0, 1) and fade in [0, 1]",
            )
