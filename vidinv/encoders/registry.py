"""Load encoders by name; a new encoder needs one line here."""

from __future__ import annotations

from collections.abc import Callable

import torch

from vidinv.encoders import adaptive, encoder_file, feature_style, feature_style_light, map2style, published
from vidinv.encoders.base import Encoder
from vidinv.encoders.feature_style_light import SHIPPED, TINY_SIZES
from vidinv.faces import residual
from vidinv.generators import mobile_stylegan
from vidinv.generators import registry as generators
from vidinv.weights import network_file


def _tiny() -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = feature_style_light.for_generator(mobile_stylegan.tiny(), **TINY_SIZES)
    return encoder.eval().requires_grad_(False)


def _published_tiny(build: Callable[..., Encoder], **settings: bool) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = build(mobile_stylegan.tiny(), stages=residual.TINY_STAGES, **settings)
    return encoder.eval().requires_grad_(False)


def _adaptive_tiny(generator: str) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = adaptive.for_generator(generators.load_generator(generator), first=8)
    return encoder.eval().requires_grad_(False)


def _of_family(family: str, generator: str) -> Encoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = encoder_file.build_encoder(family, generators.load_generator(generator), 16)
    return encoder.eval().requires_grad_(False)


ENCODERS: dict[str, Callable[[], Encoder]] = {
    "feature-style-light": lambda: feature_style_light.load_shipped(SHIPPED, space="mobile-stylegan-ffhq-w", at=2),
    "feature-style-tiny": _tiny,
    "feature-style-published-tiny": lambda: _published_tiny(feature_style.for_generator),
    "psp-tiny": lambda: _published_tiny(map2style.for_generator),
    "e4e-tiny": lambda: _published_tiny(map2style.for_generator, progressive=True),
    "adaptive-tiny": lambda: _adaptive_tiny("mobile-stylegan-tiny"),
    "adaptive-stylegan1-tiny": lambda: _adaptive_tiny("stylegan1-tiny"),
    "adaptive-stylegan2-tiny": lambda: _adaptive_tiny("stylegan2-tiny"),
    "adaptive-pggan-tiny": lambda: _adaptive_tiny("pggan-tiny"),
    "adaptive-biggan-tiny": lambda: _adaptive_tiny("biggan-tiny"),
    "ae-w-tiny": lambda: _of_family("ae-w", "stylegan2-tiny"),
    "ae-w-plus-tiny": lambda: _of_family("ae-w-plus", "stylegan2-tiny"),
    "automodulator-tiny": lambda: _of_family("automodulator", "automodulator-tiny"),
}


def load_encoder(name: str, device: str = "cpu") -> Encoder:
    """Load the named encoder, registered or imported, frozen, in eval mode, on `device`. Raises UsageError."""
    return network_file.load_network(published.KIND, name, ENCODERS, published.build_published, device)
