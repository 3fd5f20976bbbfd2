"""The configuration of a run: frozen dataclasses that name every setting, its type, its default and its limits."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from omegaconf import OmegaConf

from vidinv.config_loading import from_layers, load_dataclass
from vidinv.errors import UsageError
from vidinv.fingerprint import JOB, decides

OUTPUT, NEITHER = decides(JOB), decides()  # fields that decide the output but no stored codes; that decide neither
CHOICES = {
    "quality": ("fast", "balanced", "best"),
    "blend": ("auto", "residual", "replace"),
    "device": ("auto", "cpu", "cuda"),
    "tune": ("none", "encoder", "generator"),
    "engine": ("auto", "eager", "compile", "openvino", "onnx"),
    "precision": ("auto", "float32", "bfloat16"),
    "landmarks": ("2d106", "fan"),
    "reader": ("pyav", "decord", "torchcodec"),
}


@dataclass(frozen=True)
class SmoothConfig:
    """Gaussian sigmas, in frames, that smooth a track's crop transform inside a shot; 0 switches one off."""

    centre: float = 1.0
    axes: float = 3.0  # rotation and scale


@dataclass(frozen=True)
class MaskConfig:
    """The soft blend mask, in shares of the crop's side unless a unit is given."""

    parse_size: int = 256  # pixels
    parse_every: int = 3  # frames; between them the mask is kept in crop space
    grow: float = 0.012
    blur: float = 0.02
    residual_good: float = (
        0.10  # mean |source - check| in [0, 1] up to which the edit shows fully; typical: 0.04 to 0.08
    )
    residual_bad: float = 0.15  # from which only the source shows
    occlusion: float = 1.0  # share by which occluders (hands, hair, objects) stay unedited; 0: no detection
    occluded_good: float = 0.5  # occluded share of the mask up to which the visible rest is edited fully
    occluded_bad: float = 0.75  # from which only the source shows


@dataclass(frozen=True)
class TrustConfig:
    """Limits of pose and size for an edit; between the two values of a pair the edit fades."""

    yaw_good: float = 45.0  # degrees of head yaw up to which the edit shows fully
    yaw_bad: float = 65.0  # degrees from which there is no edit
    side_good: float = 32.0  # frame pixels, side of the crop from which the edit shows fully
    side_bad: float = 24.0  # frame pixels up to which there is no edit
    fade_seconds: float = 0.2  # duration of a fade, also for a poor inversion


@dataclass(frozen=True)
class Effort:
    """Refinement steps of one frame: first `latent` on w+, then `feature` on F.

    A following frame takes up to `patience` times as many steps while its loss is above that of its track's first.
    """

    latent: int = 0
    feature: int = 0
    patience: int = 4

    @property
    def steps(self) -> int:
        return self.latent + self.feature


@dataclass(frozen=True)
class RefineConfig:
    """Refinement of a clip; the `first` frame of a track in a shot has no neighbour to start from."""

    first: Effort = Effort(40, 36)
    following: Effort = Effort(2, 5, patience=2)
    gap: float = 0.1  # seconds between refined frames; 0 refines every frame

    @property
    def is_off(self) -> bool:
        return self.first.steps + self.following.steps == 0


@dataclass(frozen=True)
class TuneConfig:
    """Tuning of the encoder to a clip before the inversion."""

    faces: int = 96  # at most: key faces, sharp, diverse in pose and spread in time
    held: int = 8  # at most: held-out faces for early stopping; 0: no early stopping
    steps: int = 120
    batch: int = 4  # faces per step
    rate: float = 1e-4
    w_reg: float = 1.0  # weight of the distance of w+ to the untuned encoder's
    feature_reg: float = 0.2  # weight of the distance of F to G^K(w) in its standard deviations; it keeps F editable
    cache: bool = field(
        default=True, metadata=NEITHER
    )  # store the result next to the weights, for other edits of the clip


@dataclass(frozen=True)
class GeneratorTuningConfig:
    """Tuning of a generator to each person of a clip; the recipe sets the steps and the loss weights."""

    recipe: str = "clip"  # of configs/train/generator_tuning, or a file
    faces: int = 24  # at most, over all persons: key faces, sharp, diverse in pose and spread in time
    held: int = 4  # at most: held-out faces for early stopping; 0: no early stopping


@dataclass(frozen=True)
class IdentityConfig:
    """Sampling interval of each metric network, in frames of a segment."""

    every: int = 1  # ArcFace
    witness_every: int = 5  # independent network, image metrics, attributes and flicker

    def __post_init__(self) -> None:
        for name in ("every", "witness_every"):
            if getattr(self, name) < 1:
                raise UsageError(
                    f"identity.{name} must be at least 1, got {getattr(self, name)}", remedy="set 1 or more"
                )


@dataclass(frozen=True)
class C2paConfig:
    """Signer of `--c2pa`, as PEM files; if empty, those of VIDINV_C2PA_CERTIFICATE and VIDINV_C2PA_KEY."""

    certificate: str = ""  # certificate chain, the signer's first
    key: str = ""  # the signer's private key, without a password


@dataclass(frozen=True)
class RunConfig:
    """All settings of a run; equal settings and source give an equal output.

    A field decides the output and stored codes unless it is marked OUTPUT or NEITHER (`vidinv/fingerprint.py`). Of the
    encoder, generator and boxes files the contents count, not the paths.
    """

    quality: str = field(default="balanced", metadata=OUTPUT)
    backend: str = "default"  # default, tiny, a name given to `vidinv backend create`, or a YAML file
    engine: str = field(default="eager", metadata=OUTPUT)  # for networks without gradients; auto: the fastest
    precision: str = field(default="auto", metadata=OUTPUT)  # for networks without gradients; auto: bfloat16 if native
    device: str = field(default="auto", metadata=OUTPUT)
    threads: int = field(default=0, metadata=OUTPUT)  # 0: all cores of the process
    reader: str = "pyav"  # of the analysis; the render always uses pyav, since decord returns only RGB
    stream: int | None = None  # number of the video stream, as ffprobe counts; None: chosen
    stall_seconds: float = field(default=60.0, metadata=NEITHER)  # timeout of the decoder per frame
    encoder: str = field(default="", metadata=NEITHER)  # file of `vidinv train`; empty: the backend's encoder
    generator: str = field(
        default="", metadata=NEITHER
    )  # file of `vidinv tune --what generator`; empty: the backend's generator
    tune: str = "none"  # network tuned to the clip before the inversion
    landmarks: str = "2d106"  # fan needs the extra [face-alignment] and its weights
    boxes: str = field(default="", metadata=NEITHER)  # file of boxes around the subject, instead of a detector
    faces: str = "largest"
    edits: tuple[str, ...] = field(default=(), metadata=OUTPUT)
    blend: str = field(default="auto", metadata=OUTPUT)
    crop: int = 512  # pixels, side of the aligned face
    batch: int = 6  # frames per batch
    segment_seconds: float = 2.0
    detect_every: int = 1  # frames; between detections the box follows the landmarks
    cut_threshold: float = 1.6  # ratio of a cut's motion-compensated change to that of its neighbours
    codec: str = field(default="auto", metadata=OUTPUT)
    crf: int = field(default=17, metadata=OUTPUT)  # x264's scale; other encoders are mapped to it
    preset: str = field(default="", metadata=OUTPUT)  # encoder preset; empty: vidinv's choice
    pixel_format: str = field(default="source", metadata=OUTPUT)  # source, or an FFmpeg pixel format
    preview_size: int = field(default=0, metadata=OUTPUT)  # pixels, side of one panel; 0: the face's own size
    preview_seconds: float = field(default=4.0, metadata=OUTPUT)  # length of a preview with --at
    smooth: SmoothConfig = field(default_factory=SmoothConfig)
    mask: MaskConfig = field(default_factory=MaskConfig, metadata=OUTPUT)
    trust: TrustConfig = field(default_factory=TrustConfig, metadata=OUTPUT)
    identity: IdentityConfig = field(default_factory=IdentityConfig, metadata=OUTPUT)
    refine: RefineConfig = field(default_factory=RefineConfig)
    tuning: TuneConfig = field(default_factory=TuneConfig)
    generator_tuning: GeneratorTuningConfig = field(default_factory=GeneratorTuningConfig, metadata=OUTPUT)
    c2pa: C2paConfig = field(default_factory=C2paConfig, metadata=NEITHER)


def load_run_config(
    name_or_path: str = "balanced", overrides: list[str] | None = None, given: dict[str, Any] | None = None
) -> RunConfig:
    """Read a run preset by name (`fast`) or a YAML file, and change it by `given` and then by `key=value` overrides.

    Raises UsageError as `config_loading.load_dataclass` does, and for values that exclude each other.
    """
    config = load_dataclass(RunConfig, "run", name_or_path, overrides, given)
    _check(config)
    return config


def with_edits(config: RunConfig, edits: list[str]) -> RunConfig:
    """`config` with `edits` appended to its own."""
    return replace(config, edits=(*config.edits, *edits))


def to_yaml(config: RunConfig) -> str:
    """The resolved configuration as YAML, as saved with every run."""
    return OmegaConf.to_yaml(OmegaConf.create(plain(config)))


def plain(config: RunConfig) -> dict[str, Any]:
    """The resolved configuration as JSON-compatible values."""
    values = asdict(config)
    values["edits"] = list(config.edits)
    return values


def of_plain(values: dict[str, Any]) -> RunConfig:
    """The configuration that `plain` returned. Raises UsageError for the values of another version."""
    return from_layers(RunConfig, {"stored configuration": values})


def _check(config: RunConfig) -> None:
    for name, allowed in CHOICES.items():
        value = getattr(config, name)
        if value not in allowed:
            raise UsageError(f"{name} {value!r} is not known", remedy=f"choose one of {', '.join(allowed)}")
    if not 0 <= config.preview_size <= 4096:
        raise UsageError(
            f"preview_size {config.preview_size} is not valid",
            remedy="give the pixels of a panel, or 0 for the face's own size",
        )
    for name in ("crop", "batch", "detect_every"):
        if getattr(config, name) < 1:
            raise UsageError(f"{name} must be at least 1, got {getattr(config, name)}", remedy=f"set {name}=1 or more")
    _check_tuning(config.tuning)
    if config.generator_tuning.faces < 1 or config.generator_tuning.held < 0:
        raise UsageError(
            "generator_tuning.faces must be at least 1 and generator_tuning.held not negative",
            remedy="leave them at their defaults",
        )
    if config.generator and config.tune == "generator":
        raise UsageError("--generator and --tune generator exclude each other", remedy="leave one of them out")
    trust = config.trust
    if not (trust.yaw_good < trust.yaw_bad and trust.side_bad < trust.side_good and trust.fade_seconds > 0):
        raise UsageError(
            "trust needs yaw_good below yaw_bad, side_bad below side_good and fade_seconds above 0",
            remedy="leave them at their defaults",
        )
    mask = config.mask
    if not (0 <= mask.occlusion <= 1 and mask.occluded_good < mask.occluded_bad):
        raise UsageError(
            "mask needs occlusion between 0 and 1 and occluded_good below occluded_bad",
            remedy="leave them at their defaults",
        )
    if config.mask.parse_every < 1 or config.segment_seconds <= 0 or config.stall_seconds <= 0:
        raise UsageError(
            "mask.parse_every, segment_seconds and stall_seconds must be positive",
            remedy="leave them at their defaults",
        )


def _check_tuning(tuning: TuneConfig) -> None:
    for name in ("faces", "steps", "batch"):
        value = getattr(tuning, name)
        if value < 1:
            raise UsageError(f"tuning.{name} must be at least 1, got {value}", remedy=f"set tuning.{name}=1 or more")
    if tuning.rate <= 0 or min(tuning.w_reg, tuning.feature_reg, tuning.held) < 0:
        given = f"{tuning.rate}, {tuning.w_reg}, {tuning.feature_reg} and {tuning.held}"
        raise UsageError(
            f"tuning.rate must be positive, tuning.w_reg, tuning.feature_reg and tuning.held not negative, got {given}",
            remedy="leave them at their defaults",
        )
