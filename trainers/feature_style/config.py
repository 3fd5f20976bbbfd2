"""Define the recipe of a Feature-Style training: network, data, schedule and loss weights."""

from __future__ import annotations

from dataclasses import dataclass

from vidinv.config import TuneConfig
from vidinv.encoders import encoder_file
from vidinv.errors import UsageError

CHOICES: dict[str, tuple[object, ...]] = {
    "encoder": ("light", "residual", "published"),  # encoders with a feature branch
    "feature_side": encoder_file.SIDES,
    "optimiser": ("adamw", "ranger"),
    "decay": ("parabola", "step"),
    "pixel_on": ("w", "both"),
    "identity_taps": (1, 5),
    "parsing_taps": (3, 5),
    "lpips_scales": (1, 3),
}


@dataclass(frozen=True)
class FeatureStyleRecipe:
    """Settings of a training. Defaults: the light encoder's; see `configs/train/feature_style/` for others.

    x1 = G(w) and x2 = G(w, F) are the two inversions. A loss of weight 0 is off and costs nothing.
    """

    # What is trained. Without the feature branch (the paper's ablation B) there is only x1.
    encoder: str = "light"
    feature_side: int = 16  # side of the layer that F replaces: 16 is K = 4, 5 of the paper, 32 is K = 6, 7
    feature_branch: bool = True
    start: str = ""  # initial weights: a file written by `vidinv train`, or "shipped" (light); empty: random

    # Data. `size`: side of the compared pictures; proxy heads render 128 and 256, the generator renders 512.
    images: int = 480_000  # the paper's schedule
    batch: int = 8
    size: int = 256
    photos: str = ""  # a folder of aligned faces, which fill half of each batch
    workers: int = -1  # processes that decode the photos; -1: none on up to four cores, else four at most
    synthetic: bool = True  # false is the paper's ablation C: photos only
    pool: int = 0  # number of synthetic samples with true images, generated before the training; half of each batch
    paste: bool = True  # move half of the synthetic features off the generator's manifold
    photometry: bool = True  # change gain, offset, tint and saturation of half of the synthetic pictures
    degrade: bool = True  # blur and noise on the encoder's input
    jitter: bool = False  # small rotations, scalings and shifts of a quarter: alignment errors
    occlude: bool = False  # a piece of another picture in front of a quarter
    compress: bool = False  # JPEG on half of the encoder's input

    # Optimisation.
    optimiser: str = "adamw"
    rate: float = 4e-4
    warmup: int = 800  # images
    decay: str = "parabola"  # falls to 3 %; "step": falls to a tenth after ten twelfths of the images
    ema: float = 0.995
    clip: float = 2.0
    save_every: int = 800  # images between checkpoints

    # Losses against known codes, for synthetic samples only; normalised by the codes' variance.
    w: float = 0.5
    w_variance: float = 0.178  # variance of the default generator's w, mean over its dimensions
    f: float = 0.1

    # Losses of the pictures; `w_image` is the weight of x1 relative to x2.
    w_image: float = 0.5
    pixel: float = 4.0
    pixel_on: str = "both"  # "w": only on x1 of synthetic pictures, as in the paper
    perceptual: float = 0.8
    lpips_scales: int = 1  # 3: at 1, 1/2 and 1/4, the paper's multi-scale LPIPS; 1 is its ablation A
    identity: float = 0.8
    identity_taps: int = 1  # 1: the embedding; 5: the paper's multi-layer identity
    parsing: float = 0.0
    parsing_taps: int = 5  # the paper's; 3: the published system's logit maps
    feature: float = 0.0  # distance of F to G^K(w)
    stop_gradient: bool = False  # of G^K(w) there, as in the published system
    inject_both: bool = False  # inject F into x1 as well, as in the published system
    feature_ramp: int = 0  # images over which the injected feature is blended from G^K(w) to F

    def schedule(self, images: int) -> float:
        """Return the factor of `rate` after `images`: linear warm-up, then `decay`."""
        start = min(1.0, (images + self.batch) / max(self.warmup, 1))
        if self.decay == "step":
            return start * (1.0 if images < self.images * 10 / 12 else 0.1)
        return start * max(0.03, 1 - (images / self.images) ** 2)

    def check(self, processes: int = 1) -> None:
        """Raise UsageError for an unknown value or an invalid combination, for a training in `processes` processes."""
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                known = ", ".join(map(str, allowed))
                raise UsageError(
                    f"{name}={getattr(self, name)!r} is not a known value", remedy=f"choose one of {known}"
                )
        if not self.synthetic and not self.photos:
            raise UsageError("synthetic=false leaves nothing to train on", remedy="give photos=FOLDER of aligned faces")
        if not self.synthetic and (self.w or self.f):
            raise UsageError("the losses w and f need known codes, which photos do not have", remedy="set w=0 f=0")
        if self.start == "shipped" and self.encoder != "light":
            raise UsageError("start=shipped is a light encoder", remedy="set encoder=light, or give start=FILE")
        if self.encoder in ("light", "residual") and self.feature_side != 16:
            raise UsageError(
                f"feature_side={self.feature_side}, but the {self.encoder} encoder's feature is 16x16",
                remedy="set feature_side=16 or encoder=published",
            )
        if self.lpips_scales == 3 and self.perceptual and self.size < 256:
            raise UsageError(f"a quarter of {self.size} pixels is too small for LPIPS", remedy="set size=256 or 512")
        if self.batch % (4 * processes):
            raise UsageError(
                f"batch={self.batch} is not a multiple of 4 for each of {processes} processes",
                remedy=f"set batch={4 * processes} or a multiple of it",
            )


def for_clip(tuning: TuneConfig, *, feature_branch: bool) -> FeatureStyleRecipe:
    """Return the recipe for fitting an encoder to a clip; the learning rate rises over a tenth, then falls."""
    images = tuning.steps * tuning.batch
    return FeatureStyleRecipe(
        images=images,
        batch=tuning.batch,
        feature_branch=feature_branch,
        rate=tuning.rate,
        warmup=images // 10,
        w=tuning.w_reg,
        f=0.0,
        w_image=0.5,
        pixel=4.0,
        perceptual=0.8,
        identity=0.4,
    )
