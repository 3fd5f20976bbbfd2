"""Read the tensors of a TorchScript archive (torch.jit.save) without running or parsing its code.

The archive is a zip: `NAME/data.pkl` holds the modules as objects of classes that `NAME/code` defines, and their
tensors point to `NAME/data/{key}`.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidinv.errors import WeightsUnavailable
from vidinv.weights.importers import restricted

MODULES = "__torch__"  # package prefix of the classes of an archive
LISTS = ("build_intlist", "build_doublelist", "build_boollist", "build_tensorlist")
KINDS = {
    f"{name}Storage": kind
    for name, kind in (
        ("Float", torch.float32),
        ("Double", torch.float64),
        ("Half", torch.float16),
        ("BFloat16", torch.bfloat16),
        ("Long", torch.int64),
        ("Int", torch.int32),
        ("Bool", torch.bool),
    )
}


class Scripted:
    """A scripted module: its tensors and submodules by name."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.state = state

    def tensors(self, prefix: str = "") -> dict[str, Tensor]:
        """Return the parameters and buffers of the module and its submodules under dotted names."""
        found = {}
        for name, value in self.state.items():
            if isinstance(value, Tensor):
                found[prefix + name] = value
            elif isinstance(value, Scripted):
                found.update(value.tensors(f"{prefix}{name}."))
        return found


class _Unpickler(restricted.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(archive.open(f"{folder}/data.pkl"))
        self.archive, self.folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == MODULES:
            return Scripted
        if module == "torch" and name in KINDS:
            return KINDS[name]
        if module == "torch.jit._pickle" and name in LISTS:
            return list
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        _, kind, key, _, _ = pid
        content = self.archive.read(f"{self.folder}/data/{key}")
        raw = torch.frombuffer(bytearray(content), dtype=torch.uint8).untyped_storage()
        return torch.storage.TypedStorage(wrap_storage=raw, dtype=kind, _internal=True)


def is_archive(path: Path) -> bool:
    """Return whether a file is a zip archive with code, as torch.jit.save writes it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def load_script(path: Path) -> dict[str, dict[str, Tensor]]:
    """Read the state of the network in an archive, under the single name "".

    Raises WeightsUnavailable, naming the file, if it is damaged or refers to anything other than tensors and modules.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            folder = next(name.split("/")[0] for name in archive.namelist() if name.endswith("/data.pkl"))
            held = restricted.guarded(_Unpickler(archive, folder), path.name)
            return {"": held.tensors()}
    except WeightsUnavailable:
        raise
    except Exception as error:  # as in `restricted`: a damaged archive can raise any error
        raise restricted.unreadable(path.name, error) from error
