"""Store, load and scale named directions of a latent space."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from vidinv import fileio
from vidinv.editing.spaces import known as known_spaces
from vidinv.errors import UsageError
from vidinv.faces.regions import REGIONS
from vidinv.generators.base import Generator
from vidinv.weights import places

MOST_ROWS = 64  # of w+; StyleGAN at 1024 pixels has 18
FOLDER = Path(__file__).parent.parent / "assets" / "directions"


@dataclass(frozen=True)
class Imported:
    """Origin of a direction published by another tool.

    `native` is the length of the file's own strength 1 along the vector, so our strength 1 is `deviation` / `native`
    of the file's. `is_measured`: `deviation` was computed over the generator's samples; else it equals `native`.
    """

    format: str  # of `published.FORMATS`
    shape: str  # of the file's array, as in "1x9216"
    native: float
    is_measured: bool
    generator: str
    sign: str  # what + does
    sha256: str  # of the file


@dataclass(frozen=True)
class Direction:
    """A direction of one latent space.

    `vector` [D], or [L,D] where the rows of w+ differ, of unit norm; strength s moves the rows first <= l < last of w+
    by s * `deviation` * vector, where `deviation` moves w.n by one standard deviation over the generator's samples, n
    being the attribute's normal (`vector` itself, except for identity-preserving directions: `learn.preserving`).
    `calibration` is the measured effect of strength 1 (for instance {"years": 6.1}).

    If `kind` is "style", the vector [S] covers the generator's style channels (`Generator.styles`, concatenated), most
    of them 0; strength s adds s * `deviation` * vector to them, and `layers` is unused.
    """

    name: str
    vector: Tensor
    deviation: float
    layers: tuple[int, int]
    space: str
    blend: str = "replace"  # residual | replace: what "auto" means for this direction
    region: str = "face"  # of `faces.regions`: where it shows
    kind: str = "w"  # w | style
    calibration: dict[str, float] = field(default_factory=dict)
    leak: dict[str, float] = field(
        default_factory=dict
    )  # effect of strength 1 on other attributes, in standard deviations
    kept: dict[str, float] = field(default_factory=dict)  # by strength ("+1"): ArcFace similarity to the unedited G(w)
    origin: str = ""
    licence: str = ""
    imported: Imported | None = None

    @property
    def digest(self) -> str:
        """Return the sha256 of everything that determines its effect."""
        facts = f"{self.space} {self.layers} {self.deviation!r} {self.blend} {self.region}"
        return fileio.sha256_of_bytes(facts.encode() + self.vector.float().cpu().numpy().tobytes())

    @property
    def is_style(self) -> bool:
        """Return whether it moves style channels."""
        return self.kind == "style"

    @property
    def channels(self) -> list[int]:
        """Return the indices of the style channels that it moves."""
        return self.vector.nonzero().flatten().tolist() if self.is_style else []

    def style_offset(self, strength: float) -> Tensor:
        """Return the offset [S] of the style channels at a strength. Raises ValueError for another kind."""
        if not self.is_style:
            raise ValueError(f"{self.name!r} moves {self.kind}, not style channels")
        return strength * self.deviation * self.vector

    def offset(self, strength: float, slots: int) -> Tensor:
        """Return the offset [L,D] of w+ at a strength. Raises ValueError for a style direction."""
        if self.is_style:
            raise ValueError(f"{self.name!r} moves style channels, not w+")
        rows = torch.zeros(slots, 1)
        rows[self.layers[0] : self.layers[1]] = 1
        return rows * (strength * self.deviation) * self.vector


def of_vector(name: str, vector: Tensor, layers: tuple[int, int], generator: Generator, *, origin: str) -> Direction:
    """Return an uncalibrated direction along a unit vector [D] or [L,D], with strength 1 by `spread`."""
    return Direction(name, vector, spread(vector, layers, generator), layers, generator.space, origin=origin)


def spread(vector: Tensor, layers: tuple[int, int], generator: Generator) -> float:
    """Return the step along the vector [D] or [L,D] on these rows that moves w+ . vector by one standard deviation.

    All rows of a sample's w+ equal its w, so with V the sum of the rows it is the deviation of w.V over |rows|^2; for a
    unit vector [D] it is the deviation of w.vector. Raises UsageError if the rows cancel each other out.
    """
    rows = vector.expand(generator.num_ws, -1).double()[layers[0] : layers[1]]  # [l,D]
    found = float((generator.sample(10_000, seed=13).double().cpu() @ rows.sum(0)).std() / rows.square().sum())
    if not found > 1e-4:
        raise UsageError("the generator's samples do not vary along this direction", remedy="give other rows")
    return found


def of_step(name: str, step: Tensor, space: str, rows: tuple[int, int] | None, facts: Imported) -> Direction:
    """Return the direction whose strength 1 is `step` [L,D] on the rows of w+ (default: all rows that it moves).

    Identical rows become one vector [D]. `facts.native` is filled in. Raises UsageError for a zero step.
    """
    moved = step.abs().amax(1).nonzero().flatten().tolist()
    first, last = rows or (moved[0], moved[-1] + 1)
    kept = step.double()[first:last]
    if not kept.norm() > 0:
        raise UsageError(f"the file moves nothing on rows {first}-{last - 1}", remedy="give other --rows")
    if (kept - kept[0]).abs().max() <= 1e-6 * kept.abs().max():
        vector, native = kept[0] / kept[0].norm(), float(kept[0].norm())
    else:
        whole = torch.zeros_like(step, dtype=torch.float64)
        whole[first:last] = kept
        vector, native = whole / whole.norm(), float(whole.norm())
    found = replace(facts, native=native)
    return Direction(name, vector.float(), native, (first, last), space, imported=found)


def rescale_imported(direction: Direction, generator: Generator) -> Direction:
    """Return an imported direction with strength 1 by `spread` over the generator's samples."""
    assert direction.imported is not None
    found = spread(direction.vector, direction.layers, generator)
    return replace(direction, deviation=found, imported=replace(direction.imported, is_measured=True))


def facts(direction: Direction) -> dict[str, Any]:
    """Return a direction's fields except the vector, for JSON."""
    return _stored(direction) | {"channels": direction.channels}


def _stored(direction: Direction) -> dict[str, Any]:
    """Return the fields of a direction that are stored in its file's header."""
    return {key: value for key, value in asdict(direction).items() if key != "vector"}


def random_control(like: Direction, seed: int) -> Direction:
    """Return a random direction with the length and rows of `like`, as its control."""
    vector = torch.randn(like.vector.shape, generator=torch.Generator().manual_seed(seed))
    return replace(like, name="random", vector=vector / vector.norm() * like.vector.norm())


def own_folder() -> Path:
    """Return the folder of the user's own directions, in the weights cache."""
    return places.root() / "directions"


def names(space: str) -> list[str]:
    """List the available directions of a latent space, shipped and the user's own, sorted by name."""
    return sorted(_files(space))


def shipped_names(space: str) -> list[str]:
    """List the shipped directions of a latent space, sorted by name."""
    return sorted(path.stem for path in (FOLDER / space).glob("*.safetensors"))


def load_direction(name: str, space: str) -> Direction:
    """Load the named direction of `space`. Raises UsageError with similar names if it does not exist."""
    known = _files(space)
    if name not in known:
        raise unknown_direction_error(name, list(known), space)
    return read_direction(known[name])


def _files(space: str) -> dict[str, Path]:
    """Return every direction's file by name; a shipped direction has priority over the user's of the same name."""
    found = [path for folder in (own_folder(), FOLDER) for path in (folder / space).glob("*.safetensors")]
    return {path.stem: path for path in found}


def names_of_other_spaces(space: str) -> dict[str, str]:
    """Return the user's own directions of other latent spaces: name -> space."""
    found = sorted(own_folder().glob("*/*.safetensors"))
    return {path.stem: path.parent.name for path in found if path.parent.name != space}


def unknown_direction_error(name: str, known: list[str], space: str) -> UsageError:
    """Return the error for a direction that does not exist, or exists for another latent space only."""
    if name in (others := names_of_other_spaces(space)):
        spaces = known_spaces()
        of = spaces.get(others[name], others[name])
        return UsageError(
            f"direction {name!r} belongs to the space {of}, the generator to {spaces.get(space, space)}",
            remedy="use a backend with its generator, or import the file again with this generator's --space",
        )
    near = difflib.get_close_matches(name, known, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return UsageError(f"unknown direction {name!r}", remedy=f"{hint} (vidinv directions list)")


def read_direction(path: Path) -> Direction:
    """Read a direction from its safetensors file. Raises UsageError for any other file."""
    try:
        with fileio.open_tensors(path) as file:
            stored = fileio.parse_json((file.metadata() or {})["direction"])
            if file.get_slice("vector").get_dtype() not in ("F32", "F16", "BF16", "F64"):
                raise ValueError("its vector has another type")
            vector = file.get_tensor("vector").float()
        found = fileio.record_of(Direction, {**stored, "vector": vector} if isinstance(stored, dict) else stored)
        _check_read(found)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        why = f" ({error})" if isinstance(error, ValueError) else ""
        raise UsageError(f"{path} is not a valid direction file{why}", remedy="learn or import it again") from error
    return found


def _check_read(found: Direction) -> None:
    """Raise ValueError where a file's values cannot be those of a direction."""
    (first, last), vector = found.layers, found.vector
    if found.blend not in ("residual", "replace") or found.kind not in ("w", "style") or found.region not in REGIONS:
        raise ValueError(f"it has the kind {found.kind!r}, blend {found.blend!r} and region {found.region!r}")
    if not 0 <= first < last <= MOST_ROWS or not found.deviation > 0:
        raise ValueError(f"it moves the rows {first} to {last - 1} by {found.deviation:g}")
    if vector.ndim not in (1, 2) or not len(vector) or not vector.isfinite().all() or not vector.norm() > 0:
        raise ValueError(f"its vector has the shape {tuple(vector.shape)}, or is not finite")


def new_direction_path(name: str, space: str, out: Path | None, *, overwrite: bool) -> Path:
    """Return the path of a new direction: in `out`, or among the user's own.

    Raises UsageError for an invalid name, or for a shipped direction's name (if `out` is None), and OutputUnwritable
    for an unwritable folder or an existing file.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]*", name, re.ASCII):
        raise UsageError(f"{name!r} is not a valid direction name", remedy="use letters, digits, '_' and '.'")
    if out is None and name in shipped_names(space):
        raise UsageError(f"{name} is a shipped direction", remedy="choose another name, or give --out")
    path = (out or own_folder()) / space / f"{name}.safetensors"
    fileio.check_free(path, overwrite=overwrite)
    with fileio.writing(path.parent, remedy="choose another --out"):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_direction(direction: Direction, folder: Path) -> Path:
    """Save a direction as `folder/<space>/<name>.safetensors`. Raises OutputUnwritable."""
    return save_direction(direction, folder / direction.space / f"{direction.name}.safetensors")


def save_direction(direction: Direction, path: Path, *, overwrite: bool = True) -> Path:
    """Save a direction atomically; without `overwrite` no file is replaced. Raises OutputUnwritable."""
    told = {"direction": json.dumps(_stored(direction))}
    where = "choose another --out"
    fileio.write_tensors(path, {"vector": direction.vector}, told, overwrite=overwrite, parents=True, remedy=where)
    return path
