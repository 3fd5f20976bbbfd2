"""Write and read the codes of a clip's faces in one safetensors file, row by row.

Rows are faces sorted by frame, then track. `ws` [N,L,D] float32, `feature` [N,C,h,w] float16, `to_frame` [N,2,3]
float64 (crop to frame pixel centres), `frame` and `track` [N] int64. The metadata hold the latent space, the layer that
the feature replaces, the crop's side, and the origin and settings of the codes. Reader and writer keep only the
requested rows in memory.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from torch import Tensor

from vidinv import fileio
from vidinv.errors import InputUnreadable, OutputUnwritable
from vidinv.frames import Array, Code

SCHEMA = "vidinv-codes-1"
STORED = {"I64": np.int64, "F64": np.float64, "F32": np.float32, "F16": np.float16}


@dataclass(frozen=True)
class CodeRows:
    """Faces of the rows: `frame`, `track` [N] int64 and `to_frame` [N,2,3] float64 for a crop of side `crop`."""

    frame: Array
    track: Array
    to_frame: Array
    crop: int

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True)
class CodeOrigin:
    """Origin of codes: the source's sha256, and the settings that determine the codes."""

    source: str
    settings: dict[str, Any]

    def differs_from(self, other: CodeOrigin) -> str | None:
        """Return the first difference as text, or None."""
        if self.source != other.source:
            return "belong to another source"
        for key in sorted(self.settings.keys() | other.settings.keys()):
            here, there = self.settings.get(key), other.settings.get(key)
            if here != there and key == "encoder":
                return "were made with another encoder"
            if here != there:
                return f"were made with {key}={here} and not {there}"
        return None


class CodeWriter:
    """Create `path` at its full size and fill rows in any order; an unfinished file is continued."""

    def __init__(self, path: Path, rows: CodeRows, like: Code, origin: CodeOrigin) -> None:
        if like.feature is None:
            raise ValueError("a code file needs codes with a feature")
        n, (slots, dim), feature = len(rows), like.ws.shape[1:], like.feature.shape[1:]
        shapes = {
            "frame": ("I64", (n,)),
            "track": ("I64", (n,)),
            "to_frame": ("F64", (n, 2, 3)),
            "ws": ("F32", (n, slots, dim)),
            "feature": ("F16", (n, *feature)),
        }
        metadata = {
            "schema": SCHEMA,
            "space": like.space,
            "at": str(like.at),
            "crop": str(rows.crop),
            "source": origin.source,
            "settings": json.dumps(origin.settings, sort_keys=True),
        }
        header, self.layout, size = _layout(shapes, metadata)
        self.path, self.row_of = path, _index(rows)
        fresh = not (path.exists() and path.stat().st_size == size and _starts_with(path, header))
        try:
            self.file = os.open(
                path, os.O_RDWR | os.O_CREAT | fileio.NO_FOLLOW, 0o600
            )  # a face's code is biometric data
            os.fchmod(self.file, 0o600)
            if fresh:
                os.ftruncate(self.file, 0)
                reserve = getattr(os, "posix_fallocate", lambda file, start, length: os.ftruncate(file, length))
                reserve(self.file, 0, size)  # if the system supports it, so that a full disk fails now
                os.pwrite(self.file, header, 0)
        except OSError as error:
            raise OutputUnwritable(
                f"{path} cannot hold {size >> 20} MiB of codes ({error.strerror})", remedy="free some disk space"
            ) from error
        for name in ("frame", "track", "to_frame"):
            kind, offset, _ = self.layout[name]
            os.pwrite(self.file, np.ascontiguousarray(getattr(rows, name), STORED[kind]).tobytes(), offset)

    def put(self, frame: int, track: int, code: Code) -> Code:
        """Store the code [1,...] of one face and return it with the stored precision."""
        row = self.row_of[frame, track]
        assert code.feature is not None
        self._write("ws", row, code.ws[0].float().cpu().numpy())
        self._write("feature", row, code.feature[0].half().cpu().numpy())
        return Code(code.ws.float(), code.feature.half().float(), code.at, space=code.space)

    def sync(self) -> None:
        """Flush the stored rows to disk."""
        os.fsync(self.file)

    def close(self) -> None:
        """Finish the file."""
        os.fsync(self.file)
        os.close(self.file)

    def _write(self, name: str, row: int, value: Array) -> None:
        kind, offset, stride = self.layout[name]
        data = np.ascontiguousarray(value, STORED[kind]).tobytes()
        if len(data) != stride:
            raise ValueError(f"a row of {name} is {stride} bytes, got {len(data)}")
        os.pwrite(self.file, data, offset + row * stride)


class CodeReader:
    """Read codes of single faces from a code file. Raises InputUnreadable if it is not one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = fileio.open_tensors(path)
            self.metadata = self.file.metadata() or {}
        except (OSError, SafetensorError) as error:
            raise InputUnreadable(
                f"{path} is not a readable code file ({error})", remedy="make it with `vidinv invert`"
            ) from error
        if self.metadata.get("schema") != SCHEMA:
            raise InputUnreadable(f"{path} does not hold codes of this version", remedy="make it with `vidinv invert`")
        frame, track, to_frame = (self.file.get_tensor(name).numpy() for name in ("frame", "track", "to_frame"))
        self.rows = CodeRows(frame, track, to_frame, int(self.metadata["crop"]))
        self.origin = CodeOrigin(self.metadata["source"], json.loads(self.metadata["settings"]))
        self.row_of = _index(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, frame: int, track: int) -> Code:
        """Return the code [1,...] of one face. Raises KeyError if it is missing."""
        row = self.row_of[frame, track]
        ws, feature = (self.file.get_slice(name)[row : row + 1] for name in ("ws", "feature"))
        return Code(_own(ws), _own(feature), int(self.metadata["at"]), space=self.metadata["space"])


def _own(part: Tensor) -> Tensor:
    return part.float().clone()


def _index(rows: CodeRows) -> dict[tuple[int, int], int]:
    pairs = zip(rows.frame.tolist(), rows.track.tolist(), strict=True)
    return {pair: row for row, pair in enumerate(pairs)}


Layout = dict[str, tuple[str, int, int]]  # name -> kind, offset in the file, bytes a row


def _layout(shapes: dict[str, tuple[str, tuple[int, ...]]], metadata: dict[str, str]) -> tuple[bytes, Layout, int]:
    """Return the safetensors header with its length prefix, each tensor's layout, and the file's size."""
    entries: dict[str, Any] = {"__metadata__": metadata}
    places: Layout = {}
    end = 0
    for name, (kind, shape) in shapes.items():
        start, end = end, end + math.prod(shape) * np.dtype(STORED[kind]).itemsize
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
        places[name] = (kind, start, (end - start) // shape[0])
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    header = len(text).to_bytes(8, "little") + text
    return header, {name: (kind, len(header) + at, row) for name, (kind, at, row) in places.items()}, len(header) + end


def _starts_with(path: Path, header: bytes) -> bool:
    with path.open("rb") as stream:
        return os.fstat(stream.fileno()).st_size >= len(header) and stream.read(len(header)) == header
