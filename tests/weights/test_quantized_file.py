"""Weights in 8 bits: how far they move, what else is in the file, and which files are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vidinv.errors import WeightsUnavailable
from vidinv.weights import quantized_file
from vidinv.weights.quantized_file import SUFFIX


def weights(*shape: int) -> Tensor:
    """Normal values whose spread differs by channel (first axis) up to a thousandfold."""
    values = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    spread = torch.logspace(-2, 1, shape[0]).view(-1, *[1] * (len(shape) - 1))
    return values * spread


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "network.safetensors"
    state = {"conv.weight": weights(8, 4, 3, 3), "conv.bias": weights(8), "count": torch.tensor(7)}
    scales = {"conv.weight": quantized_file.channel_scale(state["conv.weight"])}
    quantized_file.write_quantized(path, state, scales, {"made": "here"})
    return path


@pytest.mark.parametrize(("shape", "axes"), [((8, 4, 3, 3), (0,)), ((6, 40), (0,)), ((3, 5, 16), (0, 1))])
def test_no_weight_moves_by_more_than_half_a_step_of_its_channel(
    shape: tuple[int, ...], axes: tuple[int, ...], tmp_path: Path
) -> None:
    weight = weights(*shape)
    path = tmp_path / "network.safetensors"
    quantized_file.write_quantized(path, {"w": weight}, {"w": quantized_file.channel_scale(weight, axes)})
    others = [axis for axis in range(weight.ndim) if axis not in axes]
    step = weight.abs().amax(others, keepdim=True) / 127
    moved = quantized_file.read_state(path)["w"] - weight
    assert (moved.abs() <= 0.5001 * step).all() and (moved != 0).any()


def test_large_tensors_take_a_byte_per_weight_and_small_ones_stay_fp16(stored: Path) -> None:
    held = load_file(stored)
    assert held["conv.weight"].dtype == torch.int8 and held["conv.bias"].dtype == torch.float16
    state = quantized_file.read_state(stored)
    assert set(state) == {"conv.weight", "conv.bias", "count"} and state["count"] == 7
    assert state["conv.weight"].dtype == state["conv.bias"].dtype == torch.float32
    assert torch.equal(state["conv.bias"], weights(8).half().float())


def test_a_channel_of_zeros_stays_zero() -> None:
    weight = torch.zeros(2, 5)
    weight[1] = 1
    scale = quantized_file.channel_scale(weight)
    assert torch.equal(quantized_file.quantize(weight, scale) * scale, weight)


def test_a_file_without_quantized_tensors_reads_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "network.safetensors"
    save_file({"w": weights(3, 4).half()}, path)
    assert torch.equal(quantized_file.read_state(path)["w"], weights(3, 4).half().float())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"conv.weight" + SUFFIX: None}, "the int8 tensor conv.weight has no scale"),
        ({"conv.weight" + SUFFIX: torch.ones(8)}, r"float32 \(8,\), which does not fit \(8, 4, 3, 3\)"),
        ({"conv.weight" + SUFFIX: torch.ones(4, 1, 1, 1)}, r"does not fit \(8, 4, 3, 3\)"),
        ({"conv.weight" + SUFFIX: torch.ones(8, 1, 1, 1).half()}, "is float16"),
        ({"conv.weight" + SUFFIX: torch.full((8, 1, 1, 1), float("nan"))}, "not finite and positive"),
        ({"conv.weight" + SUFFIX: -torch.ones(8, 1, 1, 1)}, "not finite and positive"),
        ({"other" + SUFFIX: torch.ones(1)}, "the scale of other belongs to no int8 tensor"),
        ({"conv.bias": None}, "conv.bias|bias"),
        ({"conv.weight": torch.zeros(8, 4, 3, 1, dtype=torch.int8)}, "size mismatch for conv.weight"),
    ],
)
def test_a_damaged_file_is_refused_in_one_line(stored: Path, change: dict[str, Tensor | None], reason: str) -> None:
    held: dict[str, Tensor | None] = {**load_file(stored), **change}
    save_file({key: value for key, value in held.items() if value is not None}, stored)
    network = nn.Module()
    network.conv = nn.Conv2d(4, 8, 3)
    network.register_buffer("count", torch.tensor(0))
    with pytest.raises(WeightsUnavailable, match=reason) as refused:
        quantized_file.fill_network(network, stored)
    assert "\n" not in str(refused.value) and str(stored) in str(refused.value)


def test_a_truncated_file_is_refused_in_one_line(stored: Path) -> None:
    stored.write_bytes(stored.read_bytes()[:-10])
    with pytest.raises(WeightsUnavailable, match="is damaged") as refused:
        quantized_file.read_state(stored)
    assert "\n" not in str(refused.value)
