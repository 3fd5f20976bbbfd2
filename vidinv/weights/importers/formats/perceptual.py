"""Published layouts of LPIPS: the complete network of the package, and its heads with torchvision's backbone."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from vidinv.errors import WeightsUnavailable
from vidinv.weights.importers.formats.base import CONSTANT, Format, State, most_common, sizes

# Where the convolutions stand in torchvision's `features`, and after which of them the package cuts it into slices.
PLACES = {"alexnet": (0, 3, 6, 8, 10), "vgg16": (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)}
TAPS = {"alexnet": (0, 3, 6, 8, 10), "vgg16": (2, 7, 14, 21, 28)}
HEADS = r"lin\d\.model\.1\.weight"


def _convolution(backbone: str, place: int, whole: bool) -> str:
    if not whole:
        return f"features.{place}"
    return f"net.slice{1 + sum(place > tap for tap in TAPS[backbone])}.{place}"


def _source(backbone: str, whole: bool) -> Callable[[str], str]:
    """The name in the file of a tensor of `vidinv.losses.lpips.LPIPS`."""

    def source(key: str) -> str:
        part, _, number = key.partition(".")
        if part in ("weights", "biases"):
            name = _convolution(backbone, PLACES[backbone][int(number)], whole)
            return f"{name}.{'weight' if part == 'weights' else 'bias'}"
        return f"lin{number}.model.1.weight" if part == "heads" else f"scaling_layer.{key}"

    return source


def _settings(backbone: str, whole: bool) -> Callable[[State], dict[str, Any]]:
    def settings(state: State) -> dict[str, Any]:
        names = [re.escape(_convolution(backbone, place, whole)) for place in PLACES[backbone]]
        widths = []
        for index, place in enumerate(PLACES[backbone]):
            found = sizes(state, rf"{names[index]}\.(weight|bias)", 0)
            found += [] if index + 1 == len(names) else sizes(state, rf"{names[index + 1]}\.weight", 1)
            if place in TAPS[backbone]:
                found += sizes(state, rf"lin{TAPS[backbone].index(place)}\.model\.1\.weight", 1)
            widths.append(most_common(found, f"channels, {names[index]}".replace("\\", "")))
        return {"backbone": backbone, "widths": widths}

    return settings


def _once(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the list `lins` that repeats the heads."""
    return {
        key: value
        for key, value in state.items()
        if not (key.startswith("lins.") and _same(value, state.get(f"lin{key.removeprefix('lins.')}")))
    }


def _same(value: Tensor, other: Tensor | None) -> bool:
    return other is not None and torch.equal(value, other)


def _heads_alone(state: State) -> dict[str, Any]:
    raise WeightsUnavailable(
        "it holds the heads of LPIPS alone, lin0 to lin4", remedy="give torchvision's alexnet or vgg16 too, --with FILE"
    )


def _format(backbone: str, whole: bool) -> Format:
    own = sorted(set(PLACES[backbone]) - {place for other in PLACES if other != backbone for place in PLACES[other]})
    start = r"net\.slice\d\." if whole else r"features\."
    return Format(
        name=f"LPIPS {backbone}" if whole else f"LPIPS heads and torchvision's {backbone}",
        kind="perceptual",
        architecture="lpips",
        marks=(HEADS, rf"{start}({'|'.join(map(str, own))})\.\w+"),
        settings=_settings(backbone, whole),
        source=_source(backbone, whole),
        prepared=_once,
        idle=lambda key, value: key.startswith("classifier."),
        constant=rf"{CONSTANT}|shift|scale",
    )


FORMATS = (
    *(_format(backbone, whole) for backbone in PLACES for whole in (True, False)),
    Format(name="LPIPS heads", kind="perceptual", architecture="lpips", marks=(HEADS,), settings=_heads_alone),
)
