"""Write named tensors atomically as a safetensors file, and read handed-over files within bounds."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vidinv.fileio.atomic_write import replacing
from vidinv.fileio.json_data import BadJson, parse_json
from vidinv.fileio.regular_file import open_regular

if TYPE_CHECKING:
    from torch import Tensor

LONGEST_HEADER = 4 << 20  # bytes; the library itself allows 100 MB, which takes minutes and gigabytes to read
MOST_TENSORS = 20_000  # the largest known network has some 2,000


def write_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: dict[str, str] | None = None,
    *,
    overwrite: bool = True,
    parents: bool = False,
    remedy: str = "",
) -> None:
    """Write `tensors` of any shape and device with their `metadata`; options and errors are those of `replacing`."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file  # it imports torch, which the command line must not do at its start

    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path, overwrite=overwrite, parents=parents, remedy=remedy, failures=(SafetensorError,)) as draft:
        save_file(stored, draft, metadata=metadata)


def check_header(path: Path) -> None:
    """Raise SafetensorError where the header of `path` is larger than any known network's, OSError for no regular file.

    The library checks the rest: types, shapes, and that every tensor lies inside the file.
    """
    from safetensors import SafetensorError

    with open_regular(path) as file:
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else 0
        if not 2 <= length <= LONGEST_HEADER:
            raise SafetensorError(f"its header has {length} bytes")
        content = file.read(length)
    try:
        entries = parse_json(content)
    except BadJson as error:
        raise SafetensorError("its header is no JSON") from error
    if not isinstance(entries, dict) or len(entries) > MOST_TENSORS:
        raise SafetensorError(f"it holds more than {MOST_TENSORS:,} tensors")


def open_tensors(path: Path) -> Any:
    """The safetensors file at `path`, open as `safetensors.safe_open` gives it. Raises SafetensorError, OSError."""
    from safetensors import safe_open

    check_header(path)
    with _named_in_utf8(path) as name:
        return safe_open(name, framework="pt")


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Every tensor of the safetensors file at `path` by its name. Raises SafetensorError, OSError."""
    from safetensors.torch import load_file

    check_header(path)
    with _named_in_utf8(path) as name:
        return load_file(name)


@contextmanager
def _named_in_utf8(path: Path) -> Iterator[str]:
    """Yield a UTF-8 name of the file `path`, as the library needs: its own, or that of an open descriptor."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        with path.open("rb") as file:
            yield f"/dev/fd/{file.fileno()}"
        return
    yield str(path)
