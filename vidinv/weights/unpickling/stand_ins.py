"""Our own constructors for what weight files hold beside tensors: containers, numbers and arrays of numpy.

No function of numpy is called with a file's description of a type or its state: a type is one of TYPES by its plain
name, a shape is checked against the bytes that are there, and the array is then made by `numpy.frombuffer`.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from vidinv.frames import Array
from vidinv.weights.unpickling.machine import Constructor, Opaque, Refused, Settable, Symbol, asks_for

TYPES = frozenset(
    f"{kind}{size}" for kind, sizes in {"f": "248", "i": "1248", "u": "1248", "b": "1"}.items() for size in sizes
)
MOST_AXES = 8


class TypeStandIn(Settable):
    """A plain numeric type of numpy, by its name: `dtype` is made of our own list, never of a file's state."""

    def __init__(self, name: Any, align: Any = False, copy: Any = True) -> None:
        if not isinstance(name, str) or name.lstrip("<>=|") not in TYPES:
            raise Refused(f"it holds an array of {name if isinstance(name, str) else 'an odd type'}")
        self.name = name.lstrip("<>=|")
        self.order = "<" if name[:1] not in "<>" else name[:1]

    def set_state(self, state: Any) -> TypeStandIn:
        """A pickled type's state: version, byte order, and nothing that a structured type would have."""
        if not isinstance(state, tuple) or len(state) < 5 or any(part not in (None, -1, 0) for part in state[2:]):
            raise Refused("it holds an array of a structured type")
        if state[1] not in ("<", ">", "=", "|"):
            raise Refused("it holds an array of an unknown byte order")
        self.order = "<" if state[1] in "=|" else state[1]
        return self

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(self.order + self.name)


class ArrayStandIn(Settable):
    """An array of numpy before its state is known."""

    def set_state(self, state: Any) -> Array:
        """The array [*shape] of (version, shape, type, is in Fortran order, bytes)."""
        if not isinstance(state, tuple) or len(state) != 5:
            raise Refused("it holds an array of an unknown form")
        _, shape, kind, fortran, content = state
        return array_of(content, kind, shape, "F" if fortran else "C")


def array_of(content: Any, kind: Any, shape: Any, order: Any = "C") -> Array:
    """An array over the bytes `content`. Raises Refused where type, shape and bytes do not go together."""
    if isinstance(content, str):  # how Python 2 pickled bytes
        content = content.encode("latin-1")
    if not isinstance(content, bytes) or not isinstance(kind, TypeStandIn) or order not in ("C", "F", "A"):
        raise Refused("it holds an array of something other than numbers")
    sizes = plain_shape(shape)
    if math.prod(sizes) * kind.dtype.itemsize != len(content):
        raise Refused(f"it holds an array of {sizes} in {len(content)} bytes")
    return np.frombuffer(content, kind.dtype).reshape(sizes, order="F" if order == "F" else "C")


def plain_shape(shape: Any) -> tuple[int, ...]:
    """A shape of few, non-negative whole numbers. Raises Refused for anything else."""
    sizes = (shape,) if isinstance(shape, int) and not isinstance(shape, bool) else shape
    if not isinstance(sizes, (tuple, list)) or len(sizes) > MOST_AXES:
        raise Refused("it holds an array of an odd shape")
    if not all(isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 48 for size in sizes):
        raise Refused("it holds an array of an odd shape")
    if math.prod(size or 1 for size in sizes) >= 1 << 48:  # numpy and torch multiply sizes though one of them is 0
        raise Refused("it holds an array of an odd shape")
    return tuple(sizes)


class Attributes(dict[str, Any], Settable):
    """An object whose attributes become the entries of a dict."""

    def set_state(self, state: Any) -> Attributes:
        if isinstance(state, dict):
            self.update({key: value for key, value in state.items() if isinstance(key, str)})
        return self


def _reconstruct(kind: Any, shape: Any, code: Any) -> ArrayStandIn:
    if kind != Symbol("numpy", "ndarray"):
        raise Refused(f"it holds an array of the class {kind}")
    return ArrayStandIn()


def _scalar(kind: Any, content: Any = b"") -> Any:
    return array_of(content, kind, ()).item()


def _latin1(text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise Refused("it holds text in an odd encoding")
    return text.encode("latin-1")


def _pairs(values: Any = ()) -> OrderedDict[Any, Any]:
    made: OrderedDict[Any, Any] = OrderedDict()
    for key, value in values.items() if isinstance(values, dict) else values:
        if not isinstance(key, (str, bytes, int)):
            raise Refused("it has a key that is no text")
        made[key] = value
    return made


def _few(values: Any = ()) -> tuple[Any, ...]:
    """The members of a small set: hashes of numbers can be chosen, and thousands that collide take for ever."""
    members = tuple(values)
    if len(members) > 1000 or not all(isinstance(each, (str, bytes, int, float, bool, type(None))) for each in members):
        raise Refused("it holds a large or odd set")
    return members


def _default_dict(factory: Any = None, *rest: Any) -> OrderedDict[Any, Any]:
    return OrderedDict()


def _complex(real: Any = 0.0, imaginary: Any = 0.0) -> complex:
    return complex(float(real), float(imaginary))


def _path(*parts: Any) -> PurePosixPath:
    return PurePosixPath(*(part for part in parts if isinstance(part, str)))


def unknown_object(symbol: Symbol, arguments: tuple[Any, ...]) -> Opaque:
    """A stand-in for an object of an unknown class; Refused for a call of what is named like a function.

    Neither is ever imported. Training files hold settings of many classes beside the weights, which nobody needs; a
    call of `os.system` or `getattr` has no place in one, and says that the file is hostile.
    """
    last = symbol.name.rpartition(".")[2]
    if not last[:1].isupper() and symbol.module.split(".")[0] not in ("datetime", "collections", "enum"):
        raise asks_for(symbol)
    return Opaque(symbol)


_CORES = ("numpy.core", "numpy._core")
CONTAINERS: dict[tuple[str, str], Constructor] = {
    ("collections", "OrderedDict"): _pairs,
    ("collections", "defaultdict"): _default_dict,
    ("builtins", "set"): lambda values=(): set(_few(values)),
    ("builtins", "frozenset"): lambda values=(): frozenset(_few(values)),
    ("__builtin__", "set"): lambda values=(): set(_few(values)),
    ("builtins", "complex"): _complex,
    ("builtins", "bytes"): lambda: b"",
    ("__builtin__", "bytes"): lambda: b"",
    ("builtins", "bytearray"): lambda content=b"", *rest: bytes(content) if isinstance(content, bytes) else b"",
    ("_codecs", "encode"): _latin1,
    ("argparse", "Namespace"): Attributes,
    ("types", "SimpleNamespace"): Attributes,
    ("dnnlib.util", "EasyDict"): lambda *rest: Attributes(),
    ("easydict", "EasyDict"): lambda *rest: Attributes(),
    **{
        (module, name): _path
        for module in ("pathlib", "pathlib._local")
        for name in ("PosixPath", "WindowsPath", "PurePosixPath")
    },
    ("numpy", "dtype"): TypeStandIn,
    **{(f"{core}.multiarray", "_reconstruct"): _reconstruct for core in _CORES},
    **{(f"{core}.multiarray", "scalar"): _scalar for core in _CORES},
    **{
        (f"{core}.numeric", "_frombuffer"): lambda content, kind, shape, order="C": array_of(
            content, kind, shape, order
        )
        for core in _CORES
    },
}
