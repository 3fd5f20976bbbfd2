"""Named directions: where they are kept, and what a strength means."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from vidinv.errors import OutputUnwritable, UsageError
from vidinv.generators.base import Generator
from vidinv.weights import places

FOLDER = Path(__file__).parent.parent / "assets" / "directions"


@dataclass(frozen=True)
class Direction:
    """A direction of one latent space.

    `vector` [D] of unit norm; strength s moves the rows first <= l < last of w+ by s * `deviation` * vector, where
    `deviation` is what moves w.n by one standard deviation over the generator's samples, n being the attribute's normal
    (`vector` itself, but for directions that were bent to keep the person: `learn.preserving`). `calibration` says
    what strength 1 does in the world, as measured (for instance {"years": 6.1}).
    """

    name: str
    vector: Tensor
    deviation: float
    layers: tuple[int, int]
    space: str
    blend: str = "replace"  # residual | replace: what "auto" means for this direction
    region: str = "face"  # of `faces.regions`: where it shows
    kind: str = "w"
    calibration: dict[str, float] = field(default_factory=dict)
    leak: dict[str, float] = field(default_factory=dict)  # what strength 1 does to others, in standard deviations
    kept: dict[str, float] = field(default_factory=dict)  # by strength ("+1"): ArcFace's likeness of G(w) to itself
    origin: str = ""
    licence: str = ""

    @property
    def digest(self) -> str:
        """sha256 of all that decides what it does."""
        facts = f"{self.space} {self.layers} {self.deviation!r} {self.blend} {self.region}"
        return hashlib.sha256(facts.encode() + self.vector.float().cpu().numpy().tobytes()).hexdigest()

    def offset(self, strength: float, slots: int) -> Tensor:
        """What strength adds to w+: [L,D]."""
        rows = torch.zeros(slots, 1)
        rows[self.layers[0] : self.layers[1]] = 1
        return rows * (strength * self.deviation) * self.vector


def of_vector(name: str, vector: Tensor, layers: tuple[int, int], generator: Generator, *, origin: str) -> Direction:
    """A direction of a unit vector [D] whose strength 1 is the samples' standard deviation along it; not calibrated."""
    spread = float((generator.sample(10_000, seed=13).double().cpu() @ vector.double()).std())
    return Direction(name, vector, spread, layers, generator.space, origin=origin)


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


def load(name: str, space: str) -> Direction:
    """The named direction of `space`; UsageError lists the near names when there is none."""
    known = _files(space)
    if name not in known:
        raise unknown(name, list(known))
    return read(known[name])


def _files(space: str) -> dict[str, Path]:
    """Every direction's file by its name; a shipped one stands before one's own of the same name."""
    found = [path for folder in (own(), FOLDER) for path in (folder / space).glob("*.safetensors")]
    return {path.stem: path for path in found}


def unknown(name: str, known: list[str]) -> UsageError:
    """The error for a direction that is not there."""
    near = difflib.get_close_matches(name, known, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return UsageError(f"unknown direction {name!r}", remedy=f"{hint} (vidinv directions list)")


def read(path: Path) -> Direction:
    """A direction from its safetensors file; UsageError for a file that is none."""
    try:
        with safe_open(str(path), framework="pt") as file:
            facts = json.loads((file.metadata() or {})["direction"])
            vector = file.get_tensor("vector").float()
        return Direction(**{**facts, "layers": tuple(facts["layers"]), "vector": vector})
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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputUnwritable(
            f"cannot write {path.parent}: {error.strerror}", remedy="choose another --out"
        ) from error
    return path


def write(direction: Direction, folder: Path) -> Path:
    """Save a direction as `folder/<space>/<name>.safetensors`. Raises OutputUnwritable."""
    return save(direction, folder / direction.space / f"{direction.name}.safetensors")


def save(direction: Direction, path: Path) -> Path:
    """Save a direction, whole or not at all. Raises OutputUnwritable."""
    partial = path.with_name(f".{path.name}.part")
    facts = {key: value for key, value in asdict(direction).items() if key != "vector"}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"vector": direction.vector.contiguous()}, partial, metadata={"direction": json.dumps(facts)})
        return partial.replace(path)
    except (SafetensorError, OSError) as error:
        partial.unlink(missing_ok=True)
        raise OutputUnwritable(f"cannot write {path}: {error}", remedy="choose another --out") from error
