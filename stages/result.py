"""The result of a job: the segments joined with the source's other streams, and the report beside the file."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stages import parts
from stages.folder import JobFolder
from stages.reencode import Journal
from vidinv.editing.directions import Direction
from vidinv.frames import Analysis
from vidinv.media import remux
from vidinv.media.probe import VideoInfo
from vidinv.report import sidecar
from vidinv.weights import catalog

if TYPE_CHECKING:
    from stages.job import Request

PACKAGES = ("vidinv", "torch", "av", "numpy", "opencv-python-headless")


def finish(
    request: Request,
    info: VideoInfo,
    analysis: Analysis,
    moves: list[tuple[Direction, float]],
    folder: JobFolder,
    frames: int,
    timing: dict[str, Any],
    synthesis: str,
) -> dict[str, Any]:
    """Assemble the output (and the preview) and write `<output>.json`; returns the report.

    `synthesis` says what drew the faces.
    """
    records = Journal(folder.path).finished()
    warnings: list[str] = []
    versions = installed()
    if request.at is None:
        made = {
            "vidinv_version": versions.get("vidinv", "unknown"),
            "vidinv_edits": " ".join(request.config.edits) or "none",
            "vidinv_weights": " ".join(weights(request.config.backend)),
        }
        files = [folder.path / name for record in records for name in record["files"] if name.startswith("segment-")]
        warnings += remux.assemble(files, request.source, request.output, metadata=made)
    if request.preview:
        files = [folder.path / name for record in records for name in record["files"] if name.startswith("preview-")]
        warnings += remux.assemble(files, files[0], preview_path(request.output), metadata={})
    report = sidecar.build(
        source={
            "path": request.source.name,
            "frames": analysis.frame_count,
            "width": info.width,
            "height": info.height,
        },
        output=_output(request) | {"synthesis": synthesis},
        frames=frames,
        edits=[_edit(direction, strength) for direction, strength in moves],
        faces=[face for record in records for face in record["faces"]],
        versions=versions,
        weights=weights(request.config.backend),
        timing=timing,
        warnings=warnings,
    )
    sidecar.write(sidecar_path(request.output), report)
    return report


def inverted(request: Request, analysis: Analysis, timing: dict[str, Any]) -> dict[str, Any]:
    """The report on a job that made codes alone."""
    return {
        "input": {"path": request.source.name, "frames": analysis.frame_count},
        "output": {"path": request.output.name, "quality": request.config.quality},
        "faces": sum(len(track.frames) for track in analysis.tracks),
        "tracks": [{"id": track.id, "frames": len(track.frames)} for track in analysis.tracks],
        "versions": installed(),
        "weights": weights(request.config.backend),
        "timing": timing,
    }


def preview_path(output: Path) -> Path:
    """Where the side-by-side video of `output` goes."""
    return output.with_name(output.name + ".preview.mp4")


def sidecar_path(output: Path) -> Path:
    """Where the report on `output` goes."""
    return output.with_name(output.name + ".json")


def installed() -> dict[str, str]:
    """Versions of what made the output."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def weights(backend: str) -> dict[str, str]:
    """Part -> sha256 of the archive it came from."""
    return {name: catalog.CATALOG[name].archive_sha256 for name in parts.choose(backend).needs}


def _output(request: Request) -> dict[str, Any]:
    paths: dict[str, Any] = {"path": request.output.name if request.at is None else None}
    if request.preview:
        paths["preview"] = preview_path(request.output).name
    if request.codes is not None:
        paths["codes"] = request.codes.name
    config = request.config
    return paths | {"codec": config.codec, "crf": config.crf, "quality": config.quality, "blend": config.blend}


def _edit(direction: Direction, strength: float) -> dict[str, Any]:
    return {
        "name": direction.name,
        "strength": strength,
        "space": direction.space,
        "blend": direction.blend,
        "calibration": direction.calibration,
    }
