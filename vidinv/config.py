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
    axes: float = 3.0  # turn and scale


@dataclass(frozen=True)
class MaskConfig:
    """The soft blend mask, in shares of the crop's side unless said otherwise."""

    parse_size: int = 256  # pixels
    parse_every: int = 3  # frames; the mask is carried in crop space between
    grow: float = 0.012
    blur: float = 0.02
    residual_good: float = 0.10  # mean |source - check| in [0, 1] up to which the edit shows fully; usual: 0.04 to 0.08
    residual_bad: float = 0.15  # and from which the source shows instead
    occlusion: float = 1.0  # how far hands, hair and things before the face stay as they are; 0 does not look for any
    occluded_good: float = 0.5  # share of the mask up to which the rest of a hidden face is edited wholly
    occluded_bad: float = 0.75  # and from which the source shows instead


@dataclass(frozen=True)
class TrustConfig:
    """Faces that are seen too badly to be edited: between the two values of a pair the edit fades."""

    yaw_good: float = 45.0  # degrees up to which a turned head is edited wholly
    yaw_bad: float = 65.0  # and from which it is left alone
    side_good: float = 32.0  # pixels of the frame, side of the face's crop from which it is edited wholly
    side_bad: float = 24.0  # and up to which it is left alone
    fade_seconds: float = 0.2  # what going and coming takes, for a poor inversion too


@dataclass(frozen=True)
class Effort:
    """Refinement steps of one frame: `latent` on w+ alone, then `feature` on F.

    A frame that follows another takes up to `patience` times as many while it is worse than its track's first.
    """

    latent: int = 0
    feature: int = 0
    patience: int = 4

    @property
    def steps(self) -> int:
        return self.latent + self.feature


@dataclass(frozen=True)
class RefineConfig:
    """How a clip is refined; the `first` frame of a track in a shot has no neighbour to go on from."""

    first: Effort = Effort(40, 36)
    following: Effort = Effort(2, 5, patience=2)
    gap: float = 0.1  # seconds between refined frames; 0 refines every frame

    @property
    def is_off(self) -> bool:
        return self.first.steps + self.following.steps == 0


@dataclass(frozen=True)
class TuneConfig:
    """How an encoder is tuned to a clip before it inverts it."""

    faces: int = 96  # at most: key faces, sharp, diverse in pose and spread in time
    held: int = 8  # at most: faces that are not learned from and say when to stop; 0: learn to the end
    steps: int = 120
    batch: int = 4  # faces a step
    rate: float = 1e-4
    w_reg: float = 1.0  # pull of w+ to what the encoder said before
    feature_reg: float = 0.2  # pull of F to G^K(w), in units of its spread; far from it an edit of w says little
    cache: bool = field(
        default=True, metadata=NEITHER
    )  # keep the result beside the weights, for this clip's other edits


@dataclass(frozen=True)
class GeneratorTuningConfig:
    """How a generator is tuned to each person of a clip; how long and how much it weighs says the recipe."""

    recipe: str = "clip"  # of configs/train/generator_tuning, or a file
    faces: int = 24  # at most, of all persons: key faces, sharp, diverse in pose and spread in time
    held: int = 4  # at most: faces that are not learned from and say when to stop; 0: learn to the end


@dataclass(frozen=True)
class IdentityConfig:
    """How often, in frames of a segment, it is measured how well the person is kept."""

    every: int = 1  # by ArcFace
    witness_every: int = 5  # by an independent network; pictures, attributes and flicker too

    def __post_init__(self) -> None:
        for name in ("every", "witness_every"):
            if getattr(self, name) < 1:
                raise UsageError(
                    f"identity.{name} must be at least 1, got {getattr(self, name)}", remedy="set 1 or more"
                )


@dataclass(frozen=True)
class C2paConfig:
    """Who signs the output where `--c2pa` asks for it, as PEM files; VIDINV_C2PA_CERTIFICATE and _KEY if empty."""

    certificate: str = ""  # the chain, the signer's own first
    key: str = ""  # the signer's, without a password


@dataclass(frozen=True)
class RunConfig:
    """Everything that decides what a run writes; equal config and source give an equal output.

    A field decides the output and stored codes unless it is marked OUTPUT or NEITHER (`vidinv/fingerprint.py`). What is
    in an encoder's, a generator's or a boxes' file counts instead of its path.
    """

    quality: str = field(default="balanced", metadata=OUTPUT)
    backend: str = "default"  # or tiny, or one that `vidinv backend create` made, or a file of that form
    engine: str = field(default="eager", metadata=OUTPUT)  # of what needs no gradient; auto: the quickest
    precision: str = field(default="auto", metadata=OUTPUT)  # of the same; auto: bfloat16 if native
    device: str = field(default="auto", metadata=OUTPUT)
    threads: int = field(default=0, metadata=OUTPUT)  # 0: every core the process may use
    reader: str = "pyav"  # of the analysis; decord (extra [decord]) gives RGB only, so the render always takes pyav
    stall_seconds: float = field(default=60.0, metadata=NEITHER)  # that the decoder may take over one frame
    encoder: str = field(default="", metadata=NEITHER)  # a file of `vidinv train`; the shipped one if empty
    generator: str = field(default="", metadata=NEITHER)  # a file of `vidinv tune --what generator`, or none
    tune: str = "none"  # to the clip, before its faces are inverted: the encoder, or a generator to each person
    landmarks: str = "2d106"  # fan needs the extra [face-alignment] and its weights on this machine
    boxes: str = field(default="", metadata=NEITHER)  # a file of boxes round what is edited; no detector
    faces: str = "largest"
    edits: tuple[str, ...] = field(default=(), metadata=OUTPUT)
    blend: str = field(default="auto", metadata=OUTPUT)
    crop: int = 512  # pixels, side of the aligned face
    batch: int = 6  # frames per batch
    segment_seconds: float = 2.0
    detect_every: int = 1  # frames; between them the last box follows its landmarks
    cut_threshold: float = 1.6  # a cut changes so many times what any frame around it does, motion taken out
    codec: str = field(default="auto", metadata=OUTPUT)
    crf: int = field(default=17, metadata=OUTPUT)  # x264's scale; other encoders are mapped to it
    preset: str = field(default="", metadata=OUTPUT)  # of the codec; empty: vidinv's own choice
    pixel_format: str = field(default="source", metadata=OUTPUT)  # or FFmpeg's name of another
    preview_size: int = field(default=256, metadata=OUTPUT)  # pixels, side of one panel
    preview_seconds: float = field(default=4.0, metadata=OUTPUT)  # length written for --at
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
    """Read a preset of a run by name (`fast`) or a YAML file, then take what is `given`, then `key=value` overrides.

    Raises UsageError as `config_loading.load_dataclass` does, and for values that do not go together.
    """
    config = load_dataclass(RunConfig, "run", name_or_path, overrides, given)
    _check(config)
    return config


def with_edits(config: RunConfig, edits: list[str]) -> RunConfig:
    """`config` with these edits after its own."""
    return replace(config, edits=(*config.edits, *edits))


def to_yaml(config: RunConfig) -> str:
    """The resolved configuration, as saved with every run."""
    return OmegaConf.to_yaml(OmegaConf.create(plain(config)))


def plain(config: RunConfig) -> dict[str, Any]:
    """The resolved configuration as JSON can hold it."""
    values = asdict(config)
    values["edits"] = list(config.edits)
    return values


def of_plain(values: dict[str, Any]) -> RunConfig:
    """The configuration that `plain` wrote. Raises UsageError for one of another version."""
    return from_layers(RunConfig, {"stored configuration": values})


def _check(config: RunConfig) -> None:
    for name, allowed in CHOICES.items():
        value = getattr(config, name)
        if value not in allowed:
            raise UsageError(f"{name} {value!r} is not known", remedy=f"choose one of {', '.join(allowed)}")
    for name in ("crop", "batch", "detect_every", "preview_size"):
        if getattr(config, name) < 1:
            raise UsageError(f"{name} must be at least 1, got {getattr(config, name)}", remedy=f"set {name}=1 or more")
    _check_tuning(config.tuning)
    if config.generator_tuning.faces < 1 or config.generator_tuning.held < 0:
        raise UsageError(
            "generator_tuning.faces must be at least 1 and generator_tuning.held not negative",
            remedy="leave them as they are",
        )
    if config.generator and config.tune == "generator":
        raise UsageError("--generator gives what --tune generator would make", remedy="leave one of them out")
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
