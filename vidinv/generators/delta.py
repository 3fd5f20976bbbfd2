"""What tuning changed of a generator, as a file of megabytes: differences of some layers' weights, one set a person.

Safetensors, `PERSON/NAME` -> difference, in half precision. Their metadata say what they were made by and from: the
base generator's own weights are asked for by their fingerprint, and no other takes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from vidinv import fileio
from vidinv.errors import WeightsUnavailable
from vidinv.generators.base import Generator

KEY = "generator_delta"  # of the metadata
LEFT, RIGHT = ".left", ".right"  # of a difference kept as a product
Delta = dict[str, Tensor]  # name of a parameter -> its difference
PEOPLE = Mapping[int, Delta]  # by track


@dataclass(frozen=True)
class DeltaFacts:
    """What a file of deltas says: the base, what they were tuned to (sha256 of the source) and how."""

    generator: str
    space: str
    base: str  # `fingerprint` of the generator that they were made from
    source: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)


def fingerprint(generator: Generator) -> str:
    """sha256 over the names and values of all weights."""

    def blocks() -> Iterator[bytes]:
        for name, value in sorted(generator.state_dict().items()):
            yield f"{name} {tuple(value.shape)}\0".encode()
            yield value.detach().float().cpu().contiguous().numpy().tobytes()

    return fileio.sha256_of_blocks(blocks())


def between(base: Generator, tuned: Mapping[str, Tensor]) -> Delta:
    """What `tuned`, weights by name, differ from those of `base`. ValueError for a name that it has not."""
    own = dict(base.named_parameters())
    unknown = sorted(set(tuned) - set(own))
    if unknown:
        raise ValueError(f"{base.name} has no weights {', '.join(unknown[:3])}")
    return {name: value.detach().to(own[name]) - own[name].detach() for name, value in tuned.items()}


def added(base: Generator, delta: Delta) -> Generator:
    """A generator with the delta's weights that shares all others with `base`; frozen, in eval mode."""
    shared: dict[int, Any] = {id(value): value for name, value in base.named_parameters() if name not in delta}
    shared |= {id(value): value for value in base.buffers()}
    other = deepcopy(base, shared)
    own = dict(other.named_parameters())
    with torch.no_grad():
        for name, change in delta.items():
            own[name].add_(change.to(own[name]))
    return other.eval().requires_grad_(False)


def packed(people: PEOPLE, facts: DeltaFacts, rank: int = 0, more: Mapping[str, str] | None = None) -> bytes:
    """The file's bytes, with `more` metadata.

    With a `rank` matrices are kept as the nearest product of two of so many columns. Convolutions 1x1 count as
    matrices; what a product would not make smaller stays as it is.
    """
    tensors: dict[str, Tensor] = {}
    for track, delta in people.items():
        for name, change in delta.items():
            key, change = f"{track}/{name}", change.detach().float().cpu()
            if rank and _shrinks(change, rank):
                u, s, v = torch.linalg.svd(change.flatten(1), full_matrices=False)
                tensors[key + LEFT] = u[:, :rank] * s[:rank]
                tensors[key + RIGHT] = v[:rank]
            else:
                tensors[key] = change
    half = {key: value.half().contiguous() for key, value in tensors.items()}
    return save(half, metadata={KEY: json.dumps(asdict(facts)), **(more or {})})


def unpacked(data: bytes, base: Generator, what: str) -> tuple[dict[int, Delta], DeltaFacts]:
    """The deltas by person in the bytes of a file, which errors call `what`, and its facts.

    WeightsUnavailable for one that is damaged, or was made from another generator than `base`.
    """
    shapes = {name: value.shape for name, value in base.named_parameters()}
    try:
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        facts = DeltaFacts(**json.loads(header["__metadata__"][KEY]))
        people: dict[int, Delta] = {}
        tensors = load(data)
        for key, value in tensors.items():
            if key.endswith(RIGHT):
                continue
            track, name = key.removesuffix(LEFT).split("/", 1)
            whole = value.float() @ tensors[key.removesuffix(LEFT) + RIGHT].float() if key.endswith(LEFT) else value
            people.setdefault(int(track), {})[name] = whole.float().reshape(shapes.get(name, (-1,)))
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsUnavailable(f"{what} is no tuned generator", remedy="make it anew: vidinv tune") from error
    if facts.base != fingerprint(base):
        raise WeightsUnavailable(
            f"{what} was tuned from another {facts.generator} than this {base.name}", remedy="make it anew: vidinv tune"
        )
    return people, facts


def write_deltas(path: Path, data: bytes) -> None:
    """Put the bytes of a file there, whole or not at all. Raises OutputUnwritable."""
    fileio.write_atomically(path, data)


def read_deltas(path: Path, base: Generator) -> tuple[dict[int, Delta], DeltaFacts]:
    """The deltas by person in a file, and its facts; raises WeightsUnavailable as `unpacked` does."""
    try:
        return unpacked(path.read_bytes(), base, str(path))
    except OSError as error:
        raise WeightsUnavailable(f"{path} cannot be read: {error.strerror}", remedy="check the path") from error


def _shrinks(change: Tensor, rank: int) -> bool:
    """Whether it is a matrix, and the product of two of `rank` columns has fewer numbers."""
    if change.ndim < 2 or change[0, 0].numel() > 1:
        return False
    rows, columns = change.shape[:2]
    return rank * (rows + columns) < rows * columns
