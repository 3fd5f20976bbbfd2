"""Load importers by name; an importer converts the members of an archive to a state dict.

An importer module has `VERSION: int` (raise it when its output changes: cached files are then converted again) and
`convert(members: dict[str, bytes]) -> tuple[dict[str, Tensor], dict[str, str]]`, which takes the members' bytes by
catalogue path and returns the tensors and the string metadata of the safetensors file.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import torch


class Importer(Protocol):
    """Interface of an importer module."""

    VERSION: int

    def convert(self, members: dict[str, bytes]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """Return the state dict and the safetensors metadata from the members' bytes by catalogue path."""


def get(name: str) -> Importer:
    """Import the importer module `name`. Raises ModuleNotFoundError if there is none."""
    return cast(Importer, importlib.import_module(f"{__name__}.{name}"))


def version(name: str) -> int:
    """Return an importer's VERSION, read from its source if it is not loaded, so that torch is not imported."""
    full_name = f"{__name__}.{name}"
    if full_name not in sys.modules:
        spec = importlib.util.find_spec(full_name)
        if spec is None:
            raise ModuleNotFoundError(f"no importer {full_name}", name=full_name)
        source = getattr(spec.loader, "get_source", lambda _: None)(full_name)
        for statement in ast.parse(source or "").body:
            match statement:
                case ast.Assign(targets=[ast.Name("VERSION")], value=ast.Constant(int(number))):
                    return number
                case ast.AnnAssign(target=ast.Name("VERSION"), value=ast.Constant(int(number))):
                    return number
    return get(name).VERSION
