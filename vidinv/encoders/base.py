"""Define the interface of encoders, which map aligned faces to latent codes."""

from __future__ import annotations

from torch import Tensor, nn

from vidinv.frames import Code


class Encoder(nn.Module):
    """Encoder of aligned faces: image [N,3,S,S] in [-1,1] (any S; resized to `input_size`) -> Code."""

    input_size: int
    space: str
    at: int | None  # the layer whose output the feature code replaces
    gives_feature: bool = True  # False: w+ only; `at` is the layer whose own feature can serve as F

    def forward(self, image: Tensor, c: Tensor | None = None) -> Code:
        raise NotImplementedError("abstract: an encoder family defines its own network")
