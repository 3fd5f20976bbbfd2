"""Importers turn the members of an archive into a state dict. One module each, loaded by name when it is needed.

An importer module has `VERSION: int` (raise it when its output changes: cached files are then converted anew) and
`convert(members: dict[str, bytes]) -> tuple[dict[str, Tensor], dict[str, str]]`: from the bytes by catalogue path to
the tensors and the string metadata of the safetensors file.
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
    """What an importer module offers."""

    VERSION: int

    def convert(self, members: dict[str, bytes]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
        """State dict and safetensors metadata from the members' bytes by catalogue path."""


def get(name: str) -> Importer:
    """The importer module `name`. Raises ModuleNotFoundError when there is none."""
    return cast(Importer, importlib.import_module(f"{__name__}.{name}"))


def version(name: str) -> int:
    """The VERSION of an importer, read from its source when it is not loaded, so that torch need not be either."""
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
