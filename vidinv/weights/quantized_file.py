"""Weights in 8 bits: a safetensors file of int8 tensors with a scale per channel, read back as float32.

A large tensor NAME is stored as int8 values in -127..127 and, under NAME + SUFFIX, float32 scales of as many axes, each
of length 1 or the tensor's own; their product is the weight. Other tensors are stored as they are. A file without int8
tensors reads the same way, so that one function reads both forms.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from vidinv import fileio
from vidinv.errors import WeightsUnavailable

SUFFIX = ".int8_scale"
LARGEST = 127  # of the stored values; -128 is not used


def channel_scale(weight: Tensor, axes: tuple[int, ...] = (0,)) -> Tensor:
    """The scale per channel that maps the largest weight to 127, of `weight.ndim` axes.

    `axes` are the axes along which the scale varies; a channel of zeros has scale 1.
    """
    others = [axis for axis in range(weight.ndim) if axis not in axes]
    largest = weight.float().abs().amax(others, keepdim=True) if others else weight.float().abs()
    return torch.where(largest > 0, largest / LARGEST, torch.ones_like(largest))


def quantize(weight: Tensor, scale: Tensor) -> Tensor:
    """`weight` in steps of `scale`, rounded to the nearest: int8 of the same shape."""
    return (weight.float() / scale).round().clamp(-LARGEST, LARGEST).to(torch.int8)


def write_quantized(
    path: Path, state: Mapping[str, Tensor], scales: Mapping[str, Tensor], metadata: dict[str, str] | None = None
) -> None:
    """Store `state` with the tensors that `scales` names in 8 bits and the other floating-point ones in fp16.

    Raises OSError and SafetensorError.
    """
    stored: dict[str, Tensor] = {}
    for name, value in state.items():
        if name in scales:
            stored[name] = quantize(value, scales[name]).contiguous()
            stored[name + SUFFIX] = scales[name].float().contiguous()
        else:
            stored[name] = (value.half() if value.is_floating_point() else value).contiguous()
    save_file(stored, path, metadata=metadata)


def read_state(path: Path) -> dict[str, Tensor]:
    """The weights in `path`, floating-point ones as float32.

    Raises WeightsUnavailable, naming the tensor, where a scale is missing, has another shape, or is not finite and
    positive.
    """
    try:
        stored = fileio.load_tensors(path)
    except (SafetensorError, OSError) as error:
        raise _damaged(path, str(error)) from error
    scales = {key.removesuffix(SUFFIX): stored.pop(key) for key in list(stored) if key.endswith(SUFFIX)}
    state = {}
    for name, value in stored.items():
        if value.dtype == torch.int8:
            state[name] = value.float() * _checked(path, name, value, scales.pop(name, None))
        else:
            state[name] = value.float() if value.is_floating_point() else value
    if scales:
        raise _damaged(path, f"the scale of {min(scales)} belongs to no int8 tensor")
    return state


def fill_network(network: nn.Module, path: Path) -> None:
    """Load the weights in `path` into `network`. Raises WeightsUnavailable where they are damaged or do not fit it."""
    try:
        network.load_state_dict(read_state(path))
    except RuntimeError as error:
        first = str(error).splitlines()[1:2] or [str(error)]
        raise _damaged(path, first[0].strip()) from error


def _checked(path: Path, name: str, value: Tensor, scale: Tensor | None) -> Tensor:
    if scale is None:
        raise _damaged(path, f"the int8 tensor {name} has no scale")
    fits = scale.ndim == value.ndim and all(s in (1, v) for s, v in zip(scale.shape, value.shape, strict=True))
    if scale.dtype != torch.float32 or not fits:
        found = f"{str(scale.dtype).removeprefix('torch.')} {tuple(scale.shape)}"
        raise _damaged(path, f"the scale of {name} is {found}, which does not fit {tuple(value.shape)}")
    if not (scale.isfinite() & (scale > 0)).all():
        raise _damaged(path, f"the scale of {name} is not finite and positive everywhere")
    return scale


def _damaged(path: Path, reason: str) -> WeightsUnavailable:
    return WeightsUnavailable(f"{path} is damaged: {reason}", remedy="install vidinv again, or write the file again")
