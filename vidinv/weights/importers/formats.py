"""The published layouts of generators: how each is told by its keys, its sizes, and where each tensor lies in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vidinv.errors import WeightsUnavailable
from vidinv.weights.importers import spectral

State = Mapping[str, Tensor]
BINOMIAL = torch.tensor([1.0, 3.0, 3.0, 1.0])


@dataclass(frozen=True)
class Format:
    """One published layout.

    `marks`: patterns of keys, each of which at least one key has. `settings`: what the architecture is built with, from
    the tensors' shapes. `source`: the name in the file of a tensor of ours. `average`: where the average latent lies.
    `prepared`: the state before anything is looked up in it. `idle`: tensors that say nothing which ours do not know.
    """

    name: str
    architecture: str
    marks: tuple[str, ...]
    settings: Callable[[State], dict[str, Any]]
    source: Callable[[str], str] = str
    average: str | None = "latent_avg"
    prepared: Callable[[dict[str, Tensor]], dict[str, Tensor]] = dict
    idle: Callable[[str, Tensor], bool] = lambda key, value: key.endswith("num_batches_tracked")


def told(keys: Iterable[str]) -> Format | None:
    """The format whose marks all are among the keys."""
    keys = list(keys)
    for known in FORMATS:
        if all(any(re.fullmatch(mark, key) for key in keys) for mark in known.marks):
            return known
    return None


def most_common(values: Iterable[int], what: str) -> int:
    """The value that most of several tensors agree on, so that a single wrong one is found out, not believed."""
    counted = Counter(values).most_common(1)
    if not counted:
        raise _untold(what)
    return counted[0][0]


def _untold(what: str) -> WeightsUnavailable:
    return WeightsUnavailable(f"the file does not say its {what}", remedy="its keys are incomplete")


def _sizes(state: State, pattern: str, axis: int) -> list[int]:
    """Sizes along an axis of all tensors whose keys match."""
    return [v.shape[axis] for k, v in state.items() if re.fullmatch(pattern, k) and -v.ndim <= axis < v.ndim]


def _numbers(state: State, pattern: str) -> list[int]:
    """The numbers in the keys that match, as their first group."""
    return [int(found[1]) for key in state if (found := re.fullmatch(pattern, key))]


def _last(state: State, pattern: str, what: str) -> int:
    """The largest of these numbers."""
    numbers = _numbers(state, pattern)
    if not numbers:
        raise _untold(what)
    return max(numbers)


def _rosinality_settings(state: State) -> dict[str, Any]:
    top = _last(state, r"to_rgbs\.(\d+)\..*", "resolution")
    resolution, last = 8 << top, f"convs.{2 * top + 1}"
    widths = [
        *_sizes(state, rf"{last}\.activate\.bias", 0),
        *_sizes(state, rf"{last}\.conv\.modulation\.(weight|bias)", 0),
    ]
    widths += [
        *_sizes(state, rf"{last}\.conv\.weight", 1),
        *_sizes(state, rf"to_rgbs\.{top}\.conv\.modulation\.bias", 0),
    ]
    most = [*_sizes(state, r"conv1\.activate\.bias", 0), *_sizes(state, r"(conv1|to_rgb1)\.conv\.modulation\.\w+", 0)]
    embeds = _sizes(state, r"embed\.weight", 1)
    return {
        "resolution": resolution,
        "channel_multiplier": most_common(widths, "channels") * resolution / 16384,
        "channel_max": most_common(most, "channels"),
        "w_dim": most_common(_sizes(state, r"style\.\d+\.bias", 0), "latent size"),
        "c_dim": embeds[0] if embeds else 0,
        "mapping_layers": _last(state, r"style\.(\d+)\..*", "mapping network"),
    }


def _ada_name(key: str) -> str:
    """The name in StyleGAN2-ADA's pickle of a tensor in the layout of `vidinv.generators.stylegan2`."""
    if found := re.fullmatch(r"style\.(\d+)\.(\w+)", key):
        return f"mapping.fc{int(found[1]) - 1}.{found[2]}"
    if key.startswith("embed."):
        return f"mapping.{key}"
    if key == "input.input":
        return "synthesis.b4.const"
    if found := re.fullmatch(r"noises\.noise_(\d+)", key):
        return f"synthesis.{_ada_layer(int(found[1]) + 1)}.noise_const"
    if found := re.fullmatch(r"to_rgb(1|s\.(\d+))\.(.+)", key):
        side = 4 if found[1] == "1" else 8 << int(found[2])
        return f"synthesis.b{side}.torgb.{found[3].replace('conv.modulation', 'affine').replace('conv.', '')}"
    if found := re.fullmatch(r"conv(1|s\.(\d+))\.(.+)", key):
        layer = _ada_layer(1 if found[1] == "1" else int(found[2]) + 2)
        part = found[3].replace("conv.modulation", "affine").replace("conv.", "")
        return f"synthesis.{layer}.{part.replace('noise.weight', 'noise_strength').replace('activate.', '')}"
    return key


def _ada_layer(k: int) -> str:
    """Convolution k = 1, 2, 3 ... in StyleGAN2-ADA's names: b4.conv1, b8.conv0, b8.conv1 and so on."""
    return f"b{4 << k // 2}.conv{k % 2}"


def _ada_settings(state: State) -> dict[str, Any]:
    resolution = _last(state, r"synthesis\.b(\d+)\..*", "resolution")
    last = rf"synthesis\.b{resolution}"
    widths = [*_sizes(state, rf"{last}\.conv[01]\.bias", 0), *_sizes(state, rf"{last}\.torgb\.affine\.bias", 0)]
    embeds = _sizes(state, r"mapping\.embed\.weight", 1)
    return {
        "resolution": resolution,
        "channel_multiplier": most_common(widths, "channels") * resolution / 16384,
        "channel_max": most_common(
            _sizes(state, r"synthesis\.b4\.(conv1|torgb)\.affine\.(bias|weight)", 0), "channels"
        ),
        "w_dim": most_common(_sizes(state, r"mapping\.fc\d+\.bias", 0), "latent size"),
        "c_dim": embeds[0] if embeds else 0,
        "mapping_layers": _last(state, r"mapping\.fc(\d+)\..*", "mapping network") + 1,
    }


def _binomial_filter(key: str, value: Tensor) -> bool:
    """Whether this is the resampling filter that every layer repeats."""
    if not key.endswith("resample_filter"):
        return False
    wanted = torch.outer(BINOMIAL, BINOMIAL) / BINOMIAL.sum() ** 2
    return value.shape == wanted.shape and torch.allclose(value.float(), wanted, atol=1e-6)


def _stylegan3_settings(state: State) -> dict[str, Any]:
    named = [re.fullmatch(r"synthesis\.L(\d+)_(\d+)_(\d+)\..*", key) for key in state]
    layers = sorted({(int(found[1]), int(found[2]), int(found[3])) for found in named if found})
    (last, resolution, _), (_, _, width), (_, _, most) = layers[-1], layers[-2], layers[0]
    sides = _sizes(state, r"synthesis\.L[0-9]_\d+_\d+\.weight", -1)
    radial = most_common(sides, "configuration") == 1
    embeds = _sizes(state, r"mapping\.embed\.weight", 1)
    return {
        "resolution": resolution,
        "config": "r" if radial else "t",
        "channel_base": width * resolution // (2 if radial else 1),
        "channel_max": most // (2 if radial else 1),
        "layers": last,
        "w_dim": most_common(_sizes(state, r"mapping\.fc\d+\.bias", 0), "latent size"),
        "c_dim": embeds[0] if embeds else 0,
    }


def _stylegan1_settings(state: State) -> dict[str, Any]:
    top = _last(state, r"decode_block\.(\d+)\..*", "resolution")
    resolution = 4 << top
    widths = _sizes(state, rf"decode_block\.{top}\.(bias|noise_weight)_[12]", 1)
    return {
        "resolution": resolution,
        "channel_multiplier": most_common(widths, "channels") * resolution / 16384,
        "channel_max": most_common(_sizes(state, r"decode_block\.0\.(bias|noise_weight)_[12]", 1), "channels"),
        "w_dim": most_common(_sizes(state, r"block_\d\.fc\.bias", 0), "latent size"),
    }


def _pggan_settings(state: State) -> dict[str, Any]:
    if float(state.get("lod", torch.zeros(())).max()) != 0:
        raise WeightsUnavailable("lod is not 0: the network is not fully grown", remedy="grow it to the end first")
    top = _last(state, r"output(\d+)\..*", "resolution")
    resolution = 4 << top
    widths = [*_sizes(state, rf"layer({2 * top}|{2 * top + 1})\.bias", 0), *_sizes(state, rf"output{top}\.weight", 1)]
    return {
        "resolution": resolution,
        "channel_multiplier": most_common(widths, "channels") * resolution / 16384,
        "channel_max": most_common(_sizes(state, r"layer[0-3]\.bias", 0), "channels"),
        "z_dim": most_common(_sizes(state, r"layer0\.weight", 1), "latent size"),
    }


def _biggan_settings(state: State) -> dict[str, Any]:
    blocks = {n for n in _numbers(state, r"generator\.layers\.(\d+)\.conv_\d\..*")}
    resolution = {12: 128, 14: 256, 16: 512}.get(max(blocks) + 2)
    if resolution is None:
        raise WeightsUnavailable(f"a BigGAN-deep of {max(blocks) + 1} layers is not among the published ones")
    class_dim = most_common(_sizes(state, r"embeddings\.weight", 0), "class embedding, embeddings.weight")
    rows = _sizes(state, r"generator\.layers\.\d+\.bn_\d\.(scale|offset)\.weight", 1)
    return {
        "resolution": resolution,
        "width": most_common(_sizes(state, r"generator\.bn\.(bias|weight)", 0), "channels"),
        "z_dim": most_common(rows, "latent size") - class_dim,
        "class_dim": class_dim,
        "classes": most_common(_sizes(state, r"embeddings\.weight", 1), "classes, embeddings.weight"),
        "statistics": most_common(_sizes(state, r"generator\..*\.running_(means|vars)", 0), "statistics"),
    }


FORMATS = (
    Format(
        name="rosinality StyleGAN2",
        architecture="stylegan2",
        marks=(r"convs\.\d+\.conv\.modulation\.\w+", r"to_rgbs\.\d+\.conv\..*", r"style\.\d+\.\w+"),
        settings=_rosinality_settings,
    ),
    Format(
        name="NVIDIA StyleGAN2-ADA",
        architecture="stylegan2",
        marks=(r"synthesis\.b\d+\.conv\d\..*", r"synthesis\.b\d+\.torgb\..*", r"mapping\.fc\d+\.\w+"),
        settings=_ada_settings,
        source=_ada_name,
        average="mapping.w_avg",
        idle=_binomial_filter,
    ),
    Format(
        name="NVIDIA StyleGAN3",
        architecture="stylegan3",
        marks=(r"synthesis\.L\d+_\d+_\d+\..*", r"synthesis\.input\..*"),
        settings=_stylegan3_settings,
        average=None,  # it is part of the state
    ),
    Format(
        name="StyleGAN1 PyTorch",
        architecture="stylegan1",
        marks=(r"decode_block\.\d+\..*", r"block_\d\.fc\..*"),
        settings=_stylegan1_settings,
        idle=lambda key, value: bool(re.fullmatch(r"decode_block\.\d+\.blur\.weight", key)),
    ),
    Format(
        name="PGGAN PyTorch",
        architecture="pggan",
        marks=(r"layer\d+\.weight", r"output\d+\.\w+"),
        settings=_pggan_settings,
        average=None,
    ),
    Format(
        name="BigGAN-deep PyTorch",
        architecture="biggan",
        marks=(r"generator\.layers\.\d+\.bn_\d\..*", r"generator\.layers\.\d+\.conv_\d\..*"),
        settings=_biggan_settings,
        average=None,
        prepared=spectral.folded,
    ),
)
