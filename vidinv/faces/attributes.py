"""Predict apparent age and gender of faces with dlib-models' networks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from vidinv.faces.embedder import FFHQ_POINTS, TemplateWarp
from vidinv.faces.onnx_graph.network import GraphNetwork
from vidinv.weights import cache

# Eye centres in dlib's face chip (padding 0.2), in units of its side: the means of its eye-corner positions.
_CHIP_EYES = (0.2 + np.array([(0.2273, 0.2214), (0.7528, 0.2212)])) / 1.4
_MEANS = (122.782, 117.001, 104.298)
# Age of each of the 81 classes in years; class 0 is the first year of life.
_YEARS = (0.25, *range(1, 81))


class AgeGender(nn.Module):
    """Apparent age and gender of FFHQ-aligned crops; frozen, differentiable in the image."""

    means: Tensor  # [1,3,1,1], buffers
    years: Tensor  # [81]

    def __init__(self, age: GraphNetwork, gender: GraphNetwork) -> None:
        super().__init__()
        self.age, self.gender = age, gender
        self.age_warp = TemplateWarp(_CHIP_EYES * 64 - 0.5, 64, FFHQ_POINTS[:2])
        self.gender_warp = TemplateWarp(_CHIP_EYES * 32 - 0.5, 32, FFHQ_POINTS[:2])
        self.register_buffer("means", torch.tensor(_MEANS).reshape(1, 3, 1, 1), persistent=False)
        self.register_buffer("years", torch.tensor(_YEARS, dtype=torch.float32), persistent=False)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """[N,3,S,S] in [-1,1] -> (expected age in years [N], probability of female [N])."""
        (age,) = self.age(self._scaled(self.age_warp(crops)))
        (gender,) = self.gender(self._scaled(self.gender_warp(crops)))
        return age @ self.years, gender[:, 0]

    def _scaled(self, image: Tensor) -> Tensor:
        return ((image + 1) * 127.5 - self.means) / 256


def load_age_gender(age: str | Path | None = None, gender: str | Path | None = None) -> AgeGender:
    """Load both networks from the weights cache, or from safetensors files."""
    networks = (
        GraphNetwork.load(age or cache.path("age/dlib")),
        GraphNetwork.load(gender or cache.path("gender/dlib")),
    )
    return AgeGender(*networks).eval()
