"""Files that were made to run something, to crash the process, to be waited for, or to fill the memory."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n"


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.command = f"touch {mark}"

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (self.command,)


class Reduced:
    """An object that is pickled as a call of `function` with `arguments`, and with a `state`."""

    def __init__(self, function: Any, arguments: tuple[Any, ...], *state: Any) -> None:
        self.reduced = (function, arguments, *state)

    def __reduce__(self) -> Any:
        return self.reduced


def forged_type(kind: str, offset: int) -> Reduced:
    """A type of numpy with a field of `kind` that its flags hide, or that lies outside the item."""
    state = (3, "|", None, ("a",), {"a": (np.dtype(kind), offset)}, 8, 1, 0)
    return Reduced(np.dtype, ("V8", False, True), state)


def forged_array(kind: str, offset: int = 0) -> Reduced:
    """An array of one element of a forged type."""
    return Reduced(np.ndarray, ((1,), forged_type(kind, offset), b"AAAAAAAA"))


def pickled(value: Any) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(pickle.dumps({"a": value}, 4))


def expanded(path: Path) -> None:
    """A few bytes that are 64 GB when the tensor is copied."""
    torch.save({"decoder.x": torch.zeros(1).expand(1 << 34)}, path)


def bomb(path: Path, *, script: bool = False, gigabytes: int = 2) -> None:
    """A torch file, or one of TorchScript, whose storage is gigabytes of zeros in a few megabytes of deflate."""
    plain = io.BytesIO()
    torch.save({"conv.weight": torch.zeros(4)}, plain)
    with (
        zipfile.ZipFile(plain) as source,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made,
    ):
        for member in source.infolist():
            if not member.filename.endswith("data/0"):
                made.writestr(member.filename, source.read(member))
                continue
            with made.open(member.filename, "w", force_zip64=True) as stream:
                for _ in range(gigabytes * 64):
                    stream.write(bytes(1 << 24))
        if script:
            made.writestr("archive/code/x.py", "pass")


def described_bomb(path: Path, gigabytes: int = 2) -> None:
    """As `bomb`, with a tensor that describes all of these zeros."""
    bomb(path, gigabytes=gigabytes)
    count, stream = gigabytes << 28, io.BytesIO()
    torch.save({"conv.weight": torch.zeros(4)}, stream)
    with zipfile.ZipFile(stream) as source:
        name = next(name for name in source.namelist() if name.endswith("/data.pkl"))
        content = source.read(name)
    number = b"J" + struct.pack("<i", count)
    assert content.count(b"K\x04") == 2  # the storage's size and the tensor's
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(path.with_suffix(".new"), "w", zipfile.ZIP_DEFLATED) as made:
        for member in given.infolist():
            with given.open(member) as source_file, made.open(member.filename, "w", force_zip64=True) as target:
                if member.filename.endswith("/data.pkl"):
                    target.write(content.replace(b"K\x04", number))
                else:
                    shutil.copyfileobj(source_file, target, 1 << 24)
    path.with_suffix(".new").replace(path)


def many_keys(path: Path) -> None:
    """A header of 300,000 empty tensors."""
    entries = {f"t{number}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for number in range(300_000)}
    head = json.dumps(entries).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head)


def laughs(path: Path) -> None:
    """Lists of aliases of lists of aliases: 9^9 elements when they are copied."""
    lines = [
        f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    ]
    path.write_text("a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(lines))


@dataclass(frozen=True)
class HostileFile:
    """A file: how it is made, the command line that is given it as `{}`, and the exit code that it must end with."""

    make: Callable[[Path], object]
    command: tuple[str, ...]
    code: int


IMPORT = ("weights", "import", "{}")
EDIT = ("edit", "{}", "--edit", "age+2", "--backend", "tiny", "-o", "{}.out.png")
BATCH = ("batch", "{}", "--edit", "age+2", "--backend", "tiny", "-o", "{}.out")
FILES = {
    "forged_type.pkl": HostileFile(pickled(Reduced(frozenset, (forged_array("O"),))), IMPORT, 5),
    "forged_array.pkl": HostileFile(pickled(forged_array("O")), IMPORT, 5),
    "field_beyond.pkl": HostileFile(pickled(Reduced(frozenset, (forged_array("f8", 1 << 30),))), IMPORT, 5),
    "memo.pkl": HostileFile(lambda path: path.write_bytes(bytes.fromhex("80025d72ffffff1f2e")), IMPORT, 5),
    "expanded.pt": HostileFile(expanded, IMPORT, 5),
    "bomb.pt": HostileFile(bomb, IMPORT, 5),
    "bomb_script.pt": HostileFile(lambda path: bomb(path, script=True), IMPORT, 5),
    "described_bomb.pt": HostileFile(described_bomb, IMPORT, 5),
    "many_keys.safetensors": HostileFile(many_keys, IMPORT, 5),
    "pipe.pt": HostileFile(os.mkfifo, IMPORT, 5),
    "drawn.png": HostileFile(lambda path: path.write_bytes(POSTSCRIPT + b"0 0 64 64 rectfill showpage\n"), EDIT, 3),
    "endless.png": HostileFile(lambda path: path.write_bytes(POSTSCRIPT + b"{} loop\n"), EDIT, 3),
    "pipe.png": HostileFile(os.mkfifo, EDIT, 3),
    "laughs.yaml": HostileFile(laughs, BATCH, 2),
    "wide_name.csv": HostileFile(lambda path: path.write_text("source,name\na.mp4,{row:09999999999d}\n"), BATCH, 2),
    "environment.yaml": HostileFile(
        lambda path: path.write_text("- {source: a.mp4, crop: '${oc.env:HOME}'}\n"), BATCH, 2
    ),
}
