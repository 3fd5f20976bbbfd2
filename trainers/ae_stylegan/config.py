"""Define the recipe of an AE-StyleGAN training: a StyleGAN2 and its encoder, trained jointly or decoupled."""

from __future__ import annotations

from dataclasses import dataclass

from vidinv.errors import UsageError

CHOICES: dict[str, tuple[str, ...]] = {
    "scheme": ("joint", "decoupled"),
    "space": ("w", "w_plus"),
    "third_step": ("whole", "prior"),
    "network": ("vgg16", "alexnet", "none"),
}


@dataclass(frozen=True)
class AeRecipe:
    """Settings of a training. Defaults: the paper's joint training at 128 pixels; see `configs/train/ae_stylegan/`."""

    # What is trained.
    name: str = "ae-stylegan"  # name of the trained generator; its latent space is NAME-w
    scheme: str = "joint"  # algorithm 2, one discriminator; decoupled: algorithm 1, two discriminators
    space: str = "w"  # the encoder's output: one w for all layers; w_plus: one row per layer
    size: int = 128
    channel_multiplier: float = 2.0
    channel_max: int = 512
    w_dim: int = 512
    mapping_layers: int = 8

    # Training data: a corpus (.npy), a folder of aligned photos, tars or an LMDB; empty: generated samples.
    data: str = ""
    held_out: int = 0  # number of pictures at the end of a corpus that are not trained on
    workers: int = -1  # processes that decode the pictures; -1: none on up to four cores, else four at most

    # Optimisation.
    images: int = 3_200_000
    batch: int = 16
    rate: float = 0.0025
    half: bool = False  # bfloat16 in the forward passes; R1 and the path length stay in float32
    seed: int = 0
    r1: float = 0.2048  # 0.0002 * 128^2 / 16
    r1_every: int = 16
    path: float = 0.0  # 2 is StyleGAN2's; the published recipes switch it off
    path_every: int = 4
    mixing: float = 0.9  # probability that two w share the layers
    ada: bool = False  # adaptive augmentation of the discriminators' input
    ada_target: float = 0.6
    ema_kimg: float = 10.0
    save_every: int = 20_000  # images between checkpoints

    # Losses. `share`: share of reconstructions among the discriminator's samples (lambda_adv of eq. 5), joint only.
    share: float = 0.1
    third_step: str = "whole"  # F and G minimise all of eq. 5; prior (as published): samples of the prior alone
    pixel: float = 1.0
    perceptual: float = 5e-5  # of phi = VGG16 to block4_conv3
    network: str = "vgg16"
    adversarial: float = 0.1  # of reconstructions, in the encoder's step
    adaptive: bool = False  # scale the adversarial gradient to the norm of the reconstruction gradient
    latent: float = 0.0  # of |E(G(w)) - w|^2

    @property
    def is_joint(self) -> bool:
        return self.scheme == "joint"

    @property
    def fake_share(self) -> float:
        """l_rd, the weight of reconstructions among the discriminator's samples; 1 - l_rd is l_fd and l_fg."""
        return self.share if self.is_joint else 0.0

    @property
    def ema(self) -> float:
        """Decay of the averaged weights per turn; the half-life is `ema_kimg` thousand images."""
        return 0.5 ** (self.batch / (1000 * self.ema_kimg))

    def check(self, processes: int = 1) -> None:
        """Raise UsageError for an unknown value or an invalid combination, for a training in `processes` processes."""
        for key, allowed in CHOICES.items():
            if getattr(self, key) not in allowed:
                raise UsageError(
                    f"{key}={getattr(self, key)!r} is not a known value", remedy=f"choose one of {', '.join(allowed)}"
                )
        if self.size < 16 or self.size & (self.size - 1):
            raise UsageError(
                f"size={self.size} is not a power of two from 16 on", remedy="set size=16, 32, 64, 128, ..."
            )
        if not 0 <= self.share < 1:
            raise UsageError(f"share={self.share:g} is out of range", remedy="set share from 0 to below 1")
        if self.network == "none" and self.perceptual:
            raise UsageError("network=none has no perceptual loss", remedy="set perceptual=0")
        if self.network == "alexnet" and self.perceptual and self.size < 64:
            raise UsageError(
                f"network=alexnet needs pictures of at least 64 pixels, not {self.size}",
                remedy="set network=vgg16 or size=64",
            )
        each = processes * (2 if self.path and processes > 1 else 1)  # the path length uses half of the rows
        if self.batch % each:
            raise UsageError(
                f"batch={self.batch} cannot be divided among {processes} processes",
                remedy=f"set batch={each} or a multiple of it",
            )
        if self.images < 1 or self.batch < 2:
            raise UsageError(
                f"images={self.images} or batch={self.batch} is too small", remedy="set images >= 1 and batch >= 2"
            )
