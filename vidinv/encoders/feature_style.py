"""Encode images with the published Feature-Style encoder (section 3.1): iresnet50, style heads, feature branch.

For a StyleGAN2 of 1024 pixels (18 slots) it has 113,920,704 parameters in 517 tensors, under the published names.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.encoders.base import Encoder
from vidinv.faces import residual
from vidinv.frames import Code
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize

INPUT_SIZE = 256
SIDES = (INPUT_SIZE // 16, INPUT_SIZE // 8)  # possible sides of the feature code
POOL = 3  # each stage's output is pooled to 3x3 for the style heads


class FeatureStyle(Encoder):
    """Encode images [N,3,S,S] in [-1,1] to Code(ws [N,L,D], feature [N,C,h,w] of the generator's layer `at`).

    `feature_side` is that layer's: 16 for the paper's K = 4 and 5, 32 for K = 6 and 7. `w_avg` [D] is the generator's
    and is added to the heads' outputs; it is not part of the state.
    """

    w_avg: Tensor

    input_size = INPUT_SIZE

    def __init__(
        self,
        space: str,
        *,
        at: int,
        w_avg: Tensor,
        slots: int = 18,
        channels: int = 512,
        feature_side: int = 16,
        stages: residual.Stages = residual.STAGES,
    ) -> None:
        super().__init__()
        if feature_side not in SIDES:
            raise ValueError(f"the feature branch gives 16x16 or 32x32, asked for {feature_side}")
        self.space, self.at = space, at
        widths = [width for width, _ in stages]
        self.conv = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.PReLU(widths[0])
        )
        (c1, n1), (c2, n2), (c3, n3), (c4, n4) = stages
        self.block_1 = residual.stage(widths[0], c1, n1)
        self.block_2 = residual.stage(c1, c2, n2)
        self.block_3 = residual.stage(c2, c3, n3)
        self.block_4 = residual.stage(c3, c4, n4)
        self.content_layer = nn.Sequential(
            nn.BatchNorm2d(c3),
            nn.Conv2d(c3, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, 3, INPUT_SIZE // 8 // feature_side, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.styles = nn.ModuleList(nn.Linear(sum(widths) * POOL**2, len(w_avg)) for _ in range(slots))
        self.register_buffer("w_avg", w_avg.detach().clone(), persistent=False)

    def forward(self, image: Tensor, c: Tensor | None = None) -> Code:
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(f"the encoder reads [N,3,S,S] images, got {tuple(image.shape)}")
        x = self.conv(resize(image, INPUT_SIZE))
        pooled, feature = [], None
        for stage in (self.block_1, self.block_2, self.block_3, self.block_4):
            x = stage(x)
            pooled.append(functional.adaptive_avg_pool2d(x, POOL))
            if stage is self.block_3:
                feature = self.content_layer(x)
        vector = torch.cat(pooled, 1).flatten(1)  # [N,960,3,3] -> [N,8640], channel-major
        ws = torch.stack([head(vector) for head in self.styles], 1) + self.w_avg  # [N,L,D]
        return Code(ws, feature, self.at, space=self.space)


def for_generator(
    generator: Generator, feature_side: int = 16, *, stages: residual.Stages = residual.STAGES
) -> FeatureStyle:
    """Build an untrained encoder for any generator that has a layer of `feature_side` pixels."""
    at = generator.layer_at(feature_side)
    return FeatureStyle(
        generator.space,
        at=at,
        w_avg=generator.w_avg,
        slots=generator.num_ws,
        channels=generator.layers[at].channels,
        feature_side=feature_side,
        stages=stages,
    )
