"""Write and read tuned generators as weight differences from the base generator, one set per person.

The file is safetensors, `PERSON/NAME` -> difference, in half precision. Its metadata hold the origin and the
fingerprint of the base generator's weights; only that generator accepts them.
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
    """Metadata of a delta file: the base generator, the source (sha256) and the tuning recipe."""

    generator: str
    space: str
    base: str  # `fingerprint` of the base generator
    source: str = ""
    recipe: dict[str, Any] = field(default_factory=dict)


def fingerprint(generator: Generator) -> str:
    """Return the sha256 over the names and values of all weights."""

    def blocks() -> Iterator[bytes]:
        for name, value in sorted(generator.state_dict().items()):
            yield f"{name} {tuple(value.shape)}\0".encode()
            yield value.detach().float().cpu().contiguous().numpy().tobytes()

    return fileio.sha256_of_blocks(blocks())


def between(base: Generator, tuned: Mapping[str, Tensor]) -> Delta:
    """Return the differences of `tuned` weights, by name, from `base`. Raises ValueError for an unknown name."""
    own = dict(base.named_parameters())
    unknown = sorted(set(tuned) - set(own))
    if unknown:
        raise ValueError(f"{base.name} has no weights {', '.join(unknown[:3])}")
    return {name: value.detach().to(own[name]) - own[name].detach() for name, value in tuned.items()}


def added(base: Generator, delta: Delta) -> Generator:
    """Return a generator with the delta applied that shares all other weights with `base`; frozen, in eval mode."""
    shared: dict[int, Any] = {id(value): value for name, value in base.named_parameters() if name not in delta}
    shared |= {id(value): value for value in base.buffers()}
    other = deepcopy(base, shared)
    own = dict(other.named_parameters())
    with torch.no_grad():
        for name, change in delta.items():
            own[name].add_(change.to(own[name]))
    return other.eval().requires_grad_(False)


def packed(people: PEOPLE, facts: DeltaFacts, rank: int = 0, more: Mapping[str, str] | None = None) -> bytes:
    """Return the file's bytes, with `more` metadata.

    With a `rank`, matrices are stored as the nearest product of two matrices of that rank. 1x1 convolutions count as
    matrices; tensors that a product would not shrink are stored unchanged.
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
    """Return the deltas by person in a file's bytes, and its facts; `what` names the file in errors.

    Raises WeightsUnavailable if it is damaged, or was made from another generator than `base`.
    """
    shapes = {name: value.shape for name, value in base.named_parameters()}
    try:
        header = fileio.parse_json(data[8 : 8 + int.from_bytes(data[:8], "little")])
        facts = fileio.record_of(DeltaFacts, fileio.parse_json(header["__metadata__"][KEY]))
        people: dict[int, Delta] = {}
        tensors = load(data)
        for key, value in tensors.items():
            if key.endswith(RIGHT):
                continue
            track, name = key.removesuffix(LEFT).split("/", 1)
            whole = value.float() @ tensors[key.removesuffix(LEFT) + RIGHT].float() if key.endswith(LEFT) else value
            people.setdefault(int(track), {})[name] = whole.float().reshape(shapes.get(name, (-1,)))
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise WeightsUnavailable(f"{what} is not a tuned generator", remedy="make it again: vidinv tune") from error
    if facts.base != fingerprint(base):
        raise WeightsUnavailable(
            f"{what} was tuned from another {facts.generator} than this {base.name}",
            remedy="make it again: vidinv tune",
        )
    return people, facts


def write_deltas(path: Path, data: bytes) -> None:
    """Write the bytes to a file atomically. Raises OutputUnwritable."""
    fileio.write_atomically(path, data)


def read_deltas(path: Path, base: Generator) -> tuple[dict[int, Delta], DeltaFacts]:
    """Read the deltas by person in a file, and its facts. Raises WeightsUnavailable as `unpacked` does."""
    try:
        return unpacked(path.read_bytes(), base, str(path))
    except OSError as error:
        raise WeightsUnavailable(f"{path} cannot be read: {error.strerror}", remedy="check the path") from error


def _shrinks(change: Tensor, rank: int) -> bool:
    """Return whether it is a matrix for which a product of rank `rank` has fewer numbers."""
    if change.ndim < 2 or change[0, 0].numel() > 1:
        return False
    rows, columns = change.shape[:2]
    return rank * (rows + columns) < rows * columns
