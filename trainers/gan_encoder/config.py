"""Define the recipe of a GAN encoder training (Yu, Wang and Bugiolacchi): pre-training, fine-tuning, ablations."""

from __future__ import annotations

from dataclasses import dataclass

from vidinv.errors import UsageError
from vidinv.losses.reconstruction import Weights

CHOICES: dict[str, tuple[str, ...]] = {
    "encoder": ("adaptive", "adaptive-light", "adaptive-tiny"),
    "attention": ("none", "at1", "at1+at2"),
    "regions": ("aligned", "heat"),
    "strategy": ("paper", "1", "2"),
    "network": ("vgg16", "alexnet"),
}
MU = {"paper": (0.375, 0.625), "1": (1.0, 1.0), "2": (5.0, 9.0)}  # weights of AT1 and AT2, by strategy


@dataclass(frozen=True)
class GanRecipe:
    """Settings of a training. Defaults: the paper's pre-training at 256 pixels; see `configs/train/gan_encoder/`."""

    # What is trained.
    encoder: str = "adaptive"  # adaptive-light: 128 pixels and 32 channels at the input; adaptive-tiny for tests
    generator: str = "mobile-stylegan-ffhq-1024"  # registered or imported
    start: str = ""  # an encoder.safetensors to start from; empty: random weights

    # Data. Without photos: the generator's samples, each with its own seed.
    samples: int = 30_000
    held_out: int = 4_500  # number of samples for evaluation, chosen per fold
    fold: int = 0  # 0 to 6 in the paper
    judged: int = 4_500  # number of held-out samples that are evaluated after the training
    epochs: int = 7
    truncation: float = 0.7  # 0.4 for BigGAN
    size: int = 256  # side of the compared pictures
    photos: str = ""  # a folder of aligned pictures for fine-tuning
    label: int = 0  # class of the photos, if the generator has classes
    each: bool = True  # fine-tune to every photo separately, from the same start; false: to all together
    steps: int = 3_500  # length of a fine-tuning

    # Optimisation.
    batch: int = 8  # 8, 4 and 2 at 256, 512 and 1024
    rate: float = 0.0015
    fade: float = 1.0  # factor of the rate at the end
    ema: float = 0.995
    save_every: int = 800  # images between checkpoints

    # Losses: eq. 2 to 6. A weight of 0 switches one off (ssim=0 is the ablation of table 7).
    strategy: str = "paper"  # 1: no pixel gradient; 2: pixel gradient and larger attention weights
    attention: str = "at1+at2"  # the ablation of table 6
    regions: str = "aligned"  # heat: Grad-CAM, for misaligned pictures
    mse: float = 5.0
    cos: float = 3.0
    perceptual: float = 2.0
    ssim: float = 1.0
    network: str = "vgg16"  # LPIPS backbone; alexnet is twenty times as fast
    latent: float = 0.0  # distance to a sample's latents; in fine-tuning, to the codes of the encoder's own inversion

    @property
    def weights(self) -> Weights:
        return Weights(self.mse, self.cos, self.perceptual, self.ssim)

    @property
    def mu(self) -> tuple[float, ...]:
        """Weights of the enabled attentions."""
        return MU[self.strategy][: {"none": 0, "at1": 1, "at1+at2": 2}[self.attention]]

    @property
    def teaches_pixels(self) -> bool:
        return self.strategy != "1"

    @property
    def images(self) -> int:
        """Number of images of a training: by `epochs` in pre-training, by `steps` in fine-tuning."""
        return self.steps * self.batch if self.photos else self.epochs * (self.samples - self.held_out)

    def schedule(self, images: int) -> float:
        """Return the factor of `rate` after `images`: linear from 1 to `fade`."""
        return 1 + (self.fade - 1) * images / self.images

    def check(self) -> None:
        """Raise UsageError for an unknown value or an invalid combination."""
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UsageError(
                    f"{name}={getattr(self, name)!r} is not a known value", remedy=f"choose one of {', '.join(allowed)}"
                )
        if not 0 <= self.held_out < self.samples:
            raise UsageError(
                f"held_out={self.held_out} is not below samples={self.samples}", remedy="set held_out below samples"
            )
        if self.images < 1 or self.batch < 1:
            raise UsageError(f"{self.images} images or batch={self.batch} is below 1", remedy="set both to at least 1")
        if self.attention != "none" and self.regions == "aligned" and self.size % 32:
            raise UsageError(
                f"size={self.size} gives crops of fractional pixels", remedy="set size to a multiple of 32"
            )
        if self.photos and not self.start:
            raise UsageError(
                "photos=FOLDER fine-tunes an encoder, but start is empty",
                remedy="give start=FILE, the file of a pre-training",
            )
