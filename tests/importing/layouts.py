"""Random values under the published names and shapes of face encoders and face networks, with small sizes."""

from __future__ import annotations

import torch
from torch import Tensor

State = dict[str, Tensor]
STAGES = ((6, 2), (8, 1), (10, 2), (16, 1))  # channels, residual blocks
W, SLOTS, CHANNELS = 32, 10, 32  # of the generator stylegan2-tiny: latent, rows of w+, channels at 16x16
SEED = torch.Generator()


def draw(*shape: int, scale: float = 1.0) -> Tensor:
    return torch.randn(shape, generator=SEED) * scale


def conv(name: str, c_in: int, c_out: int, side: int, bias: bool = False) -> State:
    made = {f"{name}.weight": draw(c_out, c_in, side, side, scale=1 / (c_in * side**2) ** 0.5)}
    return made | ({f"{name}.bias": draw(c_out, scale=0.1)} if bias else {})


def norm(name: str, channels: int) -> State:
    return {
        f"{name}.weight": 1 + draw(channels, scale=0.2),
        f"{name}.bias": draw(channels, scale=0.2),
        f"{name}.running_mean": draw(channels, scale=0.2),
        f"{name}.running_var": 0.5 + draw(channels).square(),
        f"{name}.num_batches_tracked": torch.tensor(7),
    }


def linear(name: str, c_in: int, c_out: int, scale: float | None = None) -> State:
    weight = draw(c_out, c_in, scale=1 / c_in**0.5 if scale is None else scale)
    return {f"{name}.weight": weight, f"{name}.bias": draw(c_out, scale=0.1)}


def iresnet_block(name: str, c_in: int, c_out: int, first: bool) -> State:
    made = norm(f"{name}.bn1", c_in) | conv(f"{name}.conv1", c_in, c_out, 3) | norm(f"{name}.bn2", c_out)
    made |= {f"{name}.prelu.weight": 0.25 + draw(c_out, scale=0.1)}
    made |= conv(f"{name}.conv2", c_out, c_out, 3) | norm(f"{name}.bn3", c_out)
    if first:
        made |= conv(f"{name}.downsample.0", c_in, c_out, 1) | norm(f"{name}.downsample.1", c_out)
    return made


def iresnet_stages(pattern: str) -> State:
    made, width = {}, STAGES[0][0]
    for s, (channels, blocks) in enumerate(STAGES, 1):
        for n in range(blocks):
            made |= iresnet_block(f"{pattern.format(s)}.{n}", width, channels, n == 0)
            width = channels
    return made


def feature_style() -> State:
    """The Feature-Style encoder's published state: `conv`, `block_{1..4}`, `content_layer`, `styles`."""
    SEED.manual_seed(0)
    first, third = STAGES[0][0], STAGES[2][0]
    made = conv("conv.0", 3, first, 3) | norm("conv.1", first) | {"conv.2.weight": 0.25 + draw(first, scale=0.1)}
    made |= iresnet_stages("block_{}")
    made |= norm("content_layer.0", third) | conv("content_layer.1", third, CHANNELS, 3)
    made |= norm("content_layer.2", CHANNELS) | {"content_layer.3.weight": 0.25 + draw(CHANNELS, scale=0.1)}
    made |= conv("content_layer.4", CHANNELS, CHANNELS, 3) | norm("content_layer.5", CHANNELS)
    vector = 9 * sum(width for width, _ in STAGES)
    for row in range(SLOTS):
        made |= linear(f"styles.{row}", vector, W)
    return made


def weighed_trunk() -> State:
    """IR-SE's trunk: `input_layer`, and `body.{i}` through all stages."""
    width = STAGES[0][0]
    made = conv("input_layer.0", 3, width, 3) | norm("input_layer.1", width)
    made |= {"input_layer.2.weight": 0.25 + draw(width, scale=0.1)}
    index = 0
    for channels, blocks in STAGES:
        for _ in range(blocks):
            name, layer = f"body.{index}", f"body.{index}.res_layer"
            if width != channels:
                made |= conv(f"{name}.shortcut_layer.0", width, channels, 1)
                made |= norm(f"{name}.shortcut_layer.1", channels)
            made |= norm(f"{layer}.0", width) | conv(f"{layer}.1", width, channels, 3)
            made |= {f"{layer}.2.weight": 0.25 + draw(channels, scale=0.1)}
            made |= conv(f"{layer}.3", channels, channels, 3) | norm(f"{layer}.4", channels)
            made |= conv(f"{layer}.5.fc1", channels, max(channels // 16, 1), 1)
            made |= conv(f"{layer}.5.fc2", max(channels // 16, 1), channels, 1)
            width, index = channels, index + 1
    return made


def map2style(slots: int = SLOTS, w_dim: int = W) -> State:
    """pSp's and e4e's encoder: IR-SE's trunk, `styles.{i}.convs`, `styles.{i}.linear` and the pyramid's `latlayer`."""
    SEED.manual_seed(1)
    made = weighed_trunk()
    (fine, medium, coarse) = (width for width, _ in STAGES[1:])
    for row in range(slots):
        steps = 4 if row < 3 else 5 if row < 7 else 6
        for step in range(steps):
            made |= conv(f"styles.{row}.convs.{2 * step}", coarse if step == 0 else w_dim, w_dim, 3, bias=True)
        made |= linear(f"styles.{row}.linear", w_dim, w_dim, scale=1.0)
    made |= conv("latlayer1", medium, coarse, 1, bias=True) | conv("latlayer2", fine, coarse, 1, bias=True)
    return made
