"""The papers' layers in float64 over a published state: the witness of the parity tests. Images are [1,C,h,w]."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from tests.helpers.layouts import STAGES

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


def arcface(state: State, image: Tensor) -> list[Tensor]:
    """iresnet: the four stages, and the embedding."""
    x = prelu(state, "prelu", batch_norm(state, "bn1", conv(state, "conv1", image.double())))
    outs = iresnet(state, "layer{}", x)
    vector = batch_norm(state, "bn2", outs[-1]).flatten(1)
    return [*outs, batch_norm(state, "features", linear(state, "fc", vector))]


def arcface_weighed(state: State, image: Tensor) -> list[Tensor]:
    """IR-SE: the four stages, and the embedding."""
    outs = weighed(state, image.double())
    vector = batch_norm(state, "output_layer.0", outs[-1]).flatten(1)
    return [*outs, batch_norm(state, "output_layer.4", linear(state, "output_layer.3", vector))]


def conv_norm(state: State, name: str, x: Tensor) -> Tensor:
    return batch_norm(state, f"{name}.bn", conv(state, f"{name}.conv", x)).clamp(min=0)


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def repeated(x: Tensor, factor: int) -> Tensor:
    return x.repeat_interleave(factor, -1).repeat_interleave(factor, -2)


def bisenet(state: State, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The three score maps (BiSeNet, figures 2 and 3), at 1/8, 1/8 and 1/16."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    x = ((image.double() + 1) / 2 - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    x = batch_norm(state, "cp.resnet.bn1", conv(state, "cp.resnet.conv1", x, 2)).clamp(min=0)
    x = functional.max_pool2d(x, 3, 2, 1)
    levels = []
    for layer in range(1, 5):
        for n in range(2):
            name, stride = f"cp.resnet.layer{layer}.{n}", 2 if layer > 1 and n == 0 else 1
            y = batch_norm(state, f"{name}.bn1", conv(state, f"{name}.conv1", x, stride)).clamp(min=0)
            y = batch_norm(state, f"{name}.bn2", conv(state, f"{name}.conv2", y))
            if f"{name}.downsample.0.weight" in state:
                x = batch_norm(state, f"{name}.downsample.1", conv(state, f"{name}.downsample.0", x, stride))
            x = (x + y).clamp(min=0)
        levels.append(x)
    _, eighth, sixteenth, last = levels

    def refined(name: str, x: Tensor) -> Tensor:
        x = conv_norm(state, f"cp.{name}.conv", x)
        squeezed = conv(state, f"cp.{name}.conv_atten", x.mean((2, 3), keepdim=True))
        return x * sigmoid(batch_norm(state, f"cp.{name}.bn_atten", squeezed))

    context = refined("arm32", last) + conv_norm(state, "cp.conv_avg", last.mean((2, 3), keepdim=True))
    context16 = conv_norm(state, "cp.conv_head32", repeated(context, 2))
    context8 = conv_norm(state, "cp.conv_head16", repeated(refined("arm16", sixteenth) + context16, 2))
    fused = conv_norm(state, "ffm.convblk", torch.cat([eighth, context8], 1))
    weight = conv(state, "ffm.conv1", fused.mean((2, 3), keepdim=True)).clamp(min=0)
    fused = fused + fused * sigmoid(conv(state, "ffm.conv2", weight))

    def head(name: str, x: Tensor) -> Tensor:
        return conv(state, f"{name}.conv_out", conv_norm(state, f"{name}.conv", x))

    return head("conv_out", fused), head("conv_out16", context8), head("conv_out32", context16)


LPIPS_STRIDES = {"alexnet": {0: (4, 2), 3: (1, 2)}, "vgg16": {}}
LPIPS_POOLS = {"alexnet": {0: 3, 3: 3}, "vgg16": {2: 2, 7: 2, 14: 2, 21: 2}}  # after these, and their sides


def lpips(backbone: str, heads: State, trunk: State, a: Tensor, b: Tensor) -> Tensor:
    """Equation 1 of the LPIPS paper: squared differences of unit features, weighted, averaged over places, summed."""
    shift = torch.tensor([-0.030, -0.088, -0.188], dtype=torch.float64).view(3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450], dtype=torch.float64).view(3, 1, 1)
    places = sorted({int(key.split(".")[1]) for key in trunk})
    taps = {"alexnet": (0, 3, 6, 8, 10), "vgg16": (2, 7, 14, 21, 28)}[backbone]

    def features(x: Tensor) -> list[Tensor]:
        x, found = (x.double() - shift) / scale, []
        for place in places:
            stride, padding = LPIPS_STRIDES[backbone].get(place, (1, None))
            x = conv(trunk, f"features.{place}", x, stride, padding).clamp(min=0)
            if place in taps:
                found.append(x / x.square().sum(1, keepdim=True).sqrt().clamp(min=1e-10))
            if place in LPIPS_POOLS[backbone]:
                x = functional.max_pool2d(x, LPIPS_POOLS[backbone][place], 2)
        return found

    total = torch.zeros(len(a), dtype=torch.float64)
    for j, (x, y) in enumerate(zip(features(a), features(b), strict=True)):
        total += ((x - y).square() * heads[f"lin{j}.model.1.weight"].double()).sum(1).mean((1, 2))
    return total


def fan_block(state: State, name: str, x: Tensor) -> Tensor:
    first = conv(state, f"{name}.conv1", batch_norm(state, f"{name}.bn1", x).clamp(min=0))
    second = conv(state, f"{name}.conv2", batch_norm(state, f"{name}.bn2", first).clamp(min=0))
    third = conv(state, f"{name}.conv3", batch_norm(state, f"{name}.bn3", second).clamp(min=0))
    if f"{name}.downsample.2.weight" in state:
        x = conv(state, f"{name}.downsample.2", batch_norm(state, f"{name}.downsample.0", x).clamp(min=0))
    return torch.cat([first, second, third], 1) + x


def halved(x: Tensor) -> Tensor:
    return (x[..., ::2, ::2] + x[..., 1::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, 1::2]) / 4


def fan(state: State, image: Tensor, modules: int, depth: int) -> Tensor:
    """The last hourglass's heatmaps (Bulat and Tzimiropoulos, section 3.1)."""
    x = batch_norm(state, "bn1", conv(state, "conv1", image.double(), 2)).clamp(min=0)
    x = fan_block(state, "conv3", halved(fan_block(state, "conv2", x)))
    x = fan_block(state, "conv4", x)
    for i in range(modules):

        def hourglass(level: int, y: Tensor, i: int = i) -> Tensor:
            low = fan_block(state, f"m{i}.b2_{level}", halved(y))
            low = hourglass(level - 1, low) if level > 1 else fan_block(state, f"m{i}.b2_plus_1", low)
            up = repeated(fan_block(state, f"m{i}.b3_{level}", low), 2)
            return fan_block(state, f"m{i}.b1_{level}", y) + up

        seen = conv(state, f"conv_last{i}", fan_block(state, f"top_m_{i}", hourglass(depth, x)))
        seen = batch_norm(state, f"bn_end{i}", seen).clamp(min=0)
        maps = conv(state, f"l{i}", seen)
        if i < modules - 1:
            x = x + conv(state, f"bl{i}", seen) + conv(state, f"al{i}", maps)
    return maps
