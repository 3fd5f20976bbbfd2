"""Named directions: where they are kept, and what a strength means."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from vidinv.errors import UsageError

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
    kind: str = "w"
    calibration: dict[str, float] = field(default_factory=dict)
    origin: str = ""
    licence: str = ""

    def offset(self, strength: float, slots: int) -> Tensor:
        """What strength adds to w+: [L,D]."""
        rows = torch.zeros(slots, 1)
        rows[self.layers[0] : self.layers[1]] = 1
        return rows * (strength * self.deviation) * self.vector


def names(space: str) -> list[str]:
    """Directions at hand for a latent space, in order of name."""
    return sorted(path.stem for path in (FOLDER / space).glob("*.safetensors"))


def load(name: str, space: str) -> Direction:
    """The named direction of `space`; UsageError lists the near names when there is none."""
    known = names(space)
    if name not in known:
        raise unknown(name, known)
    return read(FOLDER / space / f"{name}.safetensors")


def unknown(name: str, known: list[str]) -> UsageError:
    """The error for a direction that is not there."""
    near = difflib.get_close_matches(name, known, cutoff=0.4)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return UsageError(f"unknown direction {name!r}", remedy=f"{hint} (vidinv directions list)")


def read(path: Path) -> Direction:
    """A direction from its safetensors file."""
    with safe_open(str(path), framework="pt") as file:
        facts = json.loads(file.metadata()["direction"])
        vector = file.get_tensor("vector").float()
    return Direction(**{**facts, "layers": tuple(facts["layers"]), "vector": vector})


def write(direction: Direction, folder: Path) -> Path:
    """Save a direction as `folder/<space>/<name>.safetensors`."""
    path = folder / direction.space / f"{direction.name}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    facts = {key: value for key, value in asdict(direction).items() if key != "vector"}
    save_file({"vector": direction.vector.contiguous()}, path, metadata={"direction": json.dumps(facts)})
    return path
