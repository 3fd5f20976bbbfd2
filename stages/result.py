"""The result of a job: the segments joined with the source's other streams, and the report beside the file."""

from __future__ import annotations

import math
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from stages import aim, parts, synthesize
from stages import request as requests
from stages.folder import preview_path, sidecar_path
from stages.reencode import Journal
from stages.render import Prepared
from stages.request import Request
from vidinv.editing.plan import Move
from vidinv.media import codecs, reader, remux, sequence, stills
from vidinv.report import sidecar
from vidinv.weights import catalog

PACKAGES = ("vidinv", "torch", "av", "numpy", "opencv-python-headless")


def finish(job: Prepared, frames: int, timing: dict[str, Any], warnings: list[str]) -> dict[str, Any]:
    """Assemble the output (and the preview) and write `<output>.json`, with the `warnings` so far; returns it."""
    request = job.request
    records = Journal(job.folder.path).finished()
    warnings = [*warnings, *_losses(job), *_gaps(records)]
    if request.at is None:
        segments = _files(job, records, "segment-")
        join = stills.assemble if sequence.is_folder(request.output) else remux.assemble
        warnings = warnings + join(segments, request.source, request.output, metadata=made_by(job))
    if request.preview:
        files = _files(job, records, "preview-")
        warnings = warnings + remux.assemble(files, files[0], preview_path(request.output), metadata={})
    return write_report(job, frames, [face for record in records for face in record["faces"]], timing, warnings)


def made_by(job: Prepared) -> dict[str, str]:
    """What the output's own metadata say of how it was made."""
    return {
        "vidinv_version": installed().get("vidinv", "unknown"),
        "vidinv_edits": " ".join(job.request.config.edits) or "none",
        "vidinv_weights": " ".join(weights(job)),
    }


def write_report(
    job: Prepared,
    frames: int,
    faces: list[dict[str, Any]],
    timing: dict[str, Any],
    warnings: list[str],
    edits: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Write the report on `frames` edited frames with the rows of their `faces` beside the output; returns it.

    `edits` are the job's moves unless others are given.
    """
    request = job.request
    drawn = "none"
    if job.models is not None:
        drawn = synthesize.source(job.models.generator, job.models.proxy, request.config.crop)
    report = sidecar.build(
        source={
            "path": request.source.name,
            "frames": job.analysis.frame_count,
            "width": job.info.width,
            "height": job.info.height,
        },
        output=_output(request, touched=job.models is not None) | {"synthesis": drawn},
        frames=frames,
        edits=[_edit(move) for move in job.moves] if edits is None else edits,
        faces=faces,
        versions=installed(),
        weights=weights(job),
        timing=timing,
        warnings=warnings,
    )
    sidecar.write(sidecar_path(request.output), report)
    return report


def _losses(job: Prepared) -> list[str]:
    """What the asked reader could not read, and what of the source's picture the output's codec cannot say."""
    request = job.request
    refused = reader.refusal(request.source, request.config.reader)
    found = [refused] if refused else []
    if request.at is None:
        wish = requests.wish(request.config, request.output)
        found += codecs.choose(wish, job.info, suffix=request.output.suffix.lower()).warnings
    return found


def _gaps(records: list[dict[str, Any]]) -> list[str]:
    """The damaged places of the source, those that touch as one."""
    joined: list[list[float]] = []
    for begin, end in (gap for record in records for gap in record["gaps"]):
        if joined and begin <= joined[-1][1]:
            joined[-1][1] = end
        else:
            joined.append([begin, end])
    said = "what decodes there was passed on, what does not is missing"
    return [f"damaged from {begin:.3f} to {end:.3f} s: {said}" for begin, end in joined]


def _files(job: Prepared, records: list[dict[str, Any]], kind: str) -> list[Path]:
    return [job.folder.path / name for record in records for name in record["files"] if name.startswith(kind)]


def inverted(job: Prepared, timing: dict[str, Any]) -> dict[str, Any]:
    """The report on a job that made codes alone."""
    request, analysis = job.request, job.analysis
    return {
        "input": {"path": request.source.name, "frames": analysis.frame_count},
        "output": {"path": request.output.name, "quality": request.config.quality, "tune": request.config.tune},
        "faces": sum(len(track.frames) for track in analysis.tracks),
        "tracks": [{"id": track.id, "frames": len(track.frames)} for track in analysis.tracks],
        "versions": installed(),
        "weights": weights(job),
        "timing": timing,
    }


def installed() -> dict[str, str]:
    """Versions of what made the output."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def weights(job: Prepared) -> dict[str, str]:
    """Part -> sha256 of the archive it came from; of the user's own encoder its file's."""
    needs = aim.needs(parts.choose(job.request.config.backend), job.moves)
    fetched = {name: catalog.CATALOG[name].archive_sha256 for name in needs}
    return fetched | ({"encoder": job.encoder} if job.encoder else {})


def _output(request: Request, *, touched: bool) -> dict[str, Any]:
    paths: dict[str, Any] = {"path": request.output.name if request.at is None else None}
    if request.preview:
        paths["preview"] = preview_path(request.output).name
    if request.codes is not None:
        paths["codes"] = request.codes.name
    config = request.config
    how = {name: getattr(config, name) for name in ("codec", "crf", "quality", "tune", "blend")}
    return paths | how | ({} if touched else {"tune": "none"})


def _edit(move: Move) -> dict[str, Any]:
    direction, edit = move.direction, move.edit
    first, last = edit.span
    return {
        "name": direction.name,
        "strength": edit.strength,
        "target": edit.target,
        "reached": edit.reached,
        "track": edit.track,
        "layers": list(direction.layers),
        "region": edit.region or direction.region,
        "from_s": first,
        "to_s": None if math.isinf(last) else last,
        "space": direction.space,
        "blend": direction.blend,
        "calibration": direction.calibration,
        "origin": direction.origin,
        "sha256": direction.digest,
    }
