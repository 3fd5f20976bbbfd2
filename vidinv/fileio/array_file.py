"""Read the arrays of an .npz file within bounds; nothing is unpickled."""

from __future__ import annotations

import ast
import io
import math
import re
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MOST_BYTES = 1 << 28  # of all arrays of a file together
LONGEST_HEADER = 10_000  # bytes
_PLAIN = re.compile(r"[<>|=]?[biufSU]\d{1,6}")  # types of numbers, bytes and text
_FAILURES = (OSError, ValueError, KeyError, IndexError, TypeError, EOFError, SyntaxError, RuntimeError, MemoryError)


class BadArrays(ValueError):
    """A file is not an .npz of plain arrays, or it is over the limit; the message is one line."""


def load_arrays(source: Path | bytes) -> dict[str, NDArray[np.generic]]:
    """Every array of an .npz file, or of its bytes, by name.

    Raises BadArrays, also where the arrays would take more than MOST_BYTES.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(source) if isinstance(source, bytes) else source) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > MOST_BYTES:
                raise BadArrays("its arrays are too large")
            found = {}
            for member in members:
                with archive.open(member) as stream:
                    found[member.filename.removesuffix(".npy")] = _read_array(stream.read())
            return found
    except BadArrays:
        raise
    except (*_FAILURES, zipfile.BadZipFile, zlib.error) as error:
        raise BadArrays("it is not a file of arrays") from error


def _read_array(data: bytes) -> NDArray[np.generic]:
    """The array of an .npy file, whose size must follow from its header. Raises what `_FAILURES` names."""
    if data[:6] != b"\x93NUMPY" or data[6] not in (1, 2):
        raise BadArrays("a member is not an array")
    start = 10 if data[6] == 1 else 12
    content = start + int.from_bytes(data[8:start], "little")
    if content - start > LONGEST_HEADER:
        raise BadArrays("the header of an array is too long")
    header = ast.literal_eval(data[start:content].decode("latin-1").strip())
    kind, shape = header["descr"], header["shape"]
    if header["fortran_order"] is not False or not isinstance(kind, str) or not _PLAIN.fullmatch(kind):
        raise BadArrays("an array has another type or order")
    if not isinstance(shape, tuple) or not all(type(side) is int and 0 <= side <= MOST_BYTES for side in shape):
        raise BadArrays("an array has another shape")
    if math.prod(shape) * np.dtype(kind).itemsize != len(data) - content:
        raise BadArrays("an array has another size than its header says")
    return np.frombuffer(data, np.dtype(kind), offset=content, count=math.prod(shape)).reshape(shape).copy()
