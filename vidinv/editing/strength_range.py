"""Compare the strengths of edits with the range in which the effect of their direction was measured."""

from __future__ import annotations

from collections.abc import Iterable

from vidinv.editing.directions import Direction
from vidinv.editing.plan import ResolvedEdit
from vidinv.errors import UsageError

REFUSED = 2.0  # times the measured range


def measured_strength(direction: Direction) -> float | None:
    """Return the largest |strength| at which the direction was measured; None if it never was."""
    return max((abs(float(strength)) for strength in direction.kept), default=None)


def range_warnings(edits: Iterable[ResolvedEdit]) -> list[str]:
    """Return a warning for every edit whose strength is beyond the measured range of its direction."""
    return [
        f"{_written(resolved)} is beyond the strengths from -{known:g} to +{known:g} that were measured: expect "
        "distortions, and another person"
        for resolved in edits
        if (known := measured_strength(resolved.direction)) is not None and abs(resolved.edit.strength) > known
    ]


def check_strengths(edits: Iterable[ResolvedEdit], *, force: bool) -> None:
    """Raise UsageError for a strength beyond twice the measured range of its direction, unless `force` allows it."""
    for resolved in edits:
        known = measured_strength(resolved.direction)
        if not force and known is not None and abs(resolved.edit.strength) > REFUSED * known:
            raise UsageError(
                f"{_written(resolved)} is more than twice the largest measured strength, {known:g}",
                remedy=f"give a strength from -{known:g} to +{known:g}, or --force",
            )


def _written(resolved: ResolvedEdit) -> str:
    return f"{resolved.edit.name}{resolved.edit.strength:+g}"
