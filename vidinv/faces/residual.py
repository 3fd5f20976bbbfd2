"""Build the residual blocks of published face networks: ArcFace's iresnet, and IR-SE with channel weights.

Each of the four stages begins with a block that halves the side; `STAGES` describes the fifty-layer networks of both.
"""

from __future__ import annotations

from torch import Tensor, nn

STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))  # channels, residual blocks
TINY_STAGES = ((8, 2), (12, 1), (16, 2), (24, 1))  # for tests
Stages = tuple[tuple[int, int], ...]


class ResidualBlock(nn.Module):
    """BN - conv3x3 - BN - PReLU - conv3x3 (carries the stride) - BN, plus identity; nothing after the sum."""

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(c_in)
        self.conv1 = nn.Conv2d(c_in, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.prelu = nn.PReLU(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(c_out)
        self.downsample = (
            nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out)) if stride > 1 else None
        )

    def forward(self, x: Tensor) -> Tensor:
        kept = x if self.downsample is None else self.downsample(x)
        return self.bn3(self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x)))))) + kept


def stage(c_in: int, c_out: int, blocks: int) -> nn.Sequential:
    """One stage of iresnet."""
    return nn.Sequential(ResidualBlock(c_in, c_out, 2), *(ResidualBlock(c_out, c_out, 1) for _ in range(blocks - 1)))


class ChannelWeights(nn.Module):
    """Squeeze and excitation (Hu et al., eq. 2 to 4): each channel times a weight computed from all channel means."""

    REDUCTION = 16

    def __init__(self, channels: int) -> None:
        super().__init__()
        middle = max(channels // self.REDUCTION, 1)
        self.fc1 = nn.Conv2d(channels, middle, 1, bias=False)
        self.fc2 = nn.Conv2d(middle, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.fc2(self.fc1(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class IrSeBlock(nn.Module):
    """IR-SE: BN - conv3x3 - PReLU - conv3x3 (carries the stride) - BN - channel weights, plus the shortcut.

    The shortcut is every second sample if only the side changes, and conv1x1 and BN if the channels change.
    """

    def __init__(self, c_in: int, c_out: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(1, stride)
        if c_in != c_out:
            self.shortcut_layer = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(c_in),
            nn.Conv2d(c_in, c_out, 3, padding=1, bias=False),
            nn.PReLU(c_out),
            nn.Conv2d(c_out, c_out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(c_out),
            ChannelWeights(c_out),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut_layer(x) + self.res_layer(x)


class IrSeTrunk(nn.Module):
    """The trunk of IR-SE networks, under its published names: `input_layer` and `body.{i}`, stage after stage."""

    def __init__(self, stages: Stages = STAGES) -> None:
        super().__init__()
        width = stages[0][0]
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.PReLU(width)
        )
        self.body = nn.Sequential()
        self.ends: list[int] = []  # the last block of every stage
        for c_out, count in stages:
            for n in range(count):
                self.body.append(IrSeBlock(width, c_out, 1 if n else 2))
                width = c_out
            self.ends.append(len(self.body) - 1)

    def levels(self, image: Tensor) -> list[Tensor]:
        """Return the output of every stage: [N,3,S,S] -> [N,C,S/2,S/2], [N,C,S/4,S/4] and so on."""
        x, found = self.input_layer(image), []
        for index, block in enumerate(self.body):
            x = block(x)
            if index in self.ends:
                found.append(x)
        return found
