"""Define the latent spaces of directions (rows, dimension, generator), including those of imported generators.

The default generator's `w` is that of StyleGAN2 FFHQ, from which it was distilled, so that a direction of that network
applies after its rows are mapped to the default's rows (`ROWS_OF`).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vidinv.errors import UsageError
from vidinv.weights import imported


@dataclass(frozen=True)
class Space:
    """A space of w+ codes [rows, dim] of a `generator`, named as in the registry if it is registered."""

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
# (file's space, generator's space) -> for every row of the generator's w+, the corresponding row of the file's w+.
# StyleGAN2 at 1024: row 0 the convolution at 4x4, rows 2i+1 and 2i+2 those at 8 * 2^i, row 17 the last picture.
ROWS_OF = {("ffhq-stylegan2-w", "mobile-stylegan-ffhq-w"): (*range(15), 17)}


def known() -> dict[str, Space]:
    """Return every space by name: the built-in ones, then those of imported generators."""
    found = dict(SPACES)
    for name in imported.names("generator"):
        if imported.state("generator", name) == "present":
            facts = imported.facts("generator", name)
            found[facts.space] = Space(facts.space, facts.sizes["num_ws"], facts.sizes["w_dim"], name)
    return found


def known_with_own(own: Space) -> dict[str, Space]:
    """Return every space by name, a generator's `own` space first."""
    return {own.name: own} | known()


def find_by_name(name: str, own: Space) -> Space:
    """Return the space of that name, which may be a generator's `own`. Raises UsageError if unknown."""
    spaces = known_with_own(own)
    if name not in spaces:
        raise UsageError(f"unknown --space {name!r}", remedy=f"choose one of {', '.join(spaces)}")
    return spaces[name]


def find_by_shape(rows: int, dim: int, own: Space) -> Space | None:
    """Return the space of shape [rows,dim], preferring the generator's `own`; None if no space matches."""
    return next((space for space in known_with_own(own).values() if (space.rows, space.dim) == (rows, dim)), None)


def shared_by(shape: tuple[int, ...], own: Space) -> Space | None:
    """Return the published space whose directions of this shape, [D] or [L,D], also apply to `own`; None if none do.

    Those are the related spaces of `ROWS_OF`, such as StyleGAN2-FFHQ's for the default generator.
    """
    related = [SPACES[source] for source, target in ROWS_OF if target == own.name]
    return next((space for space in related if shape in ((space.dim,), (space.rows, space.dim))), None)


def user_spaces(own: Space) -> list[Space]:
    """Return the spaces that a message lists: not those of the tests' tiny networks, unless one is `own`."""
    found = known_with_own(own).values()
    return [space for space in found if space == own or not space.generator.endswith("-tiny")]


def step_in_space(step: Tensor, space: Space) -> Tensor:
    """Convert a step in w [D] (equal for every row) or w+ [L,D] to a step in w+ of `space` [rows,dim].

    Rows of a related space are mapped by `ROWS_OF`. Raises UsageError for a shape that does not match.
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
    raise UsageError(f"a direction of {shape} numbers does not match {space}", remedy="give its generator's --space")
