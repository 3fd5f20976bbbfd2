"""Fuzz the reader of stored codes (`vidinv.encoders.code_file`)."""

from __future__ import annotations

import json
import struct
from functools import cache
from random import Random

import numpy as np
import torch

from scripts.stress import mutations
from scripts.stress.mutations import EXTREMES
from tests.fuzz.harness import folder, mutated, refusals, written
from tests.fuzz.safetensors_files import KINDS, changed
from vidinv.encoders.code_file import CodeOrigin, CodeReader, CodeRows, CodeWriter
from vidinv.errors import InputUnreadable
from vidinv.frames import Code

ROWS = CodeRows(np.array([0, 0, 3]), np.array([0, 2, 0]), np.arange(18, dtype=float).reshape(3, 2, 3), crop=64)


@cache
def samples() -> list[bytes]:
    """One file of codes."""
    noise = torch.Generator().manual_seed(0)
    path = folder() / "codes.safetensors"
    codes = [
        Code(torch.randn(1, 5, 8, generator=noise), torch.randn(1, 4, 3, 3, generator=noise), 2, space="tiny-w")
        for _ in ROWS.frame
    ]
    writer = CodeWriter(path, ROWS, codes[0], CodeOrigin("0" * 64, {"crop": 64, "encoder": "none"}))
    for frame, track, code in zip(ROWS.frame.tolist(), ROWS.track.tolist(), codes, strict=True):
        writer.put(frame, track, code)
    writer.close()
    return [path.read_bytes()]


def make(chance: Random) -> bytes:
    """Damaged codes, or codes whose header is damaged or says something else."""
    content = samples()[0]
    (length,) = struct.unpack("<Q", content[:8])
    head, rest = content[8 : 8 + length], content[8 + length :]
    match chance.randrange(4):
        case 0:
            return mutated([content], chance)
        case 1:
            head = mutations.mutated(head, chance)
        case 2:
            head = changed(json.loads(head), chance)
        case _:
            head = _reshaped(json.loads(head), chance)
    return struct.pack("<Q", len(head)) + head + rest


def _reshaped(entries: dict[str, object], chance: Random) -> bytes:
    """The header with a tensor of another shape or type over the same bytes, or another text in its metadata."""
    name = chance.choice(sorted(entries))
    described = entries[name]
    assert isinstance(described, dict)
    if name == "__metadata__":
        texts = ("", "-1", "9" * 30, "nan", "1e9", "[]", "null", "{", "w", "é", *map(str, EXTREMES))
        described[chance.choice(sorted(described))] = chance.choice(texts)
        return json.dumps(entries).encode()
    begin, end = described["data_offsets"]
    size = end - begin
    shapes = ([size], [size // 2], [size // 4], [size // 8], [0], [], [1, size], [3, size // 12], [3, 1, size // 12])
    described |= {"dtype": chance.choice(KINDS[:12]), "shape": chance.choice(shapes)}
    return json.dumps(entries).encode()


def one(data: bytes) -> None:
    """Read every code of `data`; what is read has the shapes of a code and finite values."""
    path = written(data, "codes.safetensors")
    with refusals(InputUnreadable):
        reader = CodeReader(path)
        for frame, track in reader.row_of:
            code = reader.get(frame, track)
            assert code.ws.ndim == 3 and code.ws.isfinite().all()
            assert code.feature is not None and code.feature.ndim == 4 and code.feature.isfinite().all()
