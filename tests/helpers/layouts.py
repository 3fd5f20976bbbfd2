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


def iresnet(dim: int = 12) -> State:
    """ArcFace's `backbone.pth`."""
    SEED.manual_seed(2)
    first, last = STAGES[0][0], STAGES[-1][0]
    made = conv("conv1", 3, first, 3) | norm("bn1", first) | {"prelu.weight": 0.25 + draw(first, scale=0.1)}
    made |= iresnet_stages("layer{}") | norm("bn2", last) | linear("fc", last * 49, dim)
    return made | norm("features", dim)


def ir_se(dim: int = 12) -> State:
    """ArcFace's `model_ir_se50.pth`."""
    SEED.manual_seed(3)
    last = STAGES[-1][0]
    made = weighed_trunk() | norm("output_layer.0", last)
    return made | linear("output_layer.3", last * 49, dim) | norm("output_layer.4", dim)


def conv_norm(name: str, c_in: int, c_out: int, side: int = 3) -> State:
    return conv(f"{name}.conv", c_in, c_out, side) | norm(f"{name}.bn", c_out)


def bisenet(width: int = 4, classes: int = 19) -> State:
    """`79999_iter.pth`: ResNet-18 of `width` channels at first (64 as published), and BiSeNet's paths over it."""
    SEED.manual_seed(4)
    made = conv("cp.resnet.conv1", 3, width, 7) | norm("cp.resnet.bn1", width)
    c_in = width
    for layer in range(1, 5):
        c_out = width << layer - 1
        for n in range(2):
            name = f"cp.resnet.layer{layer}.{n}"
            made |= conv(f"{name}.conv1", c_in, c_out, 3) | norm(f"{name}.bn1", c_out)
            made |= conv(f"{name}.conv2", c_out, c_out, 3) | norm(f"{name}.bn2", c_out)
            if c_in != c_out:
                made |= conv(f"{name}.downsample.0", c_in, c_out, 1) | norm(f"{name}.downsample.1", c_out)
            c_in = c_out
    for name, channels in (("arm16", 4 * width), ("arm32", 8 * width)):
        made |= conv_norm(f"cp.{name}.conv", channels, 2 * width)
        made |= conv(f"cp.{name}.conv_atten", 2 * width, 2 * width, 1) | norm(f"cp.{name}.bn_atten", 2 * width)
    made |= conv_norm("cp.conv_head32", 2 * width, 2 * width) | conv_norm("cp.conv_head16", 2 * width, 2 * width)
    made |= conv_norm("cp.conv_avg", 8 * width, 2 * width, 1) | conv_norm("ffm.convblk", 4 * width, 4 * width, 1)
    made |= conv("ffm.conv1", 4 * width, width, 1) | conv("ffm.conv2", width, 4 * width, 1)
    for name, channels, middle in (("", 4, 4), ("16", 2, 1), ("32", 2, 1)):
        made |= conv_norm(f"conv_out{name}.conv", channels * width, middle * width)
        made |= conv(f"conv_out{name}.conv_out", middle * width, classes, 1)
    return made


LPIPS = {  # where the convolutions stand, the sides of their kernels, and which slice of the package each is in
    "alexnet": {0: (11, 1), 3: (5, 2), 6: (3, 3), 8: (3, 4), 10: (3, 5)},
    "vgg16": {
        place: (3, 1 + (place > 2) + (place > 7) + (place > 14) + (place > 21))
        for place in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
    },
}


def lpips(backbone: str) -> tuple[State, State]:
    """The heads, `lin{j}.model.1.weight`, and torchvision's trunk, `features.{i}`, both narrow."""
    SEED.manual_seed(5)
    heads, trunk, c_in = {}, {}, 3
    places = LPIPS[backbone]
    for index, (place, (side, tap)) in enumerate(places.items()):
        c_out = 4 + index
        trunk |= conv(f"features.{place}", c_in, c_out, side, bias=True)
        heads[f"lin{tap - 1}.model.1.weight"] = draw(1, c_out, 1, 1).abs()  # of the slice's last one
        c_in = c_out
    return heads, trunk


def lpips_whole(backbone: str) -> State:
    """The same as the package's own state: slices, heads twice, and how pictures are scaled."""
    heads, trunk = lpips(backbone)
    made = {
        key.replace("features", f"net.slice{LPIPS[backbone][int(key.split('.')[1])][1]}"): value
        for key, value in trunk.items()
    }
    made |= heads | {key.replace("lin", "lins.", 1): value for key, value in heads.items()}
    scaling = {"shift": (-0.030, -0.088, -0.188), "scale": (0.458, 0.448, 0.450)}
    return made | {f"scaling_layer.{key}": torch.tensor(value).view(1, 3, 1, 1) for key, value in scaling.items()}


def fan_block(name: str, c_in: int, c_out: int) -> State:
    made = norm(f"{name}.bn1", c_in) | conv(f"{name}.conv1", c_in, c_out // 2, 3)
    made |= norm(f"{name}.bn2", c_out // 2) | conv(f"{name}.conv2", c_out // 2, c_out // 4, 3)
    made |= norm(f"{name}.bn3", c_out // 4) | conv(f"{name}.conv3", c_out // 4, c_out // 4, 3)
    if c_in != c_out:
        made |= norm(f"{name}.downsample.0", c_in) | conv(f"{name}.downsample.2", c_in, c_out, 1)
    return made


def fan(modules: int = 2, width: int = 8, depth: int = 4) -> State:
    """2DFAN4 has four modules of 256 channels."""
    SEED.manual_seed(6)
    made = conv("conv1", 3, width // 4, 7, bias=True) | norm("bn1", width // 4)
    made |= fan_block("conv2", width // 4, width // 2) | fan_block("conv3", width // 2, width // 2)
    made |= fan_block("conv4", width // 2, width)
    for i in range(modules):
        for level in range(1, depth + 1):
            for name in ("b1", "b2", "b3", *(("b2_plus",) if level == 1 else ())):
                made |= fan_block(f"m{i}.{name}_{level}", width, width)
        made |= fan_block(f"top_m_{i}", width, width) | conv(f"conv_last{i}", width, width, 1, bias=True)
        made |= norm(f"bn_end{i}", width) | conv(f"l{i}", width, 68, 1, bias=True)
        if i < modules - 1:
            made |= conv(f"bl{i}", width, width, 1, bias=True) | conv(f"al{i}", 68, width, 1, bias=True)
    return made
