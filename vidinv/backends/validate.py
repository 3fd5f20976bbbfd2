"""Find the user's parts of a backend by name or file, and check each against the generator."""

from __future__ import annotations

import functools
from collections.abc import Collection
from pathlib import Path

from vidinv import fileio
from vidinv.backends import spec as backend_spec
from vidinv.backends.interface import UserPart
from vidinv.backends.spec import Description
from vidinv.editing import directions
from vidinv.editing.directions import Direction
from vidinv.editing.spaces import Space
from vidinv.encoders import encoder_file, published
from vidinv.encoders import registry as encoders
from vidinv.errors import UsageError
from vidinv.faces import registry as faces
from vidinv.generators import generator_file
from vidinv.weights import imported
from vidinv.weights.imported import ImportedFacts

OWN_LICENCE = "the user's own file, under the terms it came with"


def check_user_parts(name: str, description: Description, latent: Space) -> tuple[UserPart, ...]:
    """Find the user's own parts, each checked by its header.

    Raises UsageError for a missing part and for a part of another latent space than the generator's, `latent`.
    """
    found = []
    if description.generator in generator_file.names():
        found.append(_of_import(imported.facts(generator_file.KIND, description.generator)))
    found += [*_encoder(name, description.encoder, latent), *_face_networks(name, description)]
    for entry in description.directions:
        direction = load_listed_direction(entry, latent.name)
        if direction.space != latent.name:
            raise UsageError(
                f"direction {entry} has the latent space {direction.space!r}, the generator has {latent.name!r}",
                remedy="learn it for this generator (vidinv directions learn, find), or leave it out",
            )
        found.append(UserPart(f"direction/{direction.name}", direction.digest, direction.licence, direction.origin))
    for path in (Path(each) for each in (description.boxes, description.proxy) if each):
        if not path.is_file():
            raise UsageError(f"backend {name}: {path} does not exist", remedy="check the path")
    return tuple(found) + ((_of_file("proxy", Path(description.proxy)),) if description.proxy else ())


def load_listed_direction(entry: str, space: str) -> Direction:
    """Load a direction that a description gives by name or by file."""
    return (
        directions.read_direction(Path(entry))
        if backend_spec.is_file(entry)
        else directions.load_direction(entry, space)
    )


def check_space(backend: str, encoder: str, space: str, latent: Space) -> None:
    """Raise UsageError for an encoder of another latent space."""
    if space != latent.name:
        raise UsageError(
            f"backend {backend}: the encoder {encoder!r} has the latent space {space!r}, {latent.generator} has "
            f"{latent.name!r}",
            remedy="give an encoder that was made for this generator, or none",
        )


def _encoder(backend: str, encoder: str, latent: Space) -> list[UserPart]:
    if backend_spec.is_file(encoder):
        encoder_file.check_encoder(Path(encoder), latent.name)
        return [_of_file("encoder", Path(encoder))]
    if encoder in published.names():
        facts = imported.facts(published.KIND, encoder)
        check_space(backend, encoder, facts.space, latent)
        rows = int(facts.sizes["rows"])
        if rows != latent.rows:
            raise UsageError(
                f"backend {backend}: the encoder {encoder!r} gives {rows} rows of w+, {latent.generator} takes "
                f"{latent.rows}",
                remedy="import it again, --for this generator",
            )
        return [_of_import(facts)]
    if encoder != "none" and encoder not in encoders.ENCODERS:
        raise UsageError(
            f"backend {backend}: unknown encoder {encoder!r}",
            remedy=f"give a file, none, or one of {', '.join([*encoders.ENCODERS, *published.names()])}",
        )
    return []


def _face_networks(backend: str, description: Description) -> list[UserPart]:
    """The named parser and identity network, if they were imported."""
    wanted: list[tuple[str, Collection[str], str]] = []
    if description.mask == "face":
        wanted.append(("parser", faces.PARSERS, description.parser))
    if description.identity not in ("faces", "none"):
        wanted.append(("identity", faces.IDENTITIES, description.identity))
    found = []
    for kind, known, name in wanted:
        own = imported.names(kind)
        if name in own:
            found.append(_of_import(imported.facts(kind, name)))
        elif name not in known:
            raise UsageError(
                f"backend {backend}: unknown {kind} network {name!r}", remedy=f"known: {', '.join([*known, *own])}"
            )
    return found


def _of_import(facts: ImportedFacts) -> UserPart:
    return UserPart(facts.part, facts.sha256, facts.licence, f"{facts.source}, {facts.format}")


def _of_file(kind: str, path: Path) -> UserPart:
    found = path.stat()
    digest = _digest(path, found.st_size, found.st_mtime_ns)
    return UserPart(f"{kind}/{path.stem}", digest, OWN_LICENCE, path.name)


@functools.cache
def _digest(path: Path, size: int, changed: int) -> str:
    """sha256 of a file; it is read again only if its size or modification time changed."""
    return fileio.content_sha256(path)
