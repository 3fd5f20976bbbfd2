"""Write and read the codes of a clip's faces in one safetensors file, row by row.

Rows are faces sorted by frame, then track. `ws` [N,L,D] float32, `feature` [N,C,h,w] float16, `to_frame` [N,2,3]
float64 (crop to frame pixel centres), `frame` and `track` [N] int64, `digest` [N,32] uint8. The metadata hold the
latent space, the layer that the feature replaces, the crop's side, and the origin and settings of the codes. A row's
digest is the SHA-256 over the metadata, the shapes and the row, so that rows are written in any order and a changed or
unwritten one is never read. Reader and writer keep only the requested rows in memory.
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
from vidinv.generators.base import Generator

SCHEMA = "vidinv-codes-2"
STORED = {"I64": np.int64, "F64": np.float64, "F32": np.float32, "F16": np.float16, "U8": np.uint8}
MOST_ROWS = 1 << 21  # 19 hours of one face at 30 frames per second
LARGEST_CROP = 4096  # pixels
_CONTENT = ("frame", "track", "to_frame", "ws", "feature")  # what a row's digest covers, in this order
_DIGEST_BYTES = 32
_REMEDY = "make the codes again with `vidinv invert`"


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
            "digest": ("U8", (n, _DIGEST_BYTES)),
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
        self.path, self.rows, self.row_of = path, rows, _index(rows)
        self.described = _description(metadata, {name: shape for name, (_, shape) in shapes.items()})
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
        content = {name: getattr(self.rows, name)[row] for name in ("frame", "track", "to_frame")}
        content |= {"ws": code.ws[0].float().cpu().numpy(), "feature": code.feature[0].half().cpu().numpy()}
        for name in ("ws", "feature"):
            self._write(name, row, content[name])
        self._write("digest", row, np.frombuffer(_row_digest(self.described, content), np.uint8))
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
    """Read codes of single faces from a code file.

    Raises InputUnreadable where the file is not one, where its tensors do not have the shapes above, and where the
    digest of a row that is read differs or its values are not finite. The digests show damage, not who wrote the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.file = fileio.open_tensors(path)
            self.metadata: dict[str, str] = self.file.metadata() or {}
            if self.metadata.get("schema") != SCHEMA:
                raise self._unusable("it does not hold codes of this version")
            self.shapes = self._shapes()
            frame, track, to_frame = (self.file.get_tensor(name).numpy() for name in ("frame", "track", "to_frame"))
        except (OSError, SafetensorError) as error:
            raise InputUnreadable(f"{path} is not a readable code file ({error})", remedy=_REMEDY) from error
        self.described = _description(self.metadata, self.shapes)
        self.crop, self.at = (self._number(name) for name in ("crop", "at"))
        self.space = self.metadata.get("space", "")
        self.rows = CodeRows(frame, track, to_frame, self.crop)
        self.row_of = _index(self.rows)
        self._check_rows()
        self._row(0)  # whose digest covers the metadata
        self.origin = CodeOrigin(self.metadata.get("source", ""), self._settings())

    def __len__(self) -> int:
        return len(self.rows)

    def get(self, frame: int, track: int) -> Code:
        """Return the code [1,...] of one face. Raises KeyError if it is missing."""
        ws, feature = self._row(self.row_of[frame, track])
        return Code(ws, feature, self.at, space=self.space)

    def check_all(self) -> None:
        """Read every row once and check it."""
        for row in range(len(self)):
            self._row(row)

    def check_space(self, space: str, slots: int, dim: int) -> None:
        """Raise InputUnreadable unless the codes belong to the latent space `space` with `slots` rows of `dim`."""
        if self.space != space:
            raise self._unusable(f"it holds codes of the space {self.space!r}, and the generator has {space!r}")
        if self.shapes["ws"][1:] != (slots, dim):
            raise self._unusable(f"its w+ has the shape {self.shapes['ws'][1:]}, and the generator's {(slots, dim)}")

    def check_generator(self, generator: Generator) -> None:
        """Raise InputUnreadable unless `generator` can render the codes: its space, its layer `at` and their shapes."""
        self.check_space(generator.space, generator.num_ws, generator.w_dim)
        if not self.at < len(generator.layers):
            raise self._unusable(f"its feature replaces layer {self.at} of {len(generator.layers)}")
        layer, shape = generator.layers[self.at], self.shapes["feature"][1:]
        if shape != (layer.channels, layer.resolution, layer.resolution):
            raise self._unusable(f"its feature has the shape {shape}, which layer {self.at} does not have")

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor. Raises InputUnreadable for other tensors, types or shapes than a code file has."""
        kinds = dict(zip(_CONTENT, ("I64", "I64", "F64", "F32", "F16"), strict=True)) | {"digest": "U8"}
        if set(self.file.keys()) != set(kinds):
            raise self._unusable("it does not hold the tensors of a code file")
        parts = {name: self.file.get_slice(name) for name in kinds}
        shapes = {name: tuple(part.get_shape()) for name, part in parts.items()}
        n = shapes["frame"][0] if shapes["frame"] else 0
        fixed = {"frame": (n,), "track": (n,), "to_frame": (n, 2, 3), "digest": (n, _DIGEST_BYTES)}
        right = all(parts[name].get_dtype() == kind for name, kind in kinds.items())
        right = right and all(shapes[name] == shape for name, shape in fixed.items())
        right = right and len(shapes["ws"]) == 3 and len(shapes["feature"]) == 4
        if not (right and shapes["ws"][0] == shapes["feature"][0] == n):
            raise self._unusable("its tensors do not have the types and shapes of a code file")
        if not 0 < n <= MOST_ROWS:
            raise self._unusable(f"it holds {n} faces")
        return shapes

    def _number(self, name: str) -> int:
        """A whole number of the metadata, from 0 to LARGEST_CROP."""
        text = self.metadata.get(name, "")
        if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) <= LARGEST_CROP):
            raise self._unusable(f"its {name} is {text[:20]!r}")
        return int(text)

    def _settings(self) -> dict[str, Any]:
        try:
            settings = fileio.parse_json(self.metadata.get("settings", ""))
        except fileio.BadJson as error:
            raise self._unusable("its settings are not JSON") from error
        if not isinstance(settings, dict):
            raise self._unusable("its settings are not JSON")
        return settings

    def _check_rows(self) -> None:
        """Raise InputUnreadable for rows that name a face twice, a negative number, or a transform without size."""
        frame, track, to_frame = self.rows.frame, self.rows.track, self.rows.to_frame
        if len(self.row_of) < len(self.rows) or frame.min() < 0 or track.min() < 0 or self.crop < 1:
            raise self._unusable("its faces are not numbered as those of a clip")
        if not np.isfinite(to_frame).all():
            raise self._unusable("the place of a face is not finite")

    def _row(self, row: int) -> tuple[Tensor, Tensor]:
        """`ws` [1,L,D] and `feature` [1,C,h,w] of a row, float32. Raises InputUnreadable where they are damaged."""
        try:
            ws, feature, digest = (self.file.get_slice(name)[row : row + 1] for name in ("ws", "feature", "digest"))
        except SafetensorError as error:
            raise self._unusable(str(error)) from error
        where = f"face {self.rows.track[row]} of frame {self.rows.frame[row]}"
        content = {name: getattr(self.rows, name)[row] for name in ("frame", "track", "to_frame")}
        content |= {"ws": ws.numpy(), "feature": feature.numpy()}
        if digest.numpy().tobytes() != _row_digest(self.described, content):
            raise self._unusable(f"the code of {where} is damaged or was never written")
        if not (ws.isfinite().all() and feature.isfinite().all()):
            raise self._unusable(f"the code of {where} is not finite")
        return _own(ws), _own(feature)

    def _unusable(self, why: str) -> InputUnreadable:
        return InputUnreadable(f"{self.path} is not a usable code file: {why}", remedy=_REMEDY)


def _own(part: Tensor) -> Tensor:
    return part.float().clone()


def _index(rows: CodeRows) -> dict[tuple[int, int], int]:
    pairs = zip(rows.frame.tolist(), rows.track.tolist(), strict=True)
    return {pair: row for row, pair in enumerate(pairs)}


def _description(metadata: dict[str, str], shapes: dict[str, tuple[int, ...]]) -> bytes:
    """What the digest of every row covers besides the row: the metadata and the shapes."""
    return json.dumps([metadata, {name: list(shape) for name, shape in shapes.items()}], sort_keys=True).encode()


def _row_digest(described: bytes, content: dict[str, Array]) -> bytes:
    """The digest of a row whose values, of the stored types, are `content`."""
    return fileio.sha256_digest([described, *(np.ascontiguousarray(content[name]).tobytes() for name in _CONTENT)])


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
