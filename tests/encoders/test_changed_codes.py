"""Stored codes that are damaged or forged are refused in one line, by their digests, values, space and shapes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.helpers.code_files import contents, rewrite
from vidinv.encoders.code_file import CodeOrigin, CodeReader, CodeRows, CodeWriter
from vidinv.errors import InputUnreadable
from vidinv.frames import Code
from vidinv.generators import mobile_stylegan
from vidinv.generators.base import Generator

FACES = [(0, 0), (0, 2), (3, 0)]
Change = Callable[[dict[str, Tensor], dict[str, str]], object]


@pytest.fixture(scope="module")
def generator() -> Generator:
    return mobile_stylegan.tiny()


@pytest.fixture
def stored(tmp_path: Path, generator: Generator) -> Path:
    """Codes of three faces that `generator` can render."""
    path, at = tmp_path / "codes.safetensors", 2
    layer = generator.layers[at]
    rows = CodeRows(np.array([0, 0, 3]), np.array([0, 2, 0]), np.ones((3, 2, 3)), crop=64)
    noise = torch.Generator().manual_seed(1)

    def code() -> Code:
        ws = torch.randn(1, generator.num_ws, generator.w_dim, generator=noise)
        feature = torch.randn(1, layer.channels, layer.resolution, layer.resolution, generator=noise)
        return Code(ws, feature, at, space=generator.space)

    writer = CodeWriter(path, rows, code(), CodeOrigin("abc", {"crop": 64}))
    for face in FACES:
        writer.put(*face, code())
    writer.close()
    return path


def read_whole(path: Path, generator: Generator) -> None:
    reader = CodeReader(path)
    reader.check_generator(generator)
    reader.check_all()


def test_what_was_written_is_read(stored: Path, generator: Generator) -> None:
    read_whole(stored, generator)
    rewrite(stored, *contents(stored), sealed=False)  # the order of the header's keys does not matter
    read_whole(stored, generator)
    rewrite(stored, *contents(stored), sealed=True)  # the digests are those that the helper computes
    read_whole(stored, generator)


def test_no_flipped_bit_gives_other_codes(stored: Path, generator: Generator) -> None:
    whole, chance = stored.read_bytes(), random.Random(5)
    before = {face: CodeReader(stored).get(*face) for face in FACES}
    header = 8 + int.from_bytes(whole[:8], "little")
    places = [*range(8), *chance.sample(range(8, header), 150), *chance.sample(range(header, len(whole)), 150)]
    refused = 0
    for place in places:
        stored.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << chance.randrange(8)]) + whole[place + 1 :])
        try:
            read_whole(stored, generator)
            now = {face: CodeReader(stored).get(*face) for face in FACES}
        except InputUnreadable as error:
            refused += 1
            assert "\n" not in str(error)
        else:  # a blank of the header
            assert all(torch.equal(now[face].ws, before[face].ws) for face in FACES)
            assert all(torch.equal(now[face].feature, before[face].feature) for face in FACES)
    assert refused > 290


@pytest.mark.parametrize("end", [0, 7, 60, -1, -5000])
def test_a_cut_off_file_is_refused(stored: Path, generator: Generator, end: int) -> None:
    stored.write_bytes(stored.read_bytes()[:end])
    with pytest.raises(InputUnreadable):
        read_whole(stored, generator)


def test_a_face_that_was_never_stored_is_refused(tmp_path: Path) -> None:
    rows = CodeRows(np.array([0, 1]), np.array([0, 0]), np.ones((2, 2, 3)), crop=64)
    code = Code(torch.ones(1, 5, 8), torch.ones(1, 4, 3, 3), 2, space="tiny-w")
    writer = CodeWriter(tmp_path / "codes", rows, code, CodeOrigin("abc", {}))
    writer.put(0, 0, code)
    writer.close()
    reader = CodeReader(tmp_path / "codes")
    assert reader.get(0, 0).ws.any()
    with pytest.raises(InputUnreadable, match="face 0 of frame 1"):
        reader.get(1, 0)


def put(name: str, value: float) -> Change:
    """A change that writes `value` into the last row of a tensor."""
    return lambda tensors, _: tensors[name][-1:].fill_(value)


def other(name: str, tensor: Callable[[Tensor], Tensor]) -> Change:
    """A change of a whole tensor."""
    return lambda tensors, _: tensors.update({name: tensor(tensors[name])})


def told(name: str, value: str | None) -> Change:
    """A change of the metadata; None removes the entry."""
    return lambda _, metadata: metadata.pop(name) if value is None else metadata.update({name: value})


FORGED: dict[str, Change] = {
    "nan": put("ws", float("nan")),
    "infinite": put("feature", float("inf")),
    "place": put("to_frame", float("nan")),
    "frame": put("frame", -1),
    "twice": lambda tensors, _: (tensors["frame"].fill_(0), tensors["track"].fill_(0)),
    "space": told("space", "another-space"),
    "no space": told("space", None),
    "at": told("at", "77"),
    "at text": told("at", "two"),
    "at digits": told("at", "²"),
    "at long": told("at", "1" * 5000),
    "no at": told("at", None),
    "crop": told("crop", "-64"),
    "huge crop": told("crop", "40000"),
    "settings": told("settings", "[1]"),
    "deep settings": told("settings", '{"a":' * 40000),
    "no settings": told("settings", None),
    "schema": told("schema", "vidinv-codes-9"),
    "older version": told("schema", "vidinv-codes-1"),
    "slots": other("ws", lambda ws: ws[:, :-1]),
    "dim": other("ws", lambda ws: ws[..., :-1]),
    "flat": other("ws", lambda ws: ws.flatten(1)),
    "fewer": other("ws", lambda ws: ws[:-1]),
    "feature": other("feature", lambda feature: feature[:, :-1]),
    "side": other("feature", lambda feature: feature[..., :-1]),
    "type": other("ws", lambda ws: ws.double()),
    "frame type": other("frame", lambda frame: frame.float()),
    "scalar": other("frame", lambda frame: frame[0].clone()),
    "empty": lambda tensors, _: tensors.update({name: tensor[:0] for name, tensor in tensors.items()}),
    "more": lambda tensors, _: tensors.update({"another": torch.zeros(1)}),
    "without": lambda tensors, _: tensors.pop("to_frame"),
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_forged_codes_with_fitting_digests_are_refused(stored: Path, generator: Generator, change: Change) -> None:
    tensors, metadata = contents(stored)
    change(tensors, metadata)
    has_rows = {"frame", "track", "to_frame"} <= tensors.keys() and tensors["frame"].ndim > 0
    rewrite(stored, tensors, metadata, sealed=has_rows and len(tensors["ws"]) == len(tensors["digest"]))
    with pytest.raises(InputUnreadable) as refused:
        read_whole(stored, generator)
    assert "\n" not in str(refused.value) and "vidinv invert" in refused.value.remedy
