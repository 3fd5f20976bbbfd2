"""Read direction files of other tools, identified by shape, keys and norms, without running code in them.

Each file gives a step: what its own strength 1 adds to w+, by the rules of the publication's tool.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vidinv import fileio
from vidinv.editing import spaces
from vidinv.errors import InputUnreadable, UsageError, WeightsUnavailable
from vidinv.weights.unpickling.machine import Refused
from vidinv.weights.unpickling.stand_ins import TypeStandIn, array_of
from vidinv.weights.unpickling.weight_file import read_weight_bytes

LARGEST = 1 << 28  # bytes of a file of directions
MOST_NUMBERS = 1 << 24  # in a file; the largest known has 512 directions of 18x512
BARE = ""  # key of the array in a file without keys
NEAR = 1e-2  # tolerance of a unit norm
LONGEST_HEADER = 10_000  # bytes of a .npy file's header, which has some hundred
HEADER = re.compile(
    rb"\{\s*'descr'\s*:\s*'([<>|=]?[fiu]\d)'\s*,\s*'fortran_order'\s*:\s*(True|False)\s*,"
    rb"\s*'shape'\s*:\s*\(([\d\sL,]{0,99})\)\s*,?\s*\}\s*"
)
NUMPY, ZIP, PICKLE = b"\x93NUMPY", b"PK\x03\x04", b"\x80"  # first bytes of the file formats
ARBITRARY = "arbitrary: check it with vidinv directions show"
Arrays = Mapping[str, Tensor]  # by key


@dataclass(frozen=True)
class File:
    """Arrays of a file, float64, and whether torch wrote it; `digest` is its sha256."""

    name: str
    arrays: Arrays
    is_torch: bool
    digest: str

    @property
    def bare(self) -> Tensor | None:
        """Return the array of a file without keys, else None."""
        return self.arrays.get(BARE)

    def __str__(self) -> str:
        shapes = [f"{key} {tuple(array.shape)}".strip() for key, array in self.arrays.items()]
        return f"{self.name}, {', '.join(shapes)}"


@dataclass(frozen=True)
class DirectionFormat:
    """A published format: `fits` recognises its files, `step` reads a step [D] for every row of w+, or [L,D].

    `step` takes the component's index, which is ignored unless `is_many`. `sign` describes the positive direction.
    """

    holds: str
    fits: Callable[[File], bool]
    step: Callable[[File, int], Tensor]
    sign: str
    is_many: bool = False


def read_arrays(path: Path) -> File:
    """Read the arrays of a numpy or torch file without running code in it.

    Raises InputUnreadable for a missing file, WeightsUnavailable for one that is damaged or holds other objects.
    """
    try:
        content = fileio.read_regular(path, LARGEST)
    except OSError as error:
        raise InputUnreadable(f"cannot read {path}: {error.strerror}", remedy="check the path") from error
    if content.startswith(NUMPY):
        arrays = {BARE: _numpy(content, path)}
    elif content.startswith((ZIP, PICKLE)):
        loaded = read_weight_bytes(content, str(path))
        held = loaded if isinstance(loaded, dict) else {BARE: loaded}
        found = {str(key): value for key, value in held.items() if _is_real(value)}
        _check_count(sum(value.numel() for value in found.values()), path)
        arrays = {key: value.detach().double() for key, value in found.items()}
    else:
        raise WeightsUnavailable(f"{path} is neither a .npy nor a torch file", remedy="give a file of either kind")
    if not arrays or not all(array.isfinite().all() for array in arrays.values()):
        raise WeightsUnavailable(f"{path} does not hold arrays of finite numbers", remedy="download it again")
    return File(path.name, arrays, not content.startswith(NUMPY), fileio.sha256_of_bytes(content))


def format_of(file: File, asked: str | None) -> str:
    """Return the name of the file's format in FORMATS. Raises UsageError if none matches or `asked` is unknown."""
    if asked is not None:
        if asked not in FORMATS:
            raise UsageError(f"unknown --format {asked!r}", remedy=f"choose one of {', '.join(FORMATS)}")
        return asked
    found = [name for name, entry in FORMATS.items() if entry.fits(file)]
    if not found:
        rules = "; ".join(f"{name}: {entry.holds}" for name, entry in FORMATS.items())
        raise UsageError(f"{file} has no known format", remedy=f"give --format ({rules})")
    return found[0]


def step(file: File, named: str, component: int | None) -> Tensor:
    """Return the step [D] in w or [L,D] in w+ of a file of this format, of the component counted from 0.

    Raises UsageError for a file that does not match the format, and for a missing component.
    """
    entry = FORMATS[named]
    if entry.is_many != (component is not None):
        content = "holds many directions" if entry.is_many else "holds one direction"
        remedy = "select one with --component N, from 0" if entry.is_many else "remove --component"
        raise UsageError(f"{file} {content}", remedy=remedy)
    try:
        found = entry.step(file, component or 0)
    except (KeyError, IndexError, ValueError, RuntimeError) as error:
        raise UsageError(f"{file} cannot be read as {named}", remedy=f"{named} holds {entry.holds}") from error
    if found.ndim not in (1, 2) or not 0 < found.norm() < math.inf:
        raise UsageError(f"{file} holds no direction as {named}", remedy=f"{named} holds {entry.holds}")
    return found


def _numpy(content: bytes, path: Path) -> Tensor:
    """The numbers of a .npy file, float64. Its header is matched and not evaluated, as numpy itself would do."""
    wide = content[len(NUMPY) : len(NUMPY) + 1] != b"\x01"  # from version 2 on the header's length has four bytes
    begin = len(NUMPY) + (6 if wide else 4)
    end = begin + int.from_bytes(content[len(NUMPY) + 2 : begin], "little")
    found = HEADER.fullmatch(content[begin:end]) if end - begin <= LONGEST_HEADER else None
    try:
        if found is None:
            raise Refused("its header is not that of an array of numbers")
        kind, fortran, shape = (part.decode("ascii") for part in found.groups())
        sizes = tuple(int(size) for size in shape.replace("L", "").split(",") if size.strip())
        array = array_of(content[end:], TypeStandIn(kind), sizes, "F" if fortran == "True" else "C")
    except (Refused, ValueError) as error:
        raise WeightsUnavailable(
            f"{path} is not a plain array of numbers ({error})", remedy="download it again"
        ) from error
    _check_count(array.size, path)
    return torch.from_numpy(array.astype(np.float64))


def _check_count(numbers: int, path: Path) -> None:
    """Raise WeightsUnavailable for more numbers than any file of directions has; each takes 8 bytes."""
    if numbers > MOST_NUMBERS:
        raise WeightsUnavailable(f"{path} holds {numbers:,} numbers, which no file of directions does")


def _is_real(value: object) -> bool:
    return isinstance(value, Tensor) and not value.is_complex() and value.layout == torch.strided and value.numel() > 0


def _is_unit(rows: Tensor) -> bool:
    """Return whether every vector along the last axis has norm 1."""
    return bool(((rows.norm(dim=-1) - 1).abs() < NEAR).all())


def _is_row(array: Tensor | None) -> bool:
    """Return whether the array is [1,D] with the dimension D of a known space."""
    return array is not None and array.ndim == 2 and len(array) == 1 and array.shape[1] in _dims()


def _dims() -> set[int]:
    return {space.dim for space in spaces.known().values()}


def _dim_of_flat(array: Tensor) -> int:
    """Return D of an array [1, L*D]: that of a space with L*D numbers, else the largest known divisor."""
    count = array.numel()
    exact = [space.dim for space in spaces.known().values() if space.rows * space.dim == count]
    return exact[0] if exact else max(dim for dim in _dims() if count % dim == 0)


def _is_fse(file: File) -> bool:
    array = file.bare
    if array is None or array.ndim != 2 or len(array) != 1 or file.is_torch:
        return False
    rows, rest = divmod(array.shape[1], max(_dims()))
    exact = any(space.rows * space.dim == array.shape[1] for space in spaces.known().values())
    return (exact or (rows > 1 and rest == 0)) and _is_unit(array)


def _is_stit(file: File) -> bool:
    array = file.bare
    if array is None or array.ndim != 2 or len(array) < 2 or array.shape[1] not in _dims():
        return False
    return bool((array - array[0]).abs().max() <= 1e-6 * array.abs().max())


def _is_e4e(file: File) -> bool:
    array = file.bare
    if array is None or not file.is_torch or not _is_unit(array):
        return False
    return _is_row(array) or (array.ndim == 3 and len(array) == 1 and array.shape[2] in _dims())


def _is_interfacegan(file: File) -> bool:
    array = file.bare
    return array is not None and not file.is_torch and _is_row(array) and _is_unit(array)


def _is_ganspace(file: File) -> bool:
    return {"mean", "comp", "std"} <= set(file.arrays)


def _is_sefa(file: File) -> bool:
    found = file.arrays.get("eigvec", file.bare)
    if found is None or found.ndim != 2 or not found.shape[0] == found.shape[1] <= max(_dims()):
        return False
    return _is_unit(found.T) and bool((found.T @ found - torch.eye(len(found)).double()).abs().max() < NEAR)


def _fse(file: File, _: int) -> Tensor:
    flat = file.arrays[BARE]
    return 15 * flat.reshape(-1, _dim_of_flat(flat))


def _stit(file: File, _: int) -> Tensor:
    return file.arrays[BARE] / 2


def _row(file: File, _: int) -> Tensor:
    return file.arrays[BARE].reshape(file.arrays[BARE].shape[1:])  # [1,D] -> [D], [1,L,D] -> [L,D]


def _ganspace(file: File, component: int) -> Tensor:
    rows, spreads = file.arrays["comp"], file.arrays["std"].flatten()
    return rows.reshape(len(spreads), -1)[component] * spreads[component]


def _sefa(file: File, component: int) -> Tensor:
    return file.arrays.get("eigvec", file.arrays.get(BARE, torch.empty(0)))[:, component]


FORMATS = {
    "fse": DirectionFormat("(1, L*D), of norm 1; its strength 1 is 15 times it", _is_fse, _fse, "as its author has it"),
    "stit": DirectionFormat("(L, D), equal rows; strength 1 is half of it", _is_stit, _stit, "+ is older, more of it"),
    "e4e": DirectionFormat("torch (1, D) or (1, L, D), rows of norm 1", _is_e4e, _row, "as its author has it"),
    "interfacegan": DirectionFormat(
        "numpy (1, D), of norm 1", _is_interfacegan, _row, "+ is the boundary's positive side"
    ),
    "ganspace": DirectionFormat(
        "torch mean, comp, std; strength 1 is a std", _is_ganspace, _ganspace, ARBITRARY, is_many=True
    ),
    "sefa": DirectionFormat("eigvec (D, D), a direction a column", _is_sefa, _sefa, ARBITRARY, is_many=True),
}
