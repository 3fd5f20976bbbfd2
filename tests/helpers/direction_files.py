"""Direction files as their publishers write them, made of any vector: what the importer's tests read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch


def fse(path: Path, rows: np.ndarray) -> Path:
    """(1, L*D) float32 of norm 1."""
    np.save(path, (rows / np.linalg.norm(rows)).reshape(1, -1).astype(np.float32))
    return path


def stit(path: Path, vector: np.ndarray, rows: int, norm: float) -> Path:
    """(L, D) float64, rows alike, of this norm each."""
    np.save(path, np.tile(norm * vector / np.linalg.norm(vector), (rows, 1)))
    return path


def interfacegan(path: Path, vector: np.ndarray) -> Path:
    """(1, D) of norm 1."""
    np.save(path, (vector / np.linalg.norm(vector))[None].astype(np.float32))
    return path


def e4e(path: Path, vector: np.ndarray) -> Path:
    """torch, (1, D) or (1, L, D), rows of norm 1."""
    torch.save(torch.from_numpy(vector / np.linalg.norm(vector, axis=-1, keepdims=True))[None].float(), path)
    return path


def ganspace(path: Path, vector: np.ndarray, std: float, at: int, count: int = 5) -> Path:
    """torch: mean (1,D), comp (count,1,D), std (count), with the vector as one component."""
    dim = len(vector)
    comp = _basis(vector)[:count]
    comp[[0, at]] = comp[[at, 0]]
    spreads = torch.arange(count).float() + 10
    spreads[at] = std
    held = {"mean": torch.zeros(1, dim), "comp": torch.from_numpy(comp)[:, None].float(), "std": spreads}
    torch.save(held, path)
    return path


def sefa(path: Path, vector: np.ndarray, at: int) -> Path:
    """torch: eigvec (D,D), orthonormal columns, with the vector as one."""
    columns = _basis(vector).T
    columns[:, [0, at]] = columns[:, [at, 0]]
    torch.save({"ckpt": "whose.pt", "eigvec": torch.from_numpy(columns).float()}, path)
    return path


def _basis(vector: np.ndarray) -> np.ndarray:
    """Orthonormal rows [D,D], the vector's direction first."""
    found, _ = np.linalg.qr(np.column_stack([vector, np.random.default_rng(0).normal(size=(len(vector),) * 2)[:, 1:]]))
    return found.T * np.sign(found[:, 0] @ vector)
