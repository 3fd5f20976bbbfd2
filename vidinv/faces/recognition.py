"""Build the published 50-layer ArcFace networks (Deng et al., "ArcFace"): iresnet50 and IR-SE50, 512-d embeddings.

Both take 112x112 RGB in [-1,1]; four stages reduce it to 7x7, and a dense layer between two BatchNorms gives the
embedding. The states' keys are those of the two published files, `backbone.pth` and `model_ir_se50.pth`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from vidinv.faces import residual
from vidinv.faces.embedder import ARCFACE_TEMPLATE, IdentityNetwork
from vidinv.weights.imported import ImportedFacts

KIND = "identity"
SIZE = 112
LAST = SIZE // 2**4  # the side of the fourth stage's output


class IResNet(IdentityNetwork):
    """iresnet: `conv1`, `bn1`, `prelu`, `layer1` to `layer4`, `bn2`, `fc`, `features`."""

    template, size, dim = ARCFACE_TEMPLATE, SIZE, 512

    def __init__(self, stages: residual.Stages = residual.STAGES, dim: int = 512) -> None:
        super().__init__()
        self.dim = dim
        width = stages[0][0]
        self.conv1 = nn.Conv2d(3, width, 3, padding=1, bias=False)
        self.bn1, self.prelu = nn.BatchNorm2d(width), nn.PReLU(width)
        for number, (channels, blocks) in enumerate(stages, 1):
            self.add_module(f"layer{number}", residual.stage(width, channels, blocks))
            width = channels
        self.bn2 = nn.BatchNorm2d(width)
        self.fc = nn.Linear(width * LAST**2, dim)
        self.features = nn.BatchNorm1d(dim)
        self.requires_grad_(False)

    def taps_of_template(self, image: Tensor) -> tuple[Tensor, ...]:
        x = self.prelu(self.bn1(self.conv1(image)))
        taps = []
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
            taps.append(x)
        return *taps, self.features(self.fc(self.bn2(x).flatten(1)))


class IrSeNet(IdentityNetwork):
    """IR-SE network: the `trunk` with squeeze and excitation, and `output_layer`."""

    template, size, dim = ARCFACE_TEMPLATE, SIZE, 512

    def __init__(self, stages: residual.Stages = residual.STAGES, dim: int = 512) -> None:
        super().__init__()
        self.dim = dim
        width = stages[-1][0]
        self.trunk = residual.IrSeTrunk(stages)
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(width), nn.Dropout(0.6), nn.Flatten(), nn.Linear(width * LAST**2, dim), nn.BatchNorm1d(dim)
        )
        self.requires_grad_(False)

    def taps_of_template(self, image: Tensor) -> tuple[Tensor, ...]:
        levels = self.trunk.levels(image)
        return *levels, self.output_layer(levels[-1])


FAMILIES: dict[str, Callable[..., IdentityNetwork]] = {"iresnet": IResNet, "ir-se": IrSeNet}


def build_recognition(facts: ImportedFacts) -> IdentityNetwork:
    """Build the untrained network of an import's facts."""
    stages = tuple((width, blocks) for width, blocks in facts.settings["stages"])  # JSON holds lists
    return FAMILIES[facts.architecture](stages, facts.settings["dim"])


def tiny(family: str) -> IdentityNetwork:
    """A seeded random network of a family, for tests."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return FAMILIES[family](residual.TINY_STAGES, 32).eval()
