"""Load generators by name; a new generator needs one line here."""

from __future__ import annotations

from collections.abc import Callable

from vidinv.generators import (
    automodulator,
    biggan,
    generator_file,
    mobile_stylegan,
    pggan,
    stylegan1,
    stylegan2,
    stylegan3,
)
from vidinv.generators.base import Generator
from vidinv.weights import cache, network_file

GENERATORS: dict[str, Callable[[], Generator]] = {
    "mobile-stylegan-ffhq-1024": lambda: mobile_stylegan.load_ffhq(cache.path("generator/mobile-stylegan-ffhq")),
    "mobile-stylegan-tiny": mobile_stylegan.tiny,
    "automodulator-tiny": automodulator.tiny,
    "automodulator-extra-tiny": lambda: automodulator.tiny("automodulator-extra-tiny", extra=True),
    "biggan-tiny": biggan.tiny,
    "pggan-tiny": pggan.tiny,
    "pggan-classes-tiny": lambda: pggan.tiny("pggan-classes-tiny", c_dim=3),
    "stylegan1-tiny": stylegan1.tiny,
    "stylegan2-tiny": stylegan2.tiny,
    "stylegan2-classes-tiny": lambda: stylegan2.tiny("stylegan2-classes-tiny", c_dim=3),
    "stylegan3-t-tiny": lambda: stylegan3.tiny("stylegan3-t-tiny", "t"),
    "stylegan3-r-tiny": lambda: stylegan3.tiny("stylegan3-r-tiny", "r"),
}


def load_generator(name: str, device: str = "cpu") -> Generator:
    """Load the named generator, registered or imported, frozen, in eval mode, on `device`. Raises UsageError."""
    return network_file.load_network(generator_file.KIND, name, GENERATORS, generator_file.build_generator, device)
