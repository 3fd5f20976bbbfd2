"""Stored codes that somebody changed: with the digests of before, or with digests that fit the changed content."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

COVERED = ("frame", "track", "to_frame", "ws", "feature")


def contents(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and the metadata of a code file."""
    with safe_open(path, "pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())  # noqa: SIM118


def rewrite(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], *, sealed: bool) -> None:
    """Write a code file; `sealed`: with the digest of every row that its content has, as docs/security.md says."""
    tensors = {name: tensor.contiguous() for name, tensor in tensors.items()}
    if sealed:
        shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
        head = json.dumps([metadata, shapes], sort_keys=True).encode()
        for row in range(len(tensors["digest"])):
            data = b"".join(tensors[name][row].numpy().tobytes() for name in COVERED)
            tensors["digest"][row] = torch.tensor(list(hashlib.sha256(head + data).digest()), dtype=torch.uint8)
    save_file(tensors, path, metadata)
