"""The last lines that a job says: what it made, how well the person was kept, and what went other than asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def lines(report: dict[str, Any], folder: Path) -> list[str]:
    """From the report of a run or an inversion, whose files lie in `folder`; `warning: ...` lines come first."""
    warnings = [f"warning: {warning}" for warning in report.get("warnings", [])]
    names = [report["output"].get(key) for key in ("path", "preview", "codes")]
    made = ", ".join(str(folder / name) for name in names if name is not None)
    return [*warnings, f"made {made}{_identity(report.get('identity'))}"]


def _identity(identity: dict[str, Any] | None) -> str:
    """Of a run with faces: the two networks' similarities of the edited frames to the source's."""
    if identity is None or identity["arcface"]["edit_mean"] is None:
        return ""
    kept = {name: identity[key] for key, name in (("arcface", "ArcFace"), ("lightcnn", "LightCNN"))}
    return "; similarity to the source: " + ", ".join(
        f"{name} {means['edit_mean']:.2f} (inversion {means['inversion_mean']:.2f})"
        for name, means in kept.items()
        if means["edit_mean"] is not None and means["inversion_mean"] is not None
    )
