"""Manage imported networks in the cache: `imported/KIND/NAME.safetensors` and a JSON with its facts.

A kind is a role (generator, discriminator, encoder, identity, parser, perceptual, landmarks); a name is unique within
its kind.
"""

from __future__ import annotations

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
    """Contents of an import's JSON: architecture, constructor settings, origin and licence terms."""

    name: str
    kind: str
    architecture: str
    settings: dict[str, Any]
    format: str
    source: str  # name of the file it was imported from
    source_sha256: str
    licence: str
    space: str = ""  # latent space of a generator or an encoder
    generator: str = ""  # the generator that an encoder or a discriminator belongs to
    sizes: dict[str, Any] = field(default_factory=dict)
    latent_average: str = ""  # "from the file", or how it was estimated
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    sha256: str = ""
    bytes: int = 0

    @property
    def part(self) -> str:
        """Return the qualified name KIND/NAME."""
        return f"{self.kind}/{self.name}"


def path(kind: str, name: str) -> Path:
    """Return the path of the import of this name, whether it exists or not."""
    return places.converted(f"{FOLDER}/{kind}/{name}")


def names(kind: str) -> list[str]:
    """List the names of every import of a kind."""
    return sorted(file.stem for file in (places.root() / FOLDER / kind).glob("*.safetensors"))


def parts() -> list[str]:
    """List every import as KIND/NAME."""
    return [f"{kind}/{name}" for kind in KINDS for name in names(kind)]


def facts(kind: str, name: str) -> ImportedFacts:
    """Read an import's JSON. Raises WeightsUnavailable if it is missing or damaged."""
    try:
        return fileio.record_of(ImportedFacts, fileio.read_json(path(kind, name).with_suffix(".json")))
    except (OSError, fileio.BadJson) as error:
        raise damaged(kind, name) from error


def write_facts(facts: ImportedFacts) -> None:
    """Write the JSON of an import atomically. Raises OutputUnwritable."""
    text = fileio.json_text(asdict(facts), indent=2)
    places.write_cached(path(facts.kind, facts.name).with_suffix(".json"), text + "\n")


def damaged(kind: str, name: str) -> WeightsUnavailable:
    """Return the error for a damaged import."""
    return WeightsUnavailable(
        f"the imported {kind} {path(kind, name)} is damaged", remedy="import it again: vidinv weights import FILE"
    )


def state(kind: str, name: str) -> Literal["present", "damaged"]:
    """Return the state of an import, judged by the JSON and the file size; nothing is hashed."""
    try:
        whole = path(kind, name).stat().st_size == facts(kind, name).bytes
    except (OSError, WeightsUnavailable):
        return "damaged"
    return "present" if whole else "damaged"


def verify(kind: str, name: str) -> Path:
    """Hash the file and return its path. Raises WeightsUnavailable unless its sha256 is the recorded one."""
    file = path(kind, name)
    if fileio.sha256(file) != facts(kind, name).sha256:
        raise damaged(kind, name)
    return file


def select_imports(name: str) -> list[tuple[str, str]]:
    """Return kind and name of every import that `name` selects: NAME, KIND/NAME, KIND, or `all`."""
    kind, _, own = name.rpartition("/")
    pairs = [tuple(part.split("/", 1)) for part in parts()]
    return [(k, n) for k, n in pairs if name in ("all", k) or (own == n and kind in ("", k))]


def find_import(name: str) -> tuple[str, str] | None:
    """Return kind and name of the import NAME or KIND/NAME, or None if there is none.

    Raises UsageError if imports of several kinds have the name.
    """
    found = [pair for pair in select_imports(name) if name in (pair[1], "/".join(pair))]
    if len(found) > 1:
        meant = ", ".join("/".join(pair) for pair in found)
        raise UsageError(f"{name!r} is the name of several imports", remedy=f"give one of {meant}")
    return found[0] if found else None
