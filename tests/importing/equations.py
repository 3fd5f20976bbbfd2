"""The papers' layers in float64 over a published state: the witness of the parity tests. Images are [1,C,h,w]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.importing.layouts import STAGES

State = dict[str, Tensor]


def batch_norm(state: State, name: str, x: Tensor) -> Tensor:
    """(x - mean) / sqrt(var + 1e-5) * gamma + beta, channel by channel."""
    gamma, beta, mean, var = (
        state[f"{name}.{part}"].double().view(1, -1, *[1] * (x.ndim - 2))
        for part in ("weight", "bias", "running_mean", "running_var")
    )
    return (x - mean) / (var + 1e-5).sqrt() * gamma + beta


def conv(state: State, name: str, x: Tensor, stride: int = 1, padding: int | None = None) -> Tensor:
    weight, bias = state[f"{name}.weight"].double(), state.get(f"{name}.bias")
    padding = weight.shape[-1] // 2 if padding is None else padding
    return functional.conv2d(x, weight, None if bias is None else bias.double(), stride, padding)


def prelu(state: State, name: str, x: Tensor) -> Tensor:
    return torch.where(x > 0, x, state[f"{name}.weight"].double()[:, None, None] * x)


def linear(state: State, name: str, x: Tensor) -> Tensor:
    return x @ state[f"{name}.weight"].double().T + state[f"{name}.bias"].double()


def iresnet(state: State, pattern: str, x: Tensor) -> list[Tensor]:
    """The four stages' outputs; every stage's first block halves the side and has a way round it."""
    outs = []
    for s, (_, blocks) in enumerate(STAGES, 1):
        for n in range(blocks):
            name, stride = f"{pattern.format(s)}.{n}", 1 if n else 2
            y = conv(state, f"{name}.conv1", batch_norm(state, f"{name}.bn1", x))
            y = prelu(state, f"{name}.prelu", batch_norm(state, f"{name}.bn2", y))
            y = batch_norm(state, f"{name}.bn3", conv(state, f"{name}.conv2", y, stride))
            if n == 0:
                x = batch_norm(state, f"{name}.downsample.1", conv(state, f"{name}.downsample.0", x, 2))
            x = x + y
        outs.append(x)
    return outs


def weighed(state: State, x: Tensor) -> list[Tensor]:
    """IR-SE's four stages' outputs."""
    x = batch_norm(state, "input_layer.1", conv(state, "input_layer.0", x))
    x = prelu(state, "input_layer.2", x)
    outs, index = [], 0
    for _, blocks in STAGES:
        for n in range(blocks):
            name, stride = f"body.{index}", 1 if n else 2
            y = conv(state, f"{name}.res_layer.1", batch_norm(state, f"{name}.res_layer.0", x))
            y = conv(state, f"{name}.res_layer.3", prelu(state, f"{name}.res_layer.2", y), stride)
            y = batch_norm(state, f"{name}.res_layer.4", y)
            squeezed = conv(state, f"{name}.res_layer.5.fc1", y.mean((2, 3), keepdim=True)).clamp(min=0)
            y = y / (1 + torch.exp(-conv(state, f"{name}.res_layer.5.fc2", squeezed)))
            if f"{name}.shortcut_layer.0.weight" in state:
                around = conv(state, f"{name}.shortcut_layer.0", x, stride)
                x = batch_norm(state, f"{name}.shortcut_layer.1", around) + y
            else:
                x = x[:, :, ::stride, ::stride] + y
            index += 1
        outs.append(x)
    return outs


def pooled(x: Tensor, side: int) -> Tensor:
    """Means over a side x side grid of areas that cover the picture, as evenly as whole pixels allow."""
    size = x.shape[-1]
    edges = [(i * size // side, -(-(i + 1) * size // side)) for i in range(side)]
    return torch.stack([torch.stack([x[:, :, a:b, c:d].mean((2, 3)) for c, d in edges], -1) for a, b in edges], -2)


def feature_style(state: State, image: Tensor, average: Tensor, stride: int = 2) -> tuple[Tensor, Tensor]:
    """ws [1,L,D] and the feature code, as the Feature-Style paper's section 3.1 describes them."""
    x = batch_norm(state, "conv.1", conv(state, "conv.0", image.double()))
    outs = iresnet(state, "block_{}", prelu(state, "conv.2", x))
    vector = torch.cat([pooled(x, 3) for x in outs], 1).flatten(1)
    heads = len({key.split(".")[1] for key in state if key.startswith("styles.")})
    ws = torch.stack([linear(state, f"styles.{row}", vector) for row in range(heads)], 1) + average.double()
    y = conv(state, "content_layer.1", batch_norm(state, "content_layer.0", outs[2]))
    y = prelu(state, "content_layer.3", batch_norm(state, "content_layer.2", y))
    return ws, batch_norm(state, "content_layer.5", conv(state, "content_layer.4", y, stride))


def corner_aligned(x: Tensor, side: int) -> Tensor:
    """Bilinear between samples whose first and last lie on the corners."""
    place = torch.linspace(0, x.shape[-1] - 1, side, dtype=torch.float64)
    low = place.floor().long().clamp(max=x.shape[-1] - 2)
    part = place - low
    x = x[..., low, :] * (1 - part)[:, None] + x[..., low + 1, :] * part[:, None]
    return x[..., low] * (1 - part) + x[..., low + 1] * part


def map2style(state: State, image: Tensor, average: Tensor, progressive: bool) -> Tensor:
    """ws [1,L,D] of pSp (figure 2), or of e4e (section 4.2): the first row, and offsets from it."""
    _, fine, medium, coarse = weighed(state, image.double())
    medium = corner_aligned(coarse, medium.shape[-1]) + conv(state, "latlayer1", medium)
    fine = corner_aligned(medium, fine.shape[-1]) + conv(state, "latlayer2", fine)
    rows = []
    for row in range(len({key.split(".")[1] for key in state if key.startswith("styles.")})):
        x = coarse if row < 3 else medium if row < 7 else fine
        step = 0
        while x.shape[-1] > 1:
            x = conv(state, f"styles.{row}.convs.{2 * step}", x, 2)
            x = torch.where(x > 0, x, 0.01 * x)
            step += 1
        weight = state[f"styles.{row}.linear.weight"].double()
        rows.append(x.flatten(1) @ (weight / weight.shape[1] ** 0.5).T + state[f"styles.{row}.linear.bias"].double())
    if progressive:
        rows = [rows[0]] + [rows[0] + step for step in rows[1:]]
    return torch.stack(rows, 1) + average.double()
