"""Named directions: where they are kept, and what a strength means."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vidinv import fileio
from vidinv.editing.spaces import known as known_spaces
from vidinv.errors import OutputUnwritable, UsageError
from vidinv.generators.base import Generator
from vidinv.weights import places

FOLDER = Path(__file__).parent.parent / "assets" / "directions"


@dataclass(frozen=True)
class Imported:
    """Where a direction came from that another tool published.

    `native`: how far along the vector the file's own strength 1 goes, so our strength 1 is `deviation` / `native` of
    the file's own. `is_measured`: `deviation` was taken over the generator's samples; else it is `native` itself.
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
    by s * `deviation` * vector, where `deviation` is what moves w.n by one standard deviation over the generator's
    samples, n being the attribute's normal (`vector` itself, but for directions that were bent to keep the person:
    `learn.preserving`). `calibration` says what strength 1 does in the world, as measured (for instance
    {"years": 6.1}).

    Of `kind` "style" the vector [S] is of the generator's style channels (`Generator.styles`, all layers side by side),
    most of them 0, strength s adds s * `deviation` * vector to them, and `layers` mean nothing.
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
    leak: dict[str, float] = field(default_factory=dict)  # what strength 1 does to others, in standard deviations
    kept: dict[str, float] = field(default_factory=dict)  # by strength ("+1"): ArcFace's likeness of G(w) to itself
    origin: str = ""
    licence: str = ""
    imported: Imported | None = None

    @property
    def digest(self) -> str:
        """sha256 of all that decides what it does."""
        facts = f"{self.space} {self.layers} {self.deviation!r} {self.blend} {self.region}"
        return fileio.sha256_of_bytes(facts.encode() + self.vector.float().cpu().numpy().tobytes())

    @property
    def is_style(self) -> bool:
        """Whether it moves style channels."""
        return self.kind == "style"

    @property
    def channels(self) -> list[int]:
        """The style channels that it moves."""
        return self.vector.nonzero().flatten().tolist() if self.is_style else []

    def style_offset(self, strength: float) -> Tensor:
        """What strength adds to the style channels: [S]."""
        if not self.is_style:
            raise ValueError(f"{self.name!r} moves {self.kind}, no style channels")
        return strength * self.deviation * self.vector

    def offset(self, strength: float, slots: int) -> Tensor:
        """What strength adds to w+: [L,D]."""
        if self.is_style:
            raise ValueError(f"{self.name!r} moves style channels, not w+")
        rows = torch.zeros(slots, 1)
        rows[self.layers[0] : self.layers[1]] = 1
        return rows * (strength * self.deviation) * self.vector


def of_vector(name: str, vector: Tensor, layers: tuple[int, int], generator: Generator, *, origin: str) -> Direction:
    """A direction of a unit vector [D] or [L,D] whose strength 1 is as `spread` has it; not calibrated."""
    return Direction(name, vector, spread(vector, layers, generator), layers, generator.space, origin=origin)


def spread(vector: Tensor, layers: tuple[int, int], generator: Generator) -> float:
    """How far along the vector [D] or [L,D], on these rows, w+ . vector moves by its standard deviation over samples.

    All rows of a sample's w+ are its w, so with V the sum of the rows it is the deviation of w.V over |rows|^2; for a
    unit vector [D] the deviation of w.vector. Raises UsageError where the rows cancel each other out.
    """
    rows = vector.expand(generator.num_ws, -1).double()[layers[0] : layers[1]]  # [l,D]
    found = float((generator.sample(10_000, seed=13).double().cpu() @ rows.sum(0)).std() / rows.square().sum())
    if not found > 1e-4:
        raise UsageError("no sample of the generator lies along this direction", remedy="give other rows")
    return found


def of_step(name: str, step: Tensor, space: str, rows: tuple[int, int] | None, facts: Imported) -> Direction:
    """The direction whose strength 1 is `step` [L,D] on the rows of w+ (all that it moves, if not given).

    Rows that are all alike become one vector [D]. `facts.native` is filled in. Raises UsageError for a step of nothing.
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


def rescaled(direction: Direction, generator: Generator) -> Direction:
    """An imported direction with our own strength 1, as `spread` takes it over the generator's samples."""
    assert direction.imported is not None
    found = spread(direction.vector, direction.layers, generator)
    return replace(direction, deviation=found, imported=replace(direction.imported, is_measured=True))


def facts(direction: Direction) -> dict[str, Any]:
    """What there is to say of a direction, for JSON: all but the vector."""
    return _stored(direction) | {"channels": direction.channels}


def _stored(direction: Direction) -> dict[str, Any]:
    """What a file's header says of a direction."""
    return {key: value for key, value in asdict(direction).items() if key != "vector"}


def random(like: Direction, seed: int) -> Direction:
    """A direction drawn at random that is as long as `like` at every strength and moves the same rows: its control."""
    vector = torch.randn(like.vector.shape, generator=torch.Generator().manual_seed(seed))
    return replace(like, name="random", vector=vector / vector.norm() * like.vector.norm())


def own() -> Path:
    """The folder of the user's own directions, beside the weights."""
    return places.root() / "directions"


def names(space: str) -> list[str]:
    """Directions at hand for a latent space, shipped and the user's own, in order of name."""
    return sorted(_files(space))


def shipped(space: str) -> list[str]:
    """Directions of a latent space that come with vidinv, in order of name."""
    return sorted(path.stem for path in (FOLDER / space).glob("*.safetensors"))


def load_direction(name: str, space: str) -> Direction:
    """The named direction of `space`; UsageError lists the near names when there is none."""
    known = _files(space)
    if name not in known:
        raise unknown(name, list(known), space)
    return read_direction(known[name])


def _files(space: str) -> dict[str, Path]:
    """Every direction's file by its name; a shipped one stands before one's own of the same name."""
    found = [path for folder in (own(), FOLDER) for path in (folder / space).glob("*.safetensors")]
    return {path.stem: path for path in found}


def elsewhere(space: str) -> dict[str, str]:
    """The user's own directions of other latent spaces: name -> space."""
    found = sorted(own().glob("*/*.safetensors"))
    return {path.stem: path.parent.name for path in found if path.parent.name != space}


def unknown(name: str, known: list[str], space: str) -> UsageError:
    """The error for a direction that is not there, or is there for another latent space alone."""
    if name in (others := elsewhere(space)):
        spaces = known_spaces()
        of = spaces.get(others[name], others[name])
        return UsageError(
            f"direction {name!r} is of the space {of}, the generator's is {spaces.get(space, space)}",
            remedy="use a backend with its generator, or import the file with the --space of this one if that fits",
        )
    near = difflib.get_close_matches(name, known, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return UsageError(f"unknown direction {name!r}", remedy=f"{hint} (vidinv directions list)")


def read_direction(path: Path) -> Direction:
    """A direction from its safetensors file; UsageError for a file that is none."""
    try:
        with safe_open(str(path), framework="pt") as file:
            told = json.loads((file.metadata() or {})["direction"])
            vector = file.get_tensor("vector").float()
        imported = told.get("imported")
        told["imported"] = None if imported is None else Imported(**imported)
        return Direction(**{**told, "layers": tuple(told["layers"]), "vector": vector})
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise UsageError(f"{path} is no direction that says what it is", remedy="learn or import it anew") from error


def place(name: str, space: str, out: Path | None, *, overwrite: bool) -> Path:
    """Where a new direction of that name goes: into `out`, or among the user's own.

    Raises UsageError for what cannot name one, or names one of vidinv's own (which `out` None would hide), and
    OutputUnwritable for a folder that cannot be written or a file that is there already.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]*", name, re.ASCII):
        raise UsageError(f"{name!r} cannot name a direction", remedy="write letters, digits, _ and . alone")
    if out is None and name in shipped(space):
        raise UsageError(f"{name} is a direction of vidinv's own", remedy="choose another name, or give --out")
    path = (out or own()) / space / f"{name}.safetensors"
    if path.exists() and not overwrite:
        raise OutputUnwritable(f"{path} exists", remedy="give --overwrite, or choose another name")
    with fileio.writing(path.parent, remedy="choose another --out"):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_direction(direction: Direction, folder: Path) -> Path:
    """Save a direction as `folder/<space>/<name>.safetensors`. Raises OutputUnwritable."""
    return save_direction(direction, folder / direction.space / f"{direction.name}.safetensors")


def save_direction(direction: Direction, path: Path) -> Path:
    """Save a direction, whole or not at all. Raises OutputUnwritable."""
    told = {"direction": json.dumps(_stored(direction))}
    fileio.write_tensors(path, {"vector": direction.vector}, told, parents=True, remedy="choose another --out")
    return path
