"""Resolve a clip's edits to directions and compute their offsets per face and time."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vidinv.editing.directions import Direction
from vidinv.errors import UsageError
from vidinv.frames import Edit, Track


@dataclass(frozen=True)
class ResolvedEdit:
    """An edit with its direction, restricted to the rows that the edit requests."""

    direction: Direction
    edit: Edit

    @property
    def is_still(self) -> bool:
        """Return whether the edit has no effect: strength 0, also if no strength was found for its target."""
        return self.edit.strength == 0 and (self.edit.target is None or self.edit.is_lost)


ResolvedEdits = list[ResolvedEdit]


def region(entry: ResolvedEdit) -> str:
    """Return the region in which a resolved edit shows."""
    return entry.edit.region or entry.direction.region


def resolve_edit(direction: Direction, edit: Edit, slots: int, measured: Collection[str] = ()) -> ResolvedEdit:
    """Resolve `edit` with its direction for w+ of `slots` rows; targets need an attribute in `measured`.

    Raises UsageError for invalid rows or an unsupported target value.
    """
    if edit.layers is not None:
        if direction.is_style:
            remedy = "remove @layers"
            raise UsageError(f"{edit.name} moves style channels, not rows of w+", remedy=remedy)
        if edit.layers[1] > slots:
            asked = f"{edit.layers[0]}-{edit.layers[1] - 1}"
            raise UsageError(f"{edit.name}@layers={asked}: w+ has {slots} rows", remedy=f"give rows of 0-{slots - 1}")
        direction = replace(direction, layers=edit.layers)
    slopes = list(direction.calibration.values())
    if edit.target is not None and (edit.name not in measured or len(slopes) != 1 or slopes[0] <= 0):
        raise UsageError(
            f"no network measures {edit.name}, so {edit.name}={edit.target:g} cannot be found",
            remedy=f"give a strength, as in {edit.name}+1",
        )
    return ResolvedEdit(direction, edit)


def expand_persons(moves: Iterable[ResolvedEdit], persons: Sequence[int]) -> list[ResolvedEdit]:
    """Expand the edits to one per person; an edit without a person applies to every one of `persons`."""
    found = []
    for entry in moves:
        whom = persons if entry.edit.track is None else [entry.edit.track]
        found += [ResolvedEdit(entry.direction, replace(entry.edit, track=number)) for number in whom]
    return found


def share(edit: Edit, second: float, person: int) -> float:
    """Return the share in [0,1] of an edit's strength for a person at a time.

    It is a smoothstep over `ramp` seconds at each end inside the span (over half of a span that is too short for
    both); there is no ramp where the edit starts with the clip or lasts to its end.
    """
    if edit.track is not None and edit.track != person:
        return 0.0
    begin, end = edit.span
    if not begin <= second <= end:
        return 0.0
    ramp = min(edit.ramp, (end - begin) / 2)
    near = min(second - begin if begin > 0 else ramp, end - second)
    x = min(near / ramp, 1.0) if ramp > 0 else 1.0
    return x * x * (3 - 2 * x)


def offsets(moves: Sequence[ResolvedEdit], seconds: Sequence[float], persons: Sequence[int], slots: int) -> Tensor:
    """Return the edits' offset [N,L,D] of w+ for N faces, each at its time; the order of edits does not matter."""
    total = torch.zeros(len(persons), slots, 1)
    for entry in moves:
        if entry.edit.strength and not entry.direction.is_style:
            whole = entry.direction.offset(entry.edit.strength, slots)  # [L,D]
            total = total + _shares(entry, seconds, persons)[:, None, None] * whole
    return total


def style_offsets(moves: Sequence[ResolvedEdit], seconds: Sequence[float], persons: Sequence[int]) -> Tensor | None:
    """Return the edits' offset [N,S] of style channels for N faces, each at its time; None if no edit has one."""
    going = [entry for entry in moves if entry.edit.strength and entry.direction.is_style]
    parts = [
        _shares(entry, seconds, persons)[:, None] * entry.direction.style_offset(entry.edit.strength) for entry in going
    ]
    return torch.stack(parts).sum(0) if parts else None


def _shares(entry: ResolvedEdit, seconds: Sequence[float], persons: Sequence[int]) -> Tensor:
    """Return the share of each face [N]."""
    return torch.tensor([share(entry.edit, *when) for when in zip(seconds, persons, strict=True)])


def presence(moves: Iterable[ResolvedEdit], second: float, person: int) -> float:
    """Return how much of a person's edits may show in the frame, 0 to 1; 1 from half of an edit's strength on.

    At the start of an edit, its inversion therefore fades in.
    """
    return max((min(1.0, 2 * share(each.edit, second, person)) for each in moves if not each.is_still), default=0.0)


def restrict_to_edits(track: Track, moves: Sequence[ResolvedEdit], seconds: Sequence[float]) -> Track:
    """Restrict `track` to the frames where an edit is present, in a clip whose frames have times `seconds`."""
    rows = np.array([presence(moves, seconds[int(frame)], track.id) > 0 for frame in track.frames], bool)
    if track.trust is not None:
        rows &= track.trust > 0
    return replace(
        track,
        frames=track.frames[rows],
        to_frame=track.to_frame[rows],
        landmarks=track.landmarks[rows],
        trust=None if track.trust is None else track.trust[rows],
    )
