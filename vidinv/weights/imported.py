"""What `vidinv weights import` keeps: `imported/KIND/NAME.safetensors` in the cache, and beside it a JSON of its facts.

A kind is a role (generator, discriminator, encoder, identity, parser, perceptual, landmarks); a name is taken once in
each.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from vidinv import fileio
from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.weights import places

FOLDER = "imported"  # in the cache
KINDS = ("generator", "discriminator", "encoder", "identity", "parser", "perceptual", "landmarks")


@dataclass(frozen=True)
class ImportedFacts:
    """What the JSON says: the architecture and what it is built with, where it came from and under which terms."""

    name: str
    kind: str
    architecture: str
    settings: dict[str, Any]
    format: str
    source: str  # name of the file it was imported from
    source_sha256: str
    licence: str
    space: str = ""  # of a generator and an encoder: the latent space
    generator: str = ""  # of an encoder: whose codes it gives; of a discriminator: whose pictures it judges
    sizes: dict[str, Any] = field(default_factory=dict)
    latent_average: str = ""  # "from the file", or how it was come by
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    sha256: str = ""
    bytes: int = 0

    @property
    def part(self) -> str:
        """Its name among all parts, KIND/NAME."""
        return f"{self.kind}/{self.name}"


def path(kind: str, name: str) -> Path:
    """Where the import of this name lies, whether it exists or not."""
    return places.converted(f"{FOLDER}/{kind}/{name}")


def names(kind: str) -> list[str]:
    """Every import of a kind."""
    return sorted(file.stem for file in (places.root() / FOLDER / kind).glob("*.safetensors"))


def parts() -> list[str]:
    """Every import, as KIND/NAME."""
    return [f"{kind}/{name}" for kind in KINDS for name in names(kind)]


def facts(kind: str, name: str) -> ImportedFacts:
    """What an import's JSON says. Raises WeightsUnavailable where it is missing or damaged."""
    try:
        told = json.loads(path(kind, name).with_suffix(".json").read_text(encoding="utf-8"))
        return ImportedFacts(**told | {"missing": tuple(told["missing"]), "unused": tuple(told["unused"])})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(kind, name) from error


def record(told: ImportedFacts) -> None:
    """Write the JSON of an import, whole or not at all. Raises OutputUnwritable."""
    text = json.dumps(asdict(told), indent=2, ensure_ascii=False)
    places.write_cached(path(told.kind, told.name).with_suffix(".json"), text + "\n")


def damaged(kind: str, name: str) -> WeightsUnavailable:
    """The error for an import that is not what was written."""
    return WeightsUnavailable(
        f"the imported {kind} {path(kind, name)} is damaged", remedy="import it again: vidinv weights import FILE"
    )


def state(kind: str, name: str) -> Literal["present", "damaged"]:
    """What lies in the cache, judged by the JSON and the file's size; nothing is hashed."""
    try:
        whole = path(kind, name).stat().st_size == facts(kind, name).bytes
    except (OSError, WeightsUnavailable):
        return "damaged"
    return "present" if whole else "damaged"


def verify(kind: str, name: str) -> Path:
    """Hash the file; returns its path. Raises WeightsUnavailable unless its sha256 is the recorded one."""
    file = path(kind, name)
    if fileio.sha256(file) != facts(kind, name).sha256:
        raise damaged(kind, name)
    return file


def selected(name: str) -> list[tuple[str, str]]:
    """Kind and name of every import that `name` means: NAME, KIND/NAME, KIND, or `all`."""
    kind, _, own = name.rpartition("/")
    pairs = [tuple(part.split("/", 1)) for part in parts()]
    return [(k, n) for k, n in pairs if name in ("all", k) or (own == n and kind in ("", k))]


def one(name: str) -> tuple[str, str] | None:
    """Kind and name of the one import that NAME or KIND/NAME means; None where there is none.

    Raises UsageError where imports of several kinds have the name.
    """
    found = [pair for pair in selected(name) if name in (pair[1], "/".join(pair))]
    if len(found) > 1:
        meant = ", ".join("/".join(pair) for pair in found)
        raise UsageError(f"{name!r} is the name of several imports", remedy=f"say which: {meant}")
    return found[0] if found else None
