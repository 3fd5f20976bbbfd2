"""Unpickle tensors, arrays and plain containers without running any code from the file.

Networks that were pickled as objects (StyleGAN2-ADA, StyleGAN3) become `Pickled`: their attributes without code.
"""

from __future__ import annotations

import io
import pickle
import re
import warnings
from collections import OrderedDict
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from vidinv.errors import WeightsUnavailable

ZIP = b"PK\x03\x04"  # first bytes of a torch.save file
LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # of an old one: torch's magic number, pickled


_FOREIGN = re.compile(r"(?:GLOBAL|type|class) ([\w.]+)")  # the name in torch's error for a refused file


class Pickled:
    """A network that was pickled as an object: `state` is its `__dict__`; the pickled source code is ignored."""

    def __init__(self, meta: dict[str, Any]) -> None:
        self.state: dict[str, Any] = meta["state"]

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """Its parameters and buffers, and those of the networks in it, under dotted names."""
        found = {}
        for kind in ("_parameters", "_buffers"):
            own = self.state.get(kind, {}).items()
            found.update({prefix + name: value for name, value in own if isinstance(value, Tensor)})
        for name, inner in self.state.get("_modules", {}).items():
            if isinstance(inner, Pickled):
                found.update(inner.tensors(f"{prefix}{name}."))
        return found


class _Plain(dict[str, Any]):
    """A dict that ignores the attributes set on it."""

    def __setstate__(self, state: object) -> None:
        pass


def _named(name: str, kind: type, **own: Any) -> type:
    """Create a class of the given dotted name, based on a plain `kind`, that stands in for a class of the file."""
    module, _, last = name.rpartition(".")
    return type(last, (kind,), own | {"__module__": module, "__qualname__": last})


def _take(self: dict[str, Any], state: object) -> None:
    """Store the pickled attributes as dict entries."""
    if isinstance(state, dict):
        self.update(state)


NAMESPACE = _named("argparse.Namespace", dict, __setstate__=_take)  # a training's arguments, as a dict
PATHS = tuple(  # path classes, which hold strings alone
    _named(f"{module}.{name}", kind)
    for module in ("pathlib", "pathlib._local")
    for name, kind in (("PosixPath", PurePosixPath), ("WindowsPath", PureWindowsPath))
)


def _storage(content: bytes) -> Any:
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _latin1(text: str, encoding: str) -> bytes:
    return text.encode(encoding)


_RECONSTRUCT = np._core.multiarray._reconstruct  # type: ignore[attr-defined]
_SCALAR = np._core.multiarray.scalar  # type: ignore[attr-defined]


def _old_scalar(kind: Any, content: Any) -> Any:
    return _SCALAR(kind, content)


_old_scalar.__module__, _old_scalar.__qualname__ = "numpy.core.multiarray", "scalar"  # its name before numpy 2
_ALLOWED: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("builtins", "frozenset"): frozenset,
    ("builtins", "complex"): complex,
    ("_codecs", "encode"): _latin1,
    **{(kind.__module__, kind.__qualname__): kind for kind in (NAMESPACE, *PATHS)},
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("torch", "Size"): torch.Size,
    ("torch", "device"): torch.device,
    ("torch.storage", "_load_from_bytes"): _storage,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    ("torch_utils.persistence", "_reconstruct_persistent_obj"): Pickled,
    ("dnnlib.util", "EasyDict"): _Plain,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _RECONSTRUCT for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _SCALAR for core in ("core", "_core")},
    **{("torch", str(kind).removeprefix("torch.")): kind for kind in (torch.float16, torch.float32, torch.float64)},
}


# Globals that torch's own reader may use besides tensors and containers: the same, and numpy scalars.
_BESIDE = [
    NAMESPACE,
    *PATHS,
    _SCALAR,
    _old_scalar,
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8", "bool")),
]


class _Foreign(Exception):
    """A pickle refers to a global that is not allowed."""


class Unpickler(pickle.Unpickler):
    """Unpickler that builds the allowed types and raises for any other; call it through `guarded`."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise _Foreign(f"{module}.{name}")
        return _ALLOWED[module, name]


def unpickle(file: BinaryIO, name: str) -> Any:
    """Read a pickle. Raises WeightsUnavailable, naming `name`, if it is truncated or refers to other globals."""
    return guarded(Unpickler(file), name)


def guarded(unpickler: Unpickler, name: str) -> Any:
    """Run an unpickler. Raises WeightsUnavailable, naming `name`, as `unpickle` does."""
    try:
        return unpickler.load()
    except _Foreign as error:
        raise _forbidden(name, str(error)) from error
    except Exception as error:  # a damaged pickle can raise any error while it is built
        raise unreadable(name, error) from error


def load_restricted(path: Path) -> Any:
    """Load a torch.save file (old or new format) or a pickle on the CPU.

    Raises WeightsUnavailable, naming the file, if it is truncated, of another format, or refers to anything other than
    tensors and plain containers.
    """
    try:
        with path.open("rb") as file:
            head = file.read(len(LEGACY))
            if not head.startswith((ZIP, LEGACY)):
                file.seek(0)
                return unpickle(file, path.name)
        return _torch_file(path, mapped=head.startswith(ZIP))
    except OSError as error:
        raise WeightsUnavailable(
            f"{path} cannot be read: {error.strerror or error}", remedy="check the path"
        ) from error


def _torch_file(path: Path, mapped: bool) -> Any:
    """Load with torch; `mapped` reads tensors from disk on use, which the new format allows."""
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(_BESIDE):
            warnings.simplefilter("ignore")  # torch warns about unusual tensors, which are refused later
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except OSError:
        raise
    except Exception as error:  # as above
        if found := _FOREIGN.search(str(error)):
            raise _forbidden(path.name, found[1]) from error
        raise unreadable(path.name, error) from error


def _forbidden(name: str, what: str) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"{name} refers to {what}, which is neither a tensor nor a plain container; no code of it was run",
        remedy="save its state dict alone; do not use the file if you do not trust its source",
    )


def unreadable(name: str, error: Exception) -> WeightsUnavailable:
    """Return the error for a file that is damaged or does not hold tensors."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0][:120]
    return WeightsUnavailable(
        f"{name} cannot be read as tensors ({line})", remedy="download it again: it may be truncated"
    )
