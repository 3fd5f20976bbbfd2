"""The zip files of torch.save and torch.jit.save, read by their own index; the code in them is never looked at.

`NAME/data.pkl` is the pickle, and each storage is the member `NAME/data/KEY`. Members that are stored uncompressed,
as torch always writes them, are mapped into memory and read when they are used.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidinv.weights.unpickling.machine import BoundedStream, Budget, Dialect, Refused, Settable, Symbol, read_pickle
from vidinv.weights.unpickling.stand_ins import unknown_object
from vidinv.weights.unpickling.tensors import (
    CONSTANTS,
    Storage,
    constructors,
    described_storage,
    fill,
    storage_of_bytes,
    with_tensors,
)

LARGEST_PICKLE = 1 << 28  # bytes of `data.pkl`, which has no numbers in it
MOST_MEMBERS = 200_000
COMPRESSED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
ENCRYPTED = 1  # of a member's flags
SCRIPT = "__torch__"  # the package of classes that torch.jit.save makes
_LOCAL_HEADER = 30  # bytes before a member's name; the last four of them are the lengths of name and extra field


class Scripted(Settable):
    """A module of TorchScript: its attributes by name."""

    def __init__(self) -> None:
        self.attributes: dict[str, Any] = {}

    def set_state(self, state: Any) -> Scripted:
        if not isinstance(state, dict):
            raise Refused("it holds a module of an odd form")
        self.attributes = {key: value for key, value in state.items() if isinstance(key, str)}
        return self


def read_archive(source: Path | bytes, budget: Budget) -> Any:
    """What an archive, or its bytes, holds: containers of tensors, or the `Scripted` module of a TorchScript file.

    Raises Refused for a damaged or hostile one, OSError where it cannot be read.
    """
    try:
        with zipfile.ZipFile(source if isinstance(source, Path) else io.BytesIO(source)) as archive:
            return _read(archive, source, budget)
    except (
        zipfile.BadZipFile,
        zlib.error,
        NotImplementedError,
        EOFError,
        KeyError,
        ValueError,
        OverflowError,
        struct.error,
    ) as error:
        raise Refused(f"its zip archive is damaged ({str(error)[:80]})") from error


def _read(archive: zipfile.ZipFile, source: Path | bytes, budget: Budget) -> Any:
    members = {info.filename: info for info in archive.infolist()}
    if len(members) > MOST_MEMBERS or len(members) != len(archive.infolist()):
        raise Refused("its zip archive has too many members, or two of one name")
    if any(info.flag_bits & ENCRYPTED or info.compress_type not in COMPRESSED for info in members.values()):
        raise Refused("its zip archive is encrypted, or compressed in a way that torch does not write")
    folder = next((name[: -len("/data.pkl")] for name in members if name.endswith("/data.pkl")), None)
    if folder is None:
        raise Refused("it is a zip archive, but none that torch has written")
    order = members.get(f"{folder}/byteorder")
    if order is not None and (order.file_size > 16 or archive.read(order).strip() != b"little"):
        raise Refused("it was written by a machine of another byte order")
    if members[f"{folder}/data.pkl"].file_size > LARGEST_PICKLE:
        raise Refused("its list of tensors is larger than that of any known network")
    budget.charge(members[f"{folder}/data.pkl"].file_size)
    content = archive.read(f"{folder}/data.pkl")
    storages: dict[str, Storage] = {}
    table = constructors(budget, storage_of_bytes(budget))
    dialect = Dialect(table, CONSTANTS, _unknown, lambda pid: described_storage(pid, storages, budget))
    held = read_pickle(BoundedStream(io.BytesIO(content), len(content)), dialect, budget)
    for key, storage in storages.items():
        member = members.get(f"{folder}/data/{key}")
        if member is None or member.file_size != storage.count * storage.dtype.itemsize:
            raise Refused("a storage is missing, or of another size than described")
        if isinstance(source, Path) and member.compress_type == zipfile.ZIP_STORED and member.file_size:
            storage.values = _mapped(source, member, storage.dtype)
        else:
            fill(storage, archive.read(member))
    return _resolved(held)


def _unknown(symbol: Symbol, arguments: tuple[Any, ...]) -> Any:
    return Scripted() if symbol.module.split(".")[0] == SCRIPT else unknown_object(symbol, arguments)


def _mapped(path: Path, member: zipfile.ZipInfo, dtype: torch.dtype) -> Tensor:
    """The numbers of a member that is stored as it is, mapped from the file."""
    with path.open("rb") as file:
        file.seek(member.header_offset)
        head = file.read(_LOCAL_HEADER)
        if len(head) < _LOCAL_HEADER or not head.startswith(b"PK\x03\x04"):
            raise Refused("its zip archive is damaged")
        begin = member.header_offset + _LOCAL_HEADER + sum(struct.unpack("<HH", head[26:30]))
        if begin + member.file_size > file.seek(0, io.SEEK_END):
            raise Refused("it is cut off")
    raw = np.memmap(path, np.uint8, mode="c", offset=begin, shape=(member.file_size,))
    if begin % dtype.itemsize:
        raw = raw.copy()
    return torch.from_numpy(raw).view(dtype)


def _resolved(held: Any) -> Any:
    """The held value with tensors in place of views, inside the modules of TorchScript too."""
    pending, seen = [held], set()
    while pending:
        here = pending.pop()
        if not isinstance(here, Scripted) or id(here) in seen:
            continue
        seen.add(id(here))
        here.attributes = with_tensors(here.attributes)
        pending.extend(here.attributes.values())
    return held if isinstance(held, Scripted) else with_tensors(held)
