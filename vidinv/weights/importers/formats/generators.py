"""Published layouts of generators."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from vidinv.errors import WeightsUnavailable
from vidinv.weights.importers import spectral
from vidinv.weights.importers.formats.base import Format, State, largest_number, most_common, numbers, sizes

BINOMIAL = torch.tensor([1.0, 3.0, 3.0, 1.0])


def _rosinality_settings(state: State) -> dict[str, Any]:
    top = largest_number(state, r"to_rgbs\.(\d+)\..*", "resolution")
    resolution, last = 8 << top, f"convs.{2 * top + 1}"
    widths = [
        *sizes(state, rf"{last}\.activate\.bias", 0),
        *sizes(state, rf"{last}\.conv\.modulation\.(weight|bias)", 0),
    ]
    widths += [
        *sizes(state, rf"{last}\.conv\.weight", 1),
        *sizes(state, rf"to_rgbs\.{top}\.conv\.modulation\.bias", 0),
    ]
    most = [*sizes(state, r"conv1\.activate\.bias", 0), *sizes(state, r"(conv1|to_rgb1)\.conv\.modulation\.\w+", 0)]
    embeds = sizes(state, r"embed\.weight", 1)
    return stylegan2_sizes(resolution, widths, most) | {
        "w_dim": most_common(sizes(state, r"style\.\d+\.bias", 0), "latent size"),
        "c_dim": embeds[0] if embeds else 0,
        "mapping_layers": largest_number(state, r"style\.(\d+)\..*", "mapping network"),
    }


def stylegan2_sizes(resolution: int, widths: list[int], most: list[int]) -> dict[str, Any]:
    """Return a StyleGAN2 network's settings from channels at full resolution (`widths`) and at most (`most`)."""
    return {
        "resolution": resolution,
        "channel_multiplier": most_common(widths, "channels") * resolution / 16384,
        "channel_max": most_common(most, "channels"),
    }


def _ada_name(key: str) -> str:
    """Return the name in StyleGAN2-ADA's pickle of a tensor of `vidinv.generators.stylegan2`."""
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
    """Return StyleGAN2-ADA's name of convolution k = 1, 2, 3 ...: b4.conv1, b8.conv0, b8.conv1 and so on."""
    return f"b{4 << k // 2}.conv{k % 2}"


def _ada_settings(state: State) -> dict[str, Any]:
    resolution = largest_number(state, r"synthesis\.b(\d+)\..*", "resolution")
    last = rf"synthesis\.b{resolution}"
    widths = [*sizes(state, rf"{last}\.conv[01]\.bias", 0), *sizes(state, rf"{last}\.torgb\.affine\.bias", 0)]
    embeds = sizes(state, r"mapping\.embed\.weight", 1)
    return {
        "resolution": resolution,
        "channel_multiplier": most_common(widths, "channels") * resolution / 16384,
        "channel_max": most_common(sizes(state, r"synthesis\.b4\.(conv1|torgb)\.affine\.(bias|weight)", 0), "channels"),
        "w_dim": most_common(sizes(state, r"mapping\.fc\d+\.bias", 0), "latent size"),
        "c_dim": embeds[0] if embeds else 0,
        "mapping_layers": largest_number(state, r"mapping\.fc(\d+)\..*", "mapping network") + 1,
    }


def _genforce_name(key: str) -> str:
    """Return the name in genforce's StyleGAN2 of a tensor of `vidinv.generators.stylegan2`."""
    if found := re.fullmatch(r"style\.(\d+)\.(\w+)", key):
        return f"mapping.dense{int(found[1]) - 1}.{found[2]}"
    if key == "input.input":
        return "synthesis.early_layer.const"
    if found := re.fullmatch(r"noises\.noise_(\d+)", key):
        return f"synthesis.layer{found[1]}.noise"
    if found := re.fullmatch(r"(conv|to_rgb)(1|s\.(\d+))\.(.+)", key):
        index = 0 if found[2] == "1" else int(found[3]) + 1
        part = found[4].replace("conv.modulation", "style").replace("conv.", "").replace("activate.", "")
        layer = "layer" if found[1] == "conv" else "output"
        return f"synthesis.{layer}{index}.{part.replace('noise.weight', 'noise_strength')}"
    return key


def _genforce_settings(state: State) -> dict[str, Any]:
    top = largest_number(state, r"synthesis\.output(\d+)\..*", "resolution")
    resolution, final = 4 << top, rf"synthesis\.(layer{2 * top}|output{top})"
    widths = [*sizes(state, rf"{final}\.style\.(weight|bias)", 0), *sizes(state, rf"{final}\.weight", 1)]
    first = [*sizes(state, r"synthesis\.(layer|output)0\.style\.(weight|bias)", 0)]
    return {
        "resolution": resolution,
        "channel_multiplier": most_common(widths, "channels") * resolution / 16384,
        "channel_max": most_common([*first, *sizes(state, r"synthesis\.layer0\.bias", 0)], "channels"),
        "w_dim": most_common(sizes(state, r"mapping\.dense\d+\.bias", 0), "latent size"),
        "mapping_layers": largest_number(state, r"mapping\.dense(\d+)\..*", "mapping network") + 1,
    }


def _from_tensorflow(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Convert genforce's tensors, which follow TensorFlow.

    Styles are centred at 1 there, and upsampling (odd) layers hold a correlation's kernel, which the transposed
    convolution needs rotated by 180 degrees.
    """
    made = dict(state)
    for key, value in state.items():
        if re.fullmatch(r"synthesis\.(layer|output)\d+\.style\.bias", key):
            made[key] = value + 1
        elif re.fullmatch(r"synthesis\.layer\d*[13579]\.weight", key) and value.ndim == 4:
            made[key] = value.flip(2, 3)
    return made


def _genforce_idle(key: str, value: Tensor) -> bool:
    """Return whether this is the binomial filter, at any gain."""
    wanted = torch.outer(BINOMIAL, BINOMIAL)
    return key.endswith(".kernel") and value.numel() == wanted.numel() and _proportional(value.flatten(), wanted)


def _proportional(value: Tensor, wanted: Tensor) -> bool:
    cosine = torch.cosine_similarity(value.double(), wanted.flatten().double(), dim=0)
    return bool(cosine > 1 - 1e-6)


def binomial_filter(key: str, value: Tensor) -> bool:
    """Return whether this is the resampling filter that every layer repeats."""
    if not key.endswith("resample_filter"):
        return False
    wanted = torch.outer(BINOMIAL, BINOMIAL) / BINOMIAL.sum() ** 2
    return value.shape == wanted.shape and torch.allclose(value.float(), wanted, atol=1e-6)


def _stylegan3_settings(state: State) -> dict[str, Any]:
    named = [re.fullmatch(r"synthesis\.L(\d+)_(\d+)_(\d+)\..*", key) for key in state]
    layers = sorted({(int(found[1]), int(found[2]), int(found[3])) for found in named if found})
    (last, resolution, _), (_, _, width), (_, _, most) = layers[-1], layers[-2], layers[0]
    sides = sizes(state, r"synthesis\.L[0-9]_\d+_\d+\.weight", -1)
    radial = most_common(sides, "configuration") == 1
    embeds = sizes(state, r"mapping\.embed\.weight", 1)
    return {
        "resolution": resolution,
        "config": "r" if radial else "t",
        "channel_base": width * resolution // (2 if radial else 1),
        "channel_max": most // (2 if radial else 1),
        "layers": last,
        "w_dim": most_common(sizes(state, r"mapping\.fc\d+\.bias", 0), "latent size"),
        "c_dim": embeds[0] if embeds else 0,
    }


def _stylegan1_settings(state: State) -> dict[str, Any]:
    top = largest_number(state, r"decode_block\.(\d+)\..*", "resolution")
    resolution = 4 << top
    widths = sizes(state, rf"decode_block\.{top}\.(bias|noise_weight)_[12]", 1)
    return {
        "resolution": resolution,
        "channel_multiplier": most_common(widths, "channels") * resolution / 16384,
        "channel_max": most_common(sizes(state, r"decode_block\.0\.(bias|noise_weight)_[12]", 1), "channels"),
        "w_dim": most_common(sizes(state, r"block_\d\.fc\.bias", 0), "latent size"),
    }


def _pggan_settings(state: State) -> dict[str, Any]:
    if float(state.get("lod", torch.zeros(())).max()) != 0:
        raise WeightsUnavailable(
            "lod is not 0: the network is not fully grown", remedy="use a fully trained checkpoint"
        )
    top = largest_number(state, r"output(\d+)\..*", "resolution")
    resolution = 4 << top
    widths = [*sizes(state, rf"layer({2 * top}|{2 * top + 1})\.bias", 0), *sizes(state, rf"output{top}\.weight", 1)]
    return {
        "resolution": resolution,
        "channel_multiplier": most_common(widths, "channels") * resolution / 16384,
        "channel_max": most_common(sizes(state, r"layer[0-3]\.bias", 0), "channels"),
        "z_dim": most_common(sizes(state, r"layer0\.weight", 1), "latent size"),
    }


def _biggan_settings(state: State) -> dict[str, Any]:
    blocks = {n for n in numbers(state, r"generator\.layers\.(\d+)\.conv_\d\..*")}
    resolution = {12: 128, 14: 256, 16: 512}.get(max(blocks) + 2)
    if resolution is None:
        raise WeightsUnavailable(f"a BigGAN-deep of {max(blocks) + 1} layers is not a published one")
    class_dim = most_common(sizes(state, r"embeddings\.weight", 0), "class embedding, embeddings.weight")
    rows = sizes(state, r"generator\.layers\.\d+\.bn_\d\.(scale|offset)\.weight", 1)
    return {
        "resolution": resolution,
        "width": most_common(sizes(state, r"generator\.bn\.(bias|weight)", 0), "channels"),
        "z_dim": most_common(rows, "latent size") - class_dim,
        "class_dim": class_dim,
        "classes": most_common(sizes(state, r"embeddings\.weight", 1), "classes, embeddings.weight"),
        "statistics": most_common(sizes(state, r"generator\..*\.running_(means|vars)", 0), "statistics"),
    }


FORMATS = (
    Format(
        name="rosinality StyleGAN2",
        kind="generator",
        architecture="stylegan2",
        marks=(r"convs\.\d+\.conv\.modulation\.\w+", r"to_rgbs\.\d+\.conv\..*", r"style\.\d+\.\w+"),
        settings=_rosinality_settings,
        average="latent_avg",
    ),
    Format(
        name="NVIDIA StyleGAN2-ADA",
        kind="generator",
        architecture="stylegan2",
        marks=(r"synthesis\.b\d+\.conv\d\..*", r"synthesis\.b\d+\.torgb\..*", r"mapping\.fc\d+\.\w+"),
        settings=_ada_settings,
        source=_ada_name,
        average="mapping.w_avg",
        idle=binomial_filter,
    ),
    Format(
        name="genforce StyleGAN2",
        kind="generator",
        architecture="stylegan2",
        marks=(r"synthesis\.layer\d+\.style\..*", r"synthesis\.output\d+\..*", r"mapping\.dense\d+\.\w+"),
        settings=_genforce_settings,
        source=_genforce_name,
        average="truncation.w_avg",
        prepared=_from_tensorflow,
        idle=_genforce_idle,
    ),
    Format(
        name="NVIDIA StyleGAN3",
        kind="generator",
        architecture="stylegan3",
        marks=(r"synthesis\.L\d+_\d+_\d+\..*", r"synthesis\.input\..*"),
        settings=_stylegan3_settings,
    ),
    Format(
        name="StyleGAN1 PyTorch",
        kind="generator",
        architecture="stylegan1",
        marks=(r"decode_block\.\d+\..*", r"block_\d\.fc\..*"),
        settings=_stylegan1_settings,
        average="latent_avg",
        idle=lambda key, value: bool(re.fullmatch(r"decode_block\.\d+\.blur\.weight", key)),
    ),
    Format(
        name="PGGAN PyTorch",
        kind="generator",
        architecture="pggan",
        marks=(r"layer\d+\.weight", r"output\d+\.\w+"),
        settings=_pggan_settings,
    ),
    Format(
        name="BigGAN-deep PyTorch",
        kind="generator",
        architecture="biggan",
        marks=(r"generator\.layers\.\d+\.bn_\d\..*", r"generator\.layers\.\d+\.conv_\d\..*"),
        settings=_biggan_settings,
        prepared=spectral.fold_spectral_norm,
    ),
)
