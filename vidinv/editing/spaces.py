"""Latent spaces that a direction can be of: how many rows of how many numbers, and whose; imported generators' too.

`w` of the default generator is that of StyleGAN2 FFHQ, from which it was distilled, so a direction of that network
applies once its rows are put where the default reads them: `ROWS_OF`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vidinv.errors import UsageError
from vidinv.weights import imported


@dataclass(frozen=True)
class Space:
    """A space of w+ codes [rows, dim]; `generator` is whose, by its name in the registry where it is there."""

    name: str
    rows: int
    dim: int
    generator: str

    def __str__(self) -> str:
        return f"{self.name} ({self.generator}, {self.rows}x{self.dim})"


SPACES = {
    space.name: space
    for space in (
        Space("mobile-stylegan-ffhq-w", 16, 512, "mobile-stylegan-ffhq-1024"),
        Space("ffhq-stylegan2-w", 18, 512, "stylegan2-ffhq-1024"),
        Space("ffhq-stylegan3-w", 16, 512, "stylegan3-ffhq-1024"),
        Space("mobile-stylegan-tiny-w", 8, 32, "mobile-stylegan-tiny"),
    )
}
# (file's space, generator's space) -> for every row of the generator's w+, the row that does its work in the other.
# StyleGAN2 at 1024: row 0 the convolution at 4x4, rows 2i+1 and 2i+2 those at 8 * 2^i, row 17 the last picture.
ROWS_OF = {("ffhq-stylegan2-w", "mobile-stylegan-ffhq-w"): (*range(15), 17)}


def known() -> dict[str, Space]:
    """Every space by its name: the built-in ones, then those of the generators that were imported."""
    found = dict(SPACES)
    for name in imported.names("generator"):
        if imported.state("generator", name) == "present":
            facts = imported.facts("generator", name)
            found[facts.space] = Space(facts.space, facts.sizes["num_ws"], facts.sizes["w_dim"], name)
    return found


def beside(own: Space) -> dict[str, Space]:
    """Every space by its name, a generator's `own` first."""
    return {own.name: own} | known()


def named(name: str, own: Space) -> Space:
    """The space of that name, or a generator's `own`. Raises UsageError for one that is not known."""
    spaces = beside(own)
    if name not in spaces:
        raise UsageError(f"--space {name!r} is not known", remedy=f"choose one of {', '.join(spaces)}")
    return spaces[name]


def fitting(rows: int, dim: int, own: Space) -> Space | None:
    """The space of w+ [rows,dim]; the generator's `own` comes before others of the same shape. None fits: None."""
    return next((space for space in beside(own).values() if (space.rows, space.dim) == (rows, dim)), None)


def laid(step: Tensor, space: Space) -> Tensor:
    """A step in w [D], or in w+ [L,D], as one in w+ of `space` [rows,dim]: the same for every row, or row by row.

    Rows of a space from which `ROWS_OF` leads are put in their places. Raises UsageError for a shape that cannot be.
    """
    if step.shape[-1] == space.dim:
        if step.ndim == 1:
            return step.expand(space.rows, -1)
        if len(step) == space.rows:
            return step
        for (source, target), rows in ROWS_OF.items():
            if target == space.name and len(step) == SPACES[source].rows:
                return step[list(rows)]
    shape = "x".join(map(str, step.shape))
    raise UsageError(
        f"a direction of {shape} numbers is not of {space}", remedy="give the --space of the generator it was made for"
    )
