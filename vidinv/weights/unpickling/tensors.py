"""Tensors of torch's files: storages whose bytes are in the file, and views that are checked before they are made."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vidinv.weights.unpickling.machine import (
    BoundedStream,
    Budget,
    Constructor,
    Dialect,
    Refused,
    Symbol,
    read_pickle,
)
from vidinv.weights.unpickling.stand_ins import CONTAINERS, Attributes, plain_shape, unknown_object

DTYPES = {
    "Float": torch.float32,
    "Double": torch.float64,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
    "QInt8": torch.int8,
    "QUInt8": torch.uint8,
    "QInt32": torch.int32,
}
STORAGES = {("torch", f"{name}Storage"): dtype for name, dtype in DTYPES.items()}
CONSTANTS: dict[tuple[str, str], Any] = {
    **STORAGES,
    **{("torch", str(dtype).removeprefix("torch.")): dtype for dtype in DTYPES.values()},
    ("torch", "per_tensor_affine"): None,
}
MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001  # of torch's files before 1.6
MOST_STORAGES = 100_000
_TYPED = Symbol("torch._tensor", "_rebuild_from_type_v2")


@dataclass
class Storage:
    """The numbers [N] that tensors look at; `values` is None until the file's bytes are read."""

    dtype: torch.dtype
    count: int
    values: Tensor | None = None


@dataclass(frozen=True)
class View:
    """A tensor as the file describes it: `shape` and `stride` over a storage from `offset` on."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def tensor(self) -> Tensor:
        """The tensor itself, over the storage's memory."""
        assert self.storage.values is not None, "the storage is read before its tensors are made"
        return self.storage.values.as_strided(self.shape, self.stride, self.offset)


@dataclass(frozen=True)
class OddTensor:
    """A tensor that is sparse or quantised, of which nothing but its `kind` is read."""

    kind: str


class Pickled(Attributes):
    """A network that was pickled as an object with its source; the source is never looked at."""

    @property
    def state(self) -> dict[str, Any]:
        return self


def rebuilt(budget: Budget) -> Constructor:
    """The constructor of a tensor's view, which charges `budget` with the elements that it shows."""

    def rebuild(storage: Any, offset: Any, shape: Any, stride: Any, *rest: Any) -> View:
        if not isinstance(storage, Storage):
            raise Refused("it holds a tensor without numbers")
        sizes, steps = plain_shape(shape), plain_shape(stride)
        (first,) = plain_shape(offset)
        if len(sizes) != len(steps):
            raise Refused("it holds a tensor of an odd shape")
        count = 1
        for size in sizes:
            count *= size
        last = first + sum((size - 1) * step for size, step in zip(sizes, steps, strict=True)) if count else first
        if last >= storage.count + (count == 0):
            raise Refused("it holds a tensor that reaches beyond its numbers")
        if count > storage.count:  # repeated along an axis of stride 0: a copy takes more than the file has
            budget.charge(count * storage.dtype.itemsize)
        return View(storage, first, sizes, steps)

    return rebuild


def _sparse(layout: Any, data: Any) -> OddTensor:
    return OddTensor(f"{layout if isinstance(layout, str) else 'sparse'} numbers")


def _quantized(*described: Any) -> OddTensor:
    return OddTensor("quantized numbers")


def _parameter(data: Any, *rest: Any) -> Any:
    return data


def _persistent_object(meta: Any) -> Pickled:
    made = Pickled()
    made.set_state(meta.get("state"))
    return made


def constructors(budget: Budget, load_storage: Constructor) -> dict[tuple[str, str], Constructor]:
    """Everything that a file of tensors may hold; `load_storage` reads one that is pickled as bytes."""

    def typed(function: Any, kind: Any, arguments: Any, state: Any) -> Any:
        """A tensor that was given attributes of its own, which are dropped."""
        if not isinstance(function, Symbol) or not function.name.startswith("_rebuild_") or function == _TYPED:
            raise Refused("it holds a tensor of an unknown class")
        return table[function.module, function.name](*arguments)

    table: dict[tuple[str, str], Constructor] = {
        **CONTAINERS,
        ("torch", "Size"): lambda sizes=(): plain_shape(tuple(sizes)),
        ("torch", "device"): lambda *name: "cpu",
        ("torch._utils", "_rebuild_tensor"): rebuilt(budget),
        ("torch._utils", "_rebuild_tensor_v2"): rebuilt(budget),
        ("torch._utils", "_rebuild_sparse_tensor"): _sparse,
        ("torch._utils", "_rebuild_sparse_csr_tensor"): _sparse,
        ("torch._utils", "_rebuild_qtensor"): _quantized,
        ("torch.serialization", "_get_layout"): lambda name: str(name).removeprefix("torch."),
        ("torch._utils", "_rebuild_parameter"): _parameter,
        ("torch._utils", "_rebuild_parameter_with_state"): _parameter,
        ("torch.nn.parameter", "Parameter"): _parameter,
        (_TYPED.module, _TYPED.name): typed,
        ("torch.storage", "_load_from_bytes"): load_storage,
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent_object,
        ("torch.jit._pickle", "build_intlist"): list,
        ("torch.jit._pickle", "build_doublelist"): list,
        ("torch.jit._pickle", "build_boollist"): list,
        ("torch.jit._pickle", "build_tensorlist"): list,
        ("torch.jit._pickle", "restore_type_tag"): _parameter,
    }
    return table


def described_storage(pid: Any, known: dict[str, Storage], budget: Budget) -> Storage:
    """The storage of a persistent id ("storage", type, key, device, count[, view]), each key once."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] not in ("storage", b"storage"):
        raise Refused("it refers to what is no storage")
    kind, key, count = pid[1], pid[2], pid[4]
    if not isinstance(kind, torch.dtype) or not isinstance(key, str):
        raise Refused(f"it holds numbers of the type {kind if isinstance(kind, Symbol) else 'unknown'}")
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise Refused("it holds a storage of an odd size")
    if key not in known:
        if len(known) >= MOST_STORAGES:
            raise Refused("it holds too many storages")
        budget.charge(count * kind.itemsize)
        known[key] = Storage(kind, count)
    if (known[key].dtype, known[key].count) != (kind, count):
        raise Refused("it describes one storage in two ways")
    return known[key]


def read_legacy(stream: BoundedStream, budget: Budget, *, nested: bool = False) -> Any:
    """What a torch file before 1.6 holds, its tensors as `View`s. Raises Refused.

    It is a row of pickles (magic number, protocol, machine, the object, the keys of its storages) and then each
    storage's count and bytes.
    """
    empty = Dialect({}, {}, unknown_object, _no_reference)
    if read_pickle(stream, empty, budget) != MAGIC or read_pickle(stream, empty, budget) != PROTOCOL:
        raise Refused("it is no file of torch")
    machine = read_pickle(stream, empty, budget)
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise Refused("it was written by a machine of another byte order")
    storages: dict[str, Storage] = {}
    table = constructors(budget, _no_storage if nested else storage_of_bytes(budget))
    dialect = Dialect(table, CONSTANTS, unknown_object, lambda pid: described_storage(pid, storages, budget))
    held = read_pickle(stream, dialect, budget)
    keys = read_pickle(stream, empty, budget)
    if not isinstance(keys, list) or set(map(str, keys)) != set(storages) or len(keys) != len(storages):
        raise Refused("its list of storages is not that of its tensors")
    for key in keys:
        storage, head = storages[str(key)], stream.read(8)
        if len(head) != 8 or struct.unpack("<q", head)[0] != storage.count:
            raise Refused("it is cut off, or a storage is of another size than described")
        content = stream.read(storage.count * storage.dtype.itemsize)
        fill(storage, content)
    return held


def fill(storage: Storage, content: bytes) -> None:
    """Give a storage its numbers, of exactly as many bytes. Raises Refused."""
    if len(content) != storage.count * storage.dtype.itemsize:
        raise Refused("it is cut off: a storage has fewer bytes than described")
    raw = bytearray(content)
    storage.values = torch.frombuffer(raw, dtype=storage.dtype) if raw else torch.empty(0, dtype=storage.dtype)


def storage_of_bytes(budget: Budget) -> Constructor:
    """The constructor of a storage that was pickled alone, as a torch file inside a pickle."""

    def load(content: Any) -> Storage:
        if not isinstance(content, bytes):
            raise Refused("it holds a storage that is none")
        held = read_legacy(BoundedStream(io.BytesIO(content), len(content)), budget, nested=True)
        if not isinstance(held, Storage):
            raise Refused("it holds a storage that is none")
        return held

    return load


def _no_storage(content: Any) -> Any:
    raise Refused("it holds a storage inside a storage")


def _no_reference(pid: Any) -> Any:
    raise Refused("it refers to something outside itself")


def with_tensors(value: Any) -> Any:
    """Replace every `View` and storage in `value`, and in its dicts and lists, by a tensor; each container once."""
    done: dict[int, Any] = {}

    def resolved(entry: Any) -> Any:
        if isinstance(entry, View):
            return entry.tensor()
        if isinstance(entry, Storage):
            return entry.values
        if isinstance(entry, tuple):
            return tuple(each.tensor() if isinstance(each, View) else each for each in entry)
        return entry

    pending = [value]
    while pending:
        here = pending.pop()
        if id(here) in done:
            continue
        done[id(here)] = here
        if isinstance(here, dict):
            for key in list(here):
                pending.append(here[key])
                here[key] = resolved(here[key])
        elif isinstance(here, list):
            pending.extend(here)
            here[:] = [resolved(entry) for entry in here]
    return resolved(value)
