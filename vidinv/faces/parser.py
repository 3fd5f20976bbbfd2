"""Parse faces into the 19 classes of CelebAMask-HQ with BiSeNet on ResNet-18."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from vidinv.weights import cache
from vidinv.weights.imported import ImportedFacts

KIND = "parser"

CLASSES = (
    *("background", "skin", "brow_left", "brow_right", "eye_left", "eye_right", "glasses", "ear_left", "ear_right"),
    *("earring", "nose", "mouth", "lip_upper", "lip_lower", "neck", "necklace", "cloth", "hair", "hat"),
)
SKIN = CLASSES.index("skin")
FACE = (1, 2, 3, 4, 5, 6, 10, 11, 12, 13)  # skin, brows, eyes, glasses, nose, mouth, lips
WIDTH = 64
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class ConvBlock(nn.Module):
    """Convolution, BatchNorm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x)).relu()


class BasicBlock(nn.Module):
    """ResNet's two 3x3 convolutions with a skip."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (self.downsample(x) + y).relu()


class ResNet18(nn.Module):
    """Features at 1/8, 1/16 and 1/32 of 2, 4 and 8 times `width` channels."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = _stage(width, width, 1)
        self.layer2 = _stage(width, 2 * width, 2)
        self.layer3 = _stage(2 * width, 4 * width, 2)
        self.layer4 = _stage(4 * width, 8 * width, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = F.max_pool2d(self.bn1(self.conv1(x)).relu(), 3, 2, 1)
        eighth = self.layer2(self.layer1(x))
        sixteenth = self.layer3(eighth)
        return eighth, sixteenth, self.layer4(sixteenth)


def _stage(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(BasicBlock(c_in, c_out, stride), BasicBlock(c_out, c_out, 1))


class AttentionRefinement(nn.Module):
    """Channels weighted by attention over global average features."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ConvBlock(inputs, outputs)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.bn_atten(self.conv_atten(x.mean((2, 3), keepdim=True))).sigmoid()


class ContextPath(nn.Module):
    """ResNet and its global context, upsampled to 1/8: (stages, context8, context16), both of 2 `width` channels."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        own = 2 * width
        self.resnet = ResNet18(width)
        self.arm16, self.arm32 = AttentionRefinement(4 * width, own), AttentionRefinement(8 * width, own)
        self.conv_head32, self.conv_head16 = ConvBlock(own, own), ConvBlock(own, own)
        self.conv_avg = ConvBlock(8 * width, own, 1)

    def forward(self, x: Tensor) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor, Tensor]:
        eighth, sixteenth, last = self.resnet(x)
        context = self.arm32(last) + self.conv_avg(last.mean((2, 3), keepdim=True))
        context16 = self.conv_head32(F.interpolate(context, sixteenth.shape[2:], mode="nearest"))
        context = self.arm16(sixteenth) + context16
        context8 = self.conv_head16(F.interpolate(context, eighth.shape[2:], mode="nearest"))
        return (eighth, sixteenth, last), context8, context16


class FeatureFusion(nn.Module):
    """Detail and context, fused and reweighted: [N,4 width,h,w]."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.convblk = ConvBlock(4 * width, 4 * width, 1)
        self.conv1 = nn.Conv2d(4 * width, width, 1, bias=False)
        self.conv2 = nn.Conv2d(width, 4 * width, 1, bias=False)

    def forward(self, detail: Tensor, context: Tensor) -> Tensor:
        x = self.convblk(torch.cat([detail, context], dim=1))
        weight = self.conv2(self.conv1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return x * weight + x


class Head(nn.Module):
    """Class scores at the feature's own size."""

    def __init__(self, inputs: int, middle: int) -> None:
        super().__init__()
        self.conv = ConvBlock(inputs, middle)
        self.conv_out = nn.Conv2d(middle, len(CLASSES), 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_out(self.conv(x))


class BiSeNet(nn.Module):
    """Frozen parser of RGB crops in [-1,1], sides a multiple of 32; differentiable in the image.

    `width` is that of the ResNet's first stage.
    """

    mean: Tensor  # [1,3,1,1], buffers
    deviation: Tensor

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.cp = ContextPath(width)
        self.ffm = FeatureFusion(width)
        self.conv_out = Head(4 * width, 4 * width)
        self.conv_out16, self.conv_out32 = Head(2 * width, width), Head(2 * width, width)
        self.register_buffer("mean", torch.tensor(_MEAN).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).reshape(1, 3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def taps(self, image: Tensor) -> tuple[Tensor, ...]:
        """Map [N,3,H,W] to the ResNet stages (1/8, 1/16, 1/32), the fused feature and the logits [N,19,H/8,W/8]."""
        stages, context8, _ = self.cp(self._normal(image))
        fused = self.ffm(stages[0], context8)
        return *stages, fused, self.conv_out(fused)

    def scores(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return class scores of the fused and both context features: [N,19,H/8,W/8] twice and [N,19,H/16,W/16]."""
        stages, context8, context16 = self.cp(self._normal(image))
        return self.conv_out(self.ffm(stages[0], context8)), self.conv_out16(context8), self.conv_out32(context16)

    def _normal(self, image: Tensor) -> Tensor:
        if image.ndim != 4 or image.shape[1] != 3 or image.shape[2] % 32 or image.shape[3] % 32:
            raise ValueError(f"the parser takes [N,3,H,W] with sides a multiple of 32, got {tuple(image.shape)}")
        return ((image + 1) / 2 - self.mean) / self.deviation

    def forward(self, image: Tensor) -> Tensor:
        """Return class scores [N,19,H,W] of images [N,3,H,W] in [-1,1]."""
        return F.interpolate(self.taps(image)[-1], image.shape[2:], mode="bilinear", align_corners=True)

    @torch.inference_mode()
    def parse(self, crops: Tensor, size: int = 512) -> Tensor:
        """Return labels [N,size,size] uint8 of aligned crops [N,3,S,S] in [-1,1]; size 256 costs a quarter of 512."""
        if crops.shape[-1] != size:
            shrinks = crops.shape[-1] > size
            crops = F.interpolate(crops, (size, size), mode="bilinear", align_corners=False, antialias=shrinks)
        return self(crops).argmax(1).to(torch.uint8)


def load_parser(path: str | Path | None = None) -> BiSeNet:
    """Load the parser from the weights cache, or from a safetensors file."""
    network = BiSeNet()
    missing, unexpected = network.load_state_dict(load_file(str(path or cache.path("parser/bisenet"))), strict=False)
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    if missing or unexpected:
        raise ValueError(f"parser weights do not match: missing {missing[:3]}, unexpected {unexpected[:3]}")
    return network.eval()


def build_parser(facts: ImportedFacts) -> BiSeNet:
    """Build the untrained network of an import's facts."""
    return BiSeNet(**facts.settings)


def tiny() -> BiSeNet:
    """A seeded random network, for tests."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return BiSeNet(width=4).eval()
