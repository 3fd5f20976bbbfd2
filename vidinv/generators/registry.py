"""Every generator by name; one line is the whole wiring of a new one."""

from __future__ import annotations

from collections.abc import Callable

from vidinv.errors import UsageError
from vidinv.generators import biggan, mobile_stylegan, pggan, stylegan1, stylegan2, stylegan3
from vidinv.generators.base import Generator
from vidinv.weights import cache

GENERATORS: dict[str, Callable[[], Generator]] = {
    "mobile-stylegan-ffhq-1024": lambda: mobile_stylegan.load(cache.path("generator/mobile-stylegan-ffhq")),
    "mobile-stylegan-tiny": mobile_stylegan.tiny,
    "biggan-tiny": biggan.tiny,
    "pggan-tiny": pggan.tiny,
    "pggan-classes-tiny": lambda: pggan.tiny("pggan-classes-tiny", c_dim=3),
    "stylegan1-tiny": stylegan1.tiny,
    "stylegan2-tiny": stylegan2.tiny,
    "stylegan2-classes-tiny": lambda: stylegan2.tiny("stylegan2-classes-tiny", c_dim=3),
    "stylegan3-t-tiny": lambda: stylegan3.tiny("stylegan3-t-tiny", "t"),
    "stylegan3-r-tiny": lambda: stylegan3.tiny("stylegan3-r-tiny", "r"),
}


def load(name: str, device: str = "cpu") -> Generator:
    """The named generator, frozen, in eval mode, on `device`."""
    if name not in GENERATORS:
        raise UsageError(f"unknown generator {name!r}", remedy=f"known: {', '.join(GENERATORS)}")
    return GENERATORS[name]().to(device)
