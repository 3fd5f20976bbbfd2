"""Write named tensors atomically as a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vidinv.fileio.atomic_write import replacing

if TYPE_CHECKING:
    from torch import Tensor


def write_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: dict[str, str] | None = None,
    *,
    parents: bool = False,
    remedy: str = "",
) -> None:
    """Write `tensors` of any shape and device with their `metadata`; options and errors are those of `replacing`."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file  # it imports torch, which the command line must not do at its start

    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path, parents=parents, remedy=remedy, failures=(SafetensorError,)) as draft:
        save_file(stored, draft, metadata=metadata)
