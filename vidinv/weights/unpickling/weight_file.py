"""Read a checkpoint that somebody hands over, a torch file or a pickle, without running anything and within bounds."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

from torch import Tensor

from vidinv import fileio
from vidinv.errors import WeightsUnavailable
from vidinv.weights.unpickling.machine import BoundedStream, Budget, Dialect, Refused, read_pickle
from vidinv.weights.unpickling.stand_ins import unknown_object
from vidinv.weights.unpickling.tensors import (
    CONSTANTS,
    Pickled,
    constructors,
    read_legacy,
    storage_of_bytes,
    with_tensors,
)
from vidinv.weights.unpickling.torch_archive import Scripted, read_archive

ZIP = b"PK\x03\x04"  # how a file of torch.save begins
LEGACY = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # and one before 1.6: its magic number, pickled
EXTRA = 192 << 20  # bytes that a file may ask for beyond its own size: expanded tensors, compressed members
MOST_NAMED = 100_000  # tensors of one network, those of shared modules counted each time
DEEPEST = 200  # modules inside modules
FOREIGN = {  # first bytes of files that people take for weights, and what they are
    b"<!DO": "a web page, as a download that needs a confirmation leaves it",
    b"<!do": "a web page, as a download that needs a confirmation leaves it",
    b"<htm": "a web page, as a download that needs a confirmation leaves it",
    b"<HTM": "a web page, as a download that needs a confirmation leaves it",
    b"vers": "a Git LFS pointer, which names the file and does not hold it (run: git lfs pull)",
    b"\x1f\x8b\x08": "compressed by gzip (unpack it first: gunzip)",
    b"\x89HDF": "a file of Keras or HDF5, not of PyTorch",
    b"\xfd7zX": "compressed by xz (unpack it first: unxz)",
    b"Rar!": "a RAR archive (unpack it first)",
    b"7z\xbc\xaf": "a 7z archive (unpack it first)",
}


def read_weight_file(path: Path) -> Any:
    """What a file of torch.save or torch.jit.save, new or old, or a pickle holds: plain containers, tensors, arrays.

    A network that was pickled as an object comes as `Pickled`, one of TorchScript as `Scripted` (see `named_tensors`).
    Raises WeightsUnavailable, naming the file, for one that is damaged, hostile or something else.
    """
    try:
        with fileio.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            head = file.read(len(LEGACY))
            file.seek(0)
            budget = Budget(size + EXTRA)
            if head.startswith(ZIP):
                return read_archive(path, budget)
            return _pickled(BoundedStream(file, size), head, budget)
    except Refused as refusal:
        raise unreadable(path.name, head, refusal) from refusal
    except OSError as error:
        raise WeightsUnavailable(
            f"{path} cannot be read: {error.strerror or error}", remedy="check the path"
        ) from error


def read_weight_bytes(content: bytes, name: str) -> Any:
    """As `read_weight_file`, of bytes in memory. Raises WeightsUnavailable, naming `name`."""
    head, budget = content[: len(LEGACY)], Budget(len(content) + EXTRA)
    try:
        if head.startswith(ZIP):
            return read_archive(content, budget)
        return _pickled(BoundedStream(io.BytesIO(content), len(content)), head, budget)
    except Refused as refusal:
        raise unreadable(name, head, refusal) from refusal


def _pickled(stream: BoundedStream, head: bytes, budget: Budget) -> Any:
    """What a pickle, or a torch file before 1.6, holds."""
    if head.startswith(LEGACY):
        return with_tensors(read_legacy(stream, budget))
    table = constructors(budget, storage_of_bytes(budget))
    held = read_pickle(stream, Dialect(table, CONSTANTS, unknown_object, _no_reference), budget)
    return with_tensors(held)


def _no_reference(pid: Any) -> Any:
    raise Refused("it refers to something outside itself")


def unreadable(name: str, head: bytes, refusal: Refused) -> WeightsUnavailable:
    """The error for a file that begins with `head` and was refused."""
    for begin, what in FOREIGN.items():
        if head.startswith(begin):
            return WeightsUnavailable(f"{name} is {what}", remedy="give the checkpoint itself")
    asks = str(refusal).startswith("it asks for") and "container" in str(refusal)
    remedy = "save its state dict alone, or distrust it" if asks else "fetch it again: it may be cut off or hostile"
    return WeightsUnavailable(f"{name} cannot be read as weights: {refusal}", remedy=remedy)


def named_tensors(network: Pickled | Scripted) -> dict[str, Tensor]:
    """The parameters and buffers of a pickled network and of the modules in it, under dotted names.

    Raises Refused for one that holds itself, or the same modules so often that its names never end.
    """
    named: dict[str, Tensor] = {}
    pending: list[tuple[str, Any, int]] = [("", network, 0)]
    visited = 0
    while pending:
        prefix, here, depth = pending.pop()
        visited += 1
        if depth > DEEPEST or len(named) > MOST_NAMED or visited > MOST_NAMED:
            raise Refused("it holds a network without end")
        own, inner = _parts(here)
        named.update({f"{prefix}{name}": value for name, value in own.items()})
        pending.extend((f"{prefix}{name}.", module, depth + 1) for name, module in reversed(inner.items()))
    return named


def _parts(network: Pickled | Scripted) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the modules of one module, by name."""
    if isinstance(network, Scripted):
        attributes = network.attributes
        own = {name: value for name, value in attributes.items() if isinstance(value, Tensor)}
        return own, {name: value for name, value in attributes.items() if isinstance(value, Scripted)}
    own = {}
    for kind in ("_parameters", "_buffers"):
        entries = network.get(kind)
        if isinstance(entries, dict):
            own.update({str(name): value for name, value in entries.items() if isinstance(value, Tensor)})
    modules = network.get("_modules")
    inner = modules.items() if isinstance(modules, dict) else ()
    return own, {str(name): module for name, module in inner if isinstance(module, Pickled)}
