"""Select the video encoder, its settings and the allowed containers for a codec name."""

from __future__ import annotations

import platform
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import av

from vidinv.errors import UsageError
from vidinv.frames import Colour
from vidinv.media import formats, mastering
from vidinv.media.probe import VideoInfo

_SUFFIXES = {
    "h264": (".mp4", ".mov", ".mkv", ".m4v"),
    "hevc": (".mp4", ".mov", ".mkv", ".m4v"),
    "vp9": (".mp4", ".mkv", ".webm"),
    "av1": (".mp4", ".mkv", ".webm"),
    "prores": (".mov", ".mkv"),
    "ffv1": (".mp4", ".mkv"),
}
_ENCODERS = {
    "h264": "libx264",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "prores": "prores_ks",
    "ffv1": "ffv1",
}
_KEEPS_ALPHA = ("prores", "ffv1")
_KEEPS_FIELDS = ("h264",)
_PRESET_KEYS = {"h264": "preset", "hevc": "preset", "vp9": "cpu-used", "av1": "preset"}
NAMES = ("auto", *_ENCODERS, "lossless")


@dataclass(frozen=True)
class EncoderOptions:
    """Requested settings of the video encoder.

    `codec` is one of NAMES; `crf` is on x264's scale; `preset` is the encoder's own name, empty for the default here;
    `pixel_format` is "source", or FFmpeg's name of the format to convert to.
    """

    codec: str = "auto"
    crf: int = 17
    preset: str = ""
    pixel_format: str = "source"


@dataclass(frozen=True)
class SelectedEncoder:
    """One encoder with its sample format and options; `codec` is the short name ("h264", "hevc", ...)."""

    codec: str
    encoder: str
    pix_fmt: str
    options: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()


def resolve_codec(options: EncoderOptions, info: VideoInfo, suffix: str = "") -> str:
    """Return the codec of the request for this video in a file with this suffix. Raises UsageError if unknown.

    "auto" is H.264 at 8 bits and HEVC above or for RGB; VP9 and AV1 in .webm or for odd sides with halved chroma;
    FFV1 (in .mov ProRes 4444, whatever the depth) for alpha, and FFV1 for 16-bit RGB.
    """
    if options.codec not in NAMES:
        raise UsageError(f"unknown codec {options.codec!r}", remedy=f"choose one of {', '.join(NAMES)}")
    if options.codec == "lossless":
        return "ffv1"
    if options.codec != "auto":
        return options.codec
    shape = formats.layout(_wanted(options, info))
    if shape.has_alpha:
        return "prores" if suffix == ".mov" else "ffv1"
    if shape.is_rgb and shape.depth > 12:
        return "ffv1"
    cut = _cuts_cells(_wanted(options, info), info)
    if suffix == ".webm" or (cut and suffix != ".mov"):  # x264 and x265 accept whole chroma cells only
        return "av1" if shape.depth > 8 else "vp9"
    return "hevc" if shape.depth > 8 or shape.is_rgb else "h264"


def select_encoder(options: EncoderOptions, info: VideoInfo, *, suffix: str = "", threads: int = 2) -> SelectedEncoder:
    """Select encoder, sample format and settings for a request; `threads` limits the encoder's threads.

    No encoder reorders frames (no B-frames), so dts = pts, every pts is kept, and segments concatenate. `warnings`
    of the result name the source's metadata that this codec cannot hold.
    Raises UsageError if the encoder would lose depth, chroma or alpha; ProRes converts to its 10-bit YUV and warns.
    """
    name = resolve_codec(options, info, suffix)
    encoder = _ENCODERS[name]
    wanted = _wanted(options, info)
    _check_alpha(name, wanted, info, options, suffix)
    settings = _options(name, options, threads)
    _keep_fields(name, settings, info)
    _add_mastering(encoder, settings, info)
    if name == "ffv1" and not _cuts_cells(wanted, info):
        settings["slices"] = "4"
    pix_fmt = _encoder_format(name, encoder, wanted)
    lost = (*_lost_samples(name, wanted, pix_fmt), *_lost_metadata(name, encoder, info))
    return SelectedEncoder(name, encoder, pix_fmt, settings, lost)


def output_colour(colour: Colour, source: str, pix_fmt: str) -> Colour:
    """Return the output's colour tags for a source of pixel format `source`: the same, unless RGB becomes YUV or back.

    RGB becomes limited-range BT.709.
    """
    if formats.layout(source).is_rgb == formats.layout(formats.planar(pix_fmt)).is_rgb:
        return colour
    if formats.layout(source).is_rgb:
        return replace(colour, matrix="bt709", full_range=False, matrix_tag=1, range_tag=1)
    return replace(colour, full_range=True, matrix_tag=0, range_tag=2)


def check_container(options: EncoderOptions, info: VideoInfo, output: Path) -> None:
    """Raise UsageError if the container of `output`'s suffix cannot hold the requested video."""
    suffix = output.suffix.lower()
    name = resolve_codec(options, info, suffix)
    allowed = _SUFFIXES[name]
    if suffix not in allowed:
        raise UsageError(
            f"{output.suffix or 'a name without suffix'} cannot hold {name} video ({output.name})",
            remedy=f"name the output {' or '.join(output.stem + known for known in allowed)}",
        )
    select_encoder(options, info, suffix=suffix)


def _cuts_cells(pix_fmt: str, info: VideoInfo) -> bool:
    """Return whether a side of the picture is not a whole number of chroma cells."""
    shape = formats.layout(pix_fmt)
    return bool(info.width % (1 << shape.sub_x) or info.height % (1 << shape.sub_y))


def _options(name: str, options: EncoderOptions, threads: int) -> dict[str, str]:
    crf = options.crf
    settings = {
        "h264": {"crf": str(crf), "bf": "0", "preset": "medium", "threads": "1", **_reproducible()},
        "hevc": {
            "crf": str(crf),
            "preset": "fast",
            "x265-params": f"bframes=0:open-gop=0:log-level=error:pools={threads}:frame-threads=1",
        },
        "vp9": {"crf": str(crf + 8), "b": "0", "row-mt": "1", "cpu-used": "4", "auto-alt-ref": "0", "deadline": "good"},
        "av1": {"crf": str(crf + 10), "preset": "8", "svtav1-params": f"lp={threads}"},
        "prores": {"vendor": "apl0"},
        "ffv1": {"level": "3", "g": "1", "slicecrc": "1"},
    }[name]
    if options.preset:
        if name not in _PRESET_KEYS:
            raise UsageError(f"{name} has no presets", remedy="remove --preset")
        settings[_PRESET_KEYS[name]] = options.preset
    return settings


@cache
def _reproducible() -> dict[str, str]:
    """Return x264 options that disable its AVX-512 routines on processors that have them.

    With these routines the encoded bytes of equal frames depended on their memory address: in one process of three,
    one run in seven (found by `scripts/stress/kill_and_resume.py`).
    """
    from llvmlite.binding import get_host_cpu_features  # takes half a second to load

    is_intel = platform.machine().lower() in ("x86_64", "amd64")
    has_them = is_intel and get_host_cpu_features().get("avx512f", False)
    return {"x264-params": "asm=FMA3,BMI2,AVX2"} if has_them else {}


def _wanted(options: EncoderOptions, info: VideoInfo) -> str:
    """Return the planar format to write: the source's, or the requested one. Raises UsageError if unknown."""
    if options.pixel_format == "source":
        return formats.without_range(info.pix_fmt)
    try:
        name = formats.planar(options.pixel_format)
    except ValueError as error:
        raise UsageError(
            f"unknown pixel format {options.pixel_format!r}",
            remedy="give FFmpeg's name, such as yuv420p or yuv422p10le",
        ) from error
    return formats.without_range(name)


def _check_alpha(name: str, wanted: str, info: VideoInfo, options: EncoderOptions, suffix: str) -> None:
    if info.hides_alpha and options.pixel_format == "source":
        raise UsageError(
            f"{info.path.name} has an alpha channel in a second {info.codec} layer, which is not decoded",
            remedy=f"drop it with --pix-fmt {wanted}",
        )
    if formats.layout(wanted).has_alpha and name not in _KEEPS_ALPHA:
        keeping = [f"--codec {known}" for known in ("lossless", "prores") if suffix in _SUFFIXES[_codec_named(known)]]
        keep = " or ".join(keeping) or "a name that ends in .mkv and without --codec"
        raise UsageError(
            f"{info.path.name} has an alpha channel ({info.pix_fmt}), which {name} cannot hold",
            remedy=f"keep it with {keep}, or drop it with --pix-fmt {_opaque(name, wanted)}",
        )


def _codec_named(name: str) -> str:
    return "ffv1" if name == "lossless" else name


def _opaque(name: str, wanted: str) -> str:
    """Return `wanted` without alpha if the codec can hold that, else yuv420p, which every codec here can."""
    plain = wanted.replace("a", "", 1)
    try:
        _encoder_format(name, _ENCODERS[name], plain)
    except UsageError:
        return "yuv420p"
    return plain


def _lost_samples(name: str, wanted: str, pix_fmt: str) -> tuple[str, ...]:
    """Return a warning where ProRes, which has 10 bits of YUV, is given other samples."""
    if name != "prores":
        return ()
    need, has = formats.layout(wanted), formats.layout(pix_fmt)
    if need.is_rgb:
        return (f"prores stores YUV: the RGB samples ({wanted}) are converted to {pix_fmt}",)
    if need.depth > has.depth:
        return (f"prores is written with {has.depth} bits: the samples ({wanted}) are rounded to {pix_fmt}",)
    return ()


def _keep_fields(name: str, settings: dict[str, str], info: VideoInfo) -> None:
    if not info.fields:
        return
    if name == "h264":
        _add(settings, "x264-params", f"{info.fields}=1")


def _add_mastering(encoder: str, settings: dict[str, str], info: VideoInfo) -> None:
    values = mastering.encoder_parameters(encoder, info.mastering)
    if values:
        key = {"libx264": "x264-params", "libx265": "x265-params", "libsvtav1": "svtav1-params"}[encoder]
        _add(settings, key, *values)


def _add(settings: dict[str, str], key: str, *values: str) -> None:
    """Append parameters to those that the encoder already has under `key`."""
    settings[key] = ":".join([*filter(None, [settings.get(key)]), *values])


def _lost_metadata(name: str, encoder: str, info: VideoInfo) -> tuple[str, ...]:
    """Return warnings that name the source's metadata which this codec loses."""
    found = [f"the per-frame {kind} metadata is left out" for kind in info.mastering.dynamic]
    static = info.mastering.primaries or info.mastering.light
    if static and not mastering.encoder_parameters(encoder, info.mastering):
        found.append(f"{name} cannot store the source's mastering display and light levels; hevc and av1 can")
    if info.fields:
        order = {"tff": "top", "bff": "bottom"}[info.fields]
        kept = "kept" if name in _KEEPS_FIELDS else f"not marked as interlaced by {name}"
        found.append(
            f"the source is interlaced ({order} field first): each frame is edited as a whole, the fields are {kept}"
        )
    return tuple(found)


def _encoder_format(name: str, encoder: str, wanted: str) -> str:
    """Return the encoder's smallest format that holds `wanted` without loss. Raises UsageError if there is none."""
    known = [form.name for form in av.Codec(encoder, "w").video_formats or []]
    if wanted in known:
        return wanted
    if (packed := {"gbrp": "bgr0", "gbrap": "bgra"}.get(wanted)) in known:
        return str(packed)
    need = formats.layout(wanted)
    fits = []
    for other in known:
        if formats.planar(other) != other or formats.without_range(other) != other:
            continue
        has = formats.layout(other)
        if (
            has.is_rgb == need.is_rgb
            and has.has_alpha == need.has_alpha
            and has.depth >= need.depth
            and has.count >= need.count
            and has.sub_x <= need.sub_x
            and has.sub_y <= need.sub_y
        ):
            fits.append((has.depth, -has.sub_x - has.sub_y, other))
    if not fits and name == "prores":
        has_full_chroma = need.is_rgb or (need.sub_x == 0 and need.count > 1)
        return "yuva444p10le" if need.has_alpha else "yuv444p10le" if has_full_chroma else "yuv422p10le"
    if not fits:
        raise UsageError(
            f"{name} cannot hold {wanted} video without loss of depth or chroma",
            remedy="use --codec lossless, another codec, or --pix-fmt",
        )
    return min(fits)[2]
