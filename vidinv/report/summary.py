"""Summary: write the last lines of a job: its warnings, its output files, and the identity similarity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any


def summary_lines(report: dict[str, Any], files: Sequence[Path]) -> list[str]:
    """The lines for the report of a run or an inversion that made `files`; the `warning: ...` lines come first."""
    warnings = [f"warning: {warning}" for warning in report.get("warnings", [])]
    made = ", ".join(map(str, files))
    return [*warnings, f"made {made}{_similarity_text(report.get('identity', {}))}"]


def _similarity_text(identity: dict[str, Any]) -> str:
    """The similarity of the edited frames to the source by each network; empty for a run without faces."""
    kept = [(name, identity.get(key, {})) for key, name in (("arcface", "ArcFace"), ("lightcnn", "LightCNN"))]
    known = [
        f"{name} {means['edit_mean']:.2f} (inversion {means['inversion_mean']:.2f})"
        for name, means in kept
        if means.get("edit_mean") is not None and means.get("inversion_mean") is not None
    ]
    return "; similarity to the source: " + ", ".join(known) if known else ""
