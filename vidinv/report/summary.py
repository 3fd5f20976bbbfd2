"""The last lines that a job says: what it made, how well the person was kept, and what went other than asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def lines(report: dict[str, Any], files: Sequence[Path]) -> list[str]:
    """From the report of a run or an inversion that made `files`; `warning: ...` lines come first."""
    warnings = [f"warning: {warning}" for warning in report.get("warnings", [])]
    made = ", ".join(map(str, files))
    return [*warnings, f"made {made}{_likeness(report.get('identity', {}))}"]


def _likeness(identity: dict[str, Any]) -> str:
    """Of a run with faces: the two networks' similarities of the edited frames to the source's."""
    kept = [(name, identity.get(key, {})) for key, name in (("arcface", "ArcFace"), ("lightcnn", "LightCNN"))]
    known = [
        f"{name} {means['edit_mean']:.2f} (inversion {means['inversion_mean']:.2f})"
        for name, means in kept
        if means.get("edit_mean") is not None and means.get("inversion_mean") is not None
    ]
    return "; similarity to the source: " + ", ".join(known) if known else ""
