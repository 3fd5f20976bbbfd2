"""Fuzz the readers of safetensors files: weights, directions, encoders, generators and proxy heads."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from functools import cache
from pathlib import Path
from random import Random
from unittest.mock import patch

import torch
from safetensors.torch import save

from scripts.stress import mutations
from scripts.stress.mutations import EXTREMES
from tests.fuzz.harness import folder, mutated, refusals, written
from tests.fuzz.pickles import GENERATOR, import_file
from tests.helpers import published_stylegan2
from vidinv.editing import directions
from vidinv.encoders import encoder_file
from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.generators import generator_file, proxy
from vidinv.generators.base import Generator
from vidinv.generators.registry import load_generator
from vidinv.weights import quantized_file

KINDS = ("F64", "F32", "F16", "BF16", "I64", "I32", "I8", "U8", "BOOL", "F8_E4M3", "C64", "F4", "U64", "X", "", 3, None)
VALUES = (
    None,
    True,
    -1,
    0.5,
    1e300,
    10**30,
    "",
    "a",
    "../../x",
    "light",
    "published",
    "adaptive",
    [],
    [1, 2],
    {},
    [[]],
)
NAMES = (
    "vector",
    "ws",
    "w_avg",
    "a",
    "",
    "layer.weight",
    "layer.weight.scale",
    "__metadata__",
    "é\n\x1b[1m",
    "x" * 9000,
)


@cache
def generator() -> Generator:
    return load_generator(GENERATOR)


@cache
def samples() -> list[bytes]:
    """One file of each kind."""
    facts = directions.Imported("fse", "1x8", 1.0, True, GENERATOR, "+", "0" * 64)
    direction = directions.Direction("age", torch.ones(32), 1.0, (0, 8), "mobile-stylegan-tiny-w", imported=facts)
    directions.save_direction(direction, folder() / "direction.safetensors")
    network = generator()
    settings = {"resolution": 64, "channel_max": 32, "w_dim": 32, "c_dim": 0}
    generator_file.write_generator(folder() / "generator.safetensors", network, "stylegan2", settings)
    encoder = encoder_file.build_encoder("adaptive-tiny", network, 16)
    told = encoder_file.EncoderFacts("adaptive-tiny", network.space, 16)
    encoder_file.write_encoder(folder() / "encoder.safetensors", encoder.state_dict(), told)
    plain = {key: value.contiguous() for key, value in published_stylegan2.published_state().items()}
    quantized = {"a": torch.ones(4, 3, dtype=torch.int8), "a.scale": torch.ones(4, 1), "b": torch.ones(2).half()}
    names = ("direction", "generator", "encoder")
    return [save(plain), save(quantized), *((folder() / f"{name}.safetensors").read_bytes() for name in names)]


def make(chance: Random) -> bytes:
    """A damaged file, one whose header's JSON is damaged or whose entries are changed, or one made entry by entry."""
    if (kind := chance.randrange(10)) < 3:
        return mutated(samples(), chance)
    if kind < 7:
        content = chance.choice(samples())
        (length,) = struct.unpack("<Q", content[:8])
        head = content[8 : 8 + length]
        head = mutations.mutated(head, chance) if kind < 5 else changed(json.loads(head), chance)
        return struct.pack("<Q", len(head)) + head + content[8 + length :]
    entries = {chance.choice(NAMES): entry(chance) for _ in range(chance.randrange(5))}
    if chance.random() < 0.1:
        entries |= {f"t{k}": entry(chance) for k in range(chance.choice((1000, 30_000)))}
    head = json.dumps(entries).encode() if chance.random() < 0.9 else b"[" * chance.choice((1, 5000)) + b"{}"
    size = chance.choice((len(head), len(head), len(head), *EXTREMES, 1 << 60, (1 << 64) - 1))
    return struct.pack("<Q", size) + head + bytes(chance.choice((0, 16, 64, 1024)))


def entry(chance: Random) -> object:
    """The description of one tensor."""
    sizes = [chance.choice((0, 1, 2, 4, 8, 1 << 40, -1, *EXTREMES)) for _ in range(chance.randrange(4))]
    offsets = [chance.choice((0, 4, 16, 32, 64, -1, *EXTREMES)) for _ in range(chance.choice((2, 2, 2, 1, 0)))]
    made: dict[str, object] = {"dtype": chance.choice(KINDS), "shape": sizes, "data_offsets": offsets}
    if chance.random() < 0.1:
        made.pop(chance.choice(list(made)))
    return chance.choice((made, made, made, made, None, 3, "", [], {}))


def changed(entries: dict[str, object], chance: Random) -> bytes:
    """A header with one entry described otherwise, under another name, or with other metadata."""
    name = chance.choice(sorted(entries))
    described = entries[name]
    if name == "__metadata__" and isinstance(described, dict):
        key = chance.choice(sorted(described))
        if chance.random() < 0.6:
            told = json.loads(described[key]) if described[key].startswith("{") else None
            described[key] = json.dumps(replaced(told, chance) if isinstance(told, dict) else chance.choice(VALUES))
            return json.dumps(entries).encode()
        text = mutations.mutated(str(described[key]).encode(), chance).decode("utf-8", "replace")
        described[key] = chance.choice((text, text, "", "null", "[]", "{}", "9" * 5000, "[" * 5000, "1e999"))
    elif isinstance(described, dict):
        wrong = entry(chance)
        described |= wrong if isinstance(wrong, dict) and chance.random() < 0.5 else {"dtype": chance.choice(KINDS)}
    return json.dumps(entries).encode()


def replaced(values: dict[str, object], chance: Random) -> dict[str, object]:
    """The values with one of them, or one inside it, of another type or extreme."""
    key = chance.choice(sorted(values))
    inner = values[key]
    if isinstance(inner, dict) and inner and chance.random() < 0.7:
        return values | {key: replaced(inner, chance)}
    return values | {key: chance.choice((*VALUES, *EXTREMES))}


def readers(path: Path) -> list[Callable[[], object]]:
    """Every reader of such files that somebody may hand over."""
    return [
        lambda: quantized_file.read_state(path),
        lambda: directions.read_direction(path),
        lambda: encoder_file.read_encoder(path, generator()),
        lambda: generator_file.read_generator(path),
        lambda: proxy.read_proxy(path, generator()),
    ]


def one(data: bytes) -> None:
    """Open `data` by every reader, and import the networks in it."""
    path = written(data, "a.safetensors")
    with patch.dict(os.environ, VIDINV_CACHE=str(folder() / "cache")):
        for read in readers(path):
            with refusals(WeightsUnavailable, UsageError):
                read()
    import_file(path)
