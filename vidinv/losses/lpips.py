"""Compute LPIPS v0.1 (Zhang et al., "The Unreasonable Effectiveness of Deep Features", eq. 1), AlexNet or VGG16."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from vidinv.weights import cache, network_file
from vidinv.weights.imported import ImportedFacts

KIND = "perceptual"

# Each backbone as a row of steps: (stride, padding) of the next convolution with its ReLU, (side) of a pool, or a tap.
Step = tuple[str, tuple[int, ...]]
_POOL3, _POOL2 = ("pool", (3,)), ("pool", (2,))
_CONV = ("conv", (1, 1))
_TAP: Step = ("tap", ())
BACKBONES: dict[str, tuple[Step, ...]] = {
    "alexnet": (
        *(("conv", (4, 2)), _TAP, _POOL3, ("conv", (1, 2)), _TAP, _POOL3),
        *(_CONV, _TAP, _CONV, _TAP, _CONV, _TAP),
    ),
    "vgg16": (
        *(_CONV, _CONV, _TAP, _POOL2, _CONV, _CONV, _TAP, _POOL2, _CONV, _CONV, _CONV, _TAP, _POOL2),
        *(_CONV, _CONV, _CONV, _TAP, _POOL2, _CONV, _CONV, _CONV, _TAP),
    ),
}
# The sides of the convolutions' kernels, and their channels as trained on ImageNet.
KERNELS = {"alexnet": (11, 5, 3, 3, 3), "vgg16": (3,) * 13}
WIDTHS = {"alexnet": (64, 192, 384, 256, 256), "vgg16": (64, 64, 128, 128, *(256,) * 3, *(512,) * 6)}
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


class LPIPS(nn.Module):
    """Perceptual distance of two batches; frozen weights `conv.{i}.*` and non-negative heads `head.{j}.weight`."""

    shift: Tensor  # [1,3,1,1], buffers
    scale: Tensor

    def __init__(self, backbone: str, state: dict[str, Tensor]) -> None:
        super().__init__()
        if backbone not in BACKBONES:
            raise ValueError(f"LPIPS has the backbones {sorted(BACKBONES)}, not {backbone!r}")
        self.steps = BACKBONES[backbone]
        count = sum(step[0] == "conv" for step in self.steps)
        self.weights = nn.ParameterList([_frozen(state[f"conv.{i}.weight"]) for i in range(count)])
        self.biases = nn.ParameterList([_frozen(state[f"conv.{i}.bias"]) for i in range(count)])
        self.heads = nn.ParameterList([_frozen(state[f"head.{j}.weight"]) for j in range(5)])
        self.register_buffer("shift", torch.tensor(SHIFT).reshape(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(SCALE).reshape(1, 3, 1, 1))

    @classmethod
    def load(cls, backbone: str, path: str | Path | None = None) -> LPIPS:
        """Load "alexnet" or "vgg16" from the weights cache, or from a safetensors file."""
        network = cls(backbone, load_file(str(path or cache.path(f"lpips/{backbone}")))).eval()
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def features(self, image: Tensor) -> list[Tensor]:
        """Return five feature maps of [N,3,H,W] in [-1,1]."""
        x = (image - self.shift) / self.scale
        taps, index = [], 0
        for kind, numbers in self.steps:
            if kind == "conv":
                stride, padding = numbers
                x = F.conv2d(x, self.weights[index], self.biases[index], stride, padding).relu()
                index += 1
            elif kind == "pool":
                x = F.max_pool2d(x, numbers[0], 2)
            else:
                taps.append(x)
        return taps

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Return the distance [N] of a and b [N,3,H,W] in [-1,1], H and W at least 64 (AlexNet) or 16 (VGG16)."""
        return self.against(b)(a)

    def against(self, b: Tensor) -> Callable[[Tensor], Tensor]:
        """Return the distance to `b` as a function of a; the features of b are computed once."""
        known = [_unit(y) for y in self.features(b)]

        def distance(a: Tensor) -> Tensor:
            if a.shape != b.shape or a.ndim != 4 or a.shape[1] != 3:
                raise ValueError(
                    f"LPIPS takes two batches [N,3,H,W] of one shape, got {tuple(a.shape)}, {tuple(b.shape)}"
                )
            total = a.new_zeros(a.shape[0])
            for x, y, head in zip(self.features(a), known, self.heads, strict=True):
                total = total + F.conv2d((_unit(x) - y).square(), head).mean((1, 2, 3))
            return total

        return distance


def _frozen(value: Tensor) -> nn.Parameter:
    return nn.Parameter(value, requires_grad=False)


def _unit(x: Tensor) -> Tensor:
    """Normalise to unit length along the channels; the epsilon keeps the gradient finite where all are zero."""
    return x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt()


def multi_scale_lpips(net: LPIPS, a: Tensor, b: Tensor, scales: Sequence[float] = (1.0, 0.5, 0.25)) -> Tensor:
    """Return the sum over `scales` of the batch's mean LPIPS of area-downscaled [N,3,H,W] in [-1,1]; a scalar."""
    total = a.new_zeros(())
    for scale in scales:
        if scale == 1:
            total = total + net(a, b).mean()
            continue
        size = [round(side * scale) for side in a.shape[2:]]
        total = total + net(F.interpolate(a, size, mode="area"), F.interpolate(b, size, mode="area")).mean()
    return total


def build_zero_lpips(backbone: str, widths: Sequence[int]) -> LPIPS:
    """Build a zero-initialised LPIPS whose convolutions have these channels (`WIDTHS` are the published ones)."""
    state: dict[str, Tensor] = {}
    c_in = 3
    for index, (width, side) in enumerate(zip(widths, KERNELS[backbone], strict=True)):
        state |= {
            f"conv.{index}.weight": torch.zeros(width, c_in, side, side),
            f"conv.{index}.bias": torch.zeros(width),
        }
        c_in = width
    for tap, index in enumerate(tapped_convolutions(backbone)):
        state[f"head.{tap}.weight"] = torch.zeros(1, widths[index], 1, 1)
    return LPIPS(backbone, state)


def tapped_convolutions(backbone: str) -> list[int]:
    """Return the indices of the convolutions whose outputs the five heads read."""
    index, found = -1, []
    for kind, _ in BACKBONES[backbone]:
        index += kind == "conv"
        if kind == "tap":
            found.append(index)
    return found


def build_lpips(facts: ImportedFacts) -> LPIPS:
    """Build the untrained network of an import's facts."""
    return build_zero_lpips(facts.settings["backbone"], facts.settings["widths"])


def tiny(backbone: str) -> LPIPS:
    """A seeded random network with narrow convolutions and non-negative heads, for tests."""
    network, random = (
        build_zero_lpips(backbone, [4 + i for i in range(len(KERNELS[backbone]))]),
        torch.Generator().manual_seed(0),
    )
    with torch.no_grad():
        for parameter in network.parameters():
            fan_in = max(parameter[0].numel(), 1)
            parameter.copy_(torch.randn(parameter.shape, generator=random).abs_() / fan_in**0.5)
    return network.eval()


REGISTERED: dict[str, Callable[[], LPIPS]] = {
    "alexnet": lambda: LPIPS.load("alexnet"),
    "vgg16": lambda: LPIPS.load("vgg16"),
    "lpips-alexnet-tiny": lambda: tiny("alexnet"),
    "lpips-vgg16-tiny": lambda: tiny("vgg16"),
}


def load_lpips(name: str, device: str = "cpu") -> LPIPS:
    """Load the named network, registered or imported, frozen, in eval mode, on `device`. Raises UsageError."""
    return network_file.load_network(KIND, name, REGISTERED, build_lpips, device)
