"""Finish a job: join the segments with the source's other streams, and write the report next to the output."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

from vidinv import config as configs
from vidinv import fileio
from vidinv.config import RunConfig
from vidinv.editing.plan import ResolvedEdit
from vidinv.errors import OutputUnwritable
from vidinv.frames import Analysis
from vidinv.jobs import quality_summary, sign_output, write_page
from vidinv.jobs import request as requests
from vidinv.jobs.exclusive_outputs import publish_files
from vidinv.jobs.job import AnalyzedJob
from vidinv.jobs.journal import Journal
from vidinv.jobs.quality_summary import MeasuredFaces
from vidinv.jobs.request_files import RequestFiles
from vidinv.jobs.tuning import encoder as encoder_tuning
from vidinv.jobs.tuning import generator as generator_tuning
from vidinv.media import codecs, picture_folder, reader, remux, sequence
from vidinv.media.probe import VideoInfo
from vidinv.media.timeline import timeline_of
from vidinv.provenance import manifest, payload
from vidinv.report import sidecar
from vidinv.report.gate import Gate
from vidinv.stages import synthesize
from vidinv.stages.reencode import SegmentRecord
from vidinv.weights import catalog

PACKAGES = ("vidinv", "torch", "av", "numpy", "opencv-python-headless")


def finish(job: AnalyzedJob, frames: int, timing: dict[str, Any]) -> dict[str, Any]:
    """Make every file of the request in the job folder, publish them, and return the report with the job's warnings.

    If the gate is missed, all files get names that say so.
    """
    records = Journal(job.folder.path).finished()
    if len(records) < len(job.segments):
        raise OutputUnwritable(
            f"segment {len(records)} in {job.folder.path} was damaged while the job ran", remedy="run it again"
        )
    measured = MeasuredFaces([face for record in records for face in record.faces], job.folder.evidence(records))
    report = build_report(job, frames, measured)
    if report["gate"] is not None and not report["gate"]["passed"]:
        job = job.below_gate()
        report["output"] = _output(job)
    request = job.request
    warnings = [*job.warnings, *_reading_warnings(job), *_damage_warnings(records)]
    made = job.folder.start_making(job.files)
    if made.output is not None:
        segments = _files(job, records, "segment-")
        join = picture_folder.assemble if sequence.is_folder(request.output) else remux.assemble

        def write(path: Path) -> list[str]:
            return join(segments, request.source, path, metadata=output_metadata(job), stream=request.config.stream)

        warnings = warnings + sign_output.write_signed(request, job.folder, build_claim(job), made.output, write)
        job.opened.source.check()
    if made.preview is not None:
        files = _files(job, records, "preview-")
        warnings = warnings + remux.assemble(files, files[0], made.preview, metadata={})
    write_report(made, report, timing, warnings)
    if request.keep_job:
        sidecar.write_report(job.folder.report, report)
    if made.page is not None:
        write_page.write_page(made.page, report, write_page.strips(report, measured.evidence()))
    publish_files(job.folder, job.files, made, overwrite=request.overwrite)
    return report


def describe_input(source: Path, content: str, info: VideoInfo, analysis: Analysis) -> dict[str, Any]:
    """The report's entry on the source video; `content` is the sha256 of its bytes."""
    return {
        "path": source.name,
        "sha256": content,
        "frames": analysis.frame_count,
        "width": info.width,
        "height": info.height,
        "duration_s": round(info.duration_s, 4),
    }


def sampling_intervals(config: RunConfig) -> dict[str, int]:
    """Sampling interval of each metric network, in frames of a segment."""
    return {"arcface_every": config.identity.every, "witness_every": config.identity.witness_every}


def output_metadata(job: AnalyzedJob) -> dict[str, str]:
    """Container metadata that say how the output was made."""
    return {
        "vidinv_version": package_versions().get("vidinv", "unknown"),
        "vidinv_edits": " ".join(job.config.edits) or "none",
        "vidinv_weights": " ".join(weight_digests(job)),
    }


def watermark_identity(job: AnalyzedJob) -> str | None:
    """The identity that the output's watermark carries; None without a watermark."""
    if not job.request.watermark or job.models is None:
        return None
    return payload.identity(job.opened.source.content, job.config.edits)


def build_claim(job: AnalyzedJob) -> manifest.Claim:
    """The claim that is signed if the output gets a C2PA manifest."""
    request, version = job.request, package_versions().get("vidinv", "unknown")
    return manifest.Claim(
        version,
        request.config.edits,
        weight_digests(job),
        request.source,
        job.opened.source.content,
        watermark_identity(job),
    )


def write_report(made: RequestFiles, report: dict[str, Any], timing: dict[str, Any], warnings: list[str]) -> None:
    """Add `timing`, `warnings` and the output's digest to the report, and write it to its draft in the job folder.

    `made` are the drafts of the request's files.
    """
    report |= {"timing": timing, "warnings": warnings}
    if made.output is not None:
        report["output"] |= {"sha256": fileio.content_sha256(made.output)}
    assert made.report is not None
    sidecar.write_report(made.report, report)


def build_report(
    job: AnalyzedJob, frames: int, measured: MeasuredFaces, edits: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """The report on `frames` edited frames and their measurements, without timing and warnings.

    `edits` replaces the entries on the job's edits, if given.
    """
    request, analysis = job.request, job.analysis
    described = [
        _edit(resolved) | {"effect": quality_summary.edit_effect(job.edits, k, measured.rows, analysis)}
        for k, resolved in enumerate(job.edits)
    ]
    span = range(job.segments[0][0], job.segments[-1][1])
    gate = request.gate if job.models is not None else Gate()  # an untouched clip cannot miss a gate
    return {
        "schema": sidecar.SCHEMA,
        "input": describe_input(request.source, job.opened.source.content, job.info, analysis),
        "output": _output(job),
        "frames": frames,
        "faces": len(measured.rows),
        "edits": described if edits is None else edits,
        "command": request.command,
        "settings": {key: value for key, value in configs.plain(request.config).items() if key != "c2pa"},
        "versions": package_versions(),
        "weights": weight_digests(job),
        "parts": [*part_licences(_needed_parts(job)), *_user_parts(job)],
        "measured": sampling_intervals(request.config),
        **({} if job.tuning is None else {"tuning": job.tuning}),
        **quality_summary.summarize(analysis, job.people, span, job.edits, measured, gate),
    }


def _reading_warnings(job: AnalyzedJob) -> list[str]:
    """Warnings: why the chosen reader was not used, and what the output codec cannot represent."""
    request = job.request
    config, info = request.config, job.info
    refused = reader.refusal_reason(request.source, config.reader, config.stream)
    found = [refused] if refused else []
    if info.other_films and config.stream is None:
        found.append(
            f"{request.source.name} has several video streams: #{info.stream} is edited, "
            f"{' and '.join(info.other_films)} not; --stream N chooses another"
        )
    found += timeline_of(request.source).warnings
    if request.at is None:
        options = requests.encoder_options(request.config, request.output)
        found += codecs.select_encoder(options, job.info, suffix=request.output.suffix.lower()).warnings
    return found


def _damage_warnings(records: list[SegmentRecord]) -> list[str]:
    """Warnings on the damaged intervals of the source; adjoining intervals are joined."""
    joined: list[list[float]] = []
    for begin, end in (gap for record in records for gap in record.gaps):
        if joined and begin <= joined[-1][1]:
            joined[-1][1] = end
        else:
            joined.append([begin, end])
    consequence = "frames that decode there were passed through, the others are missing"
    return [f"damaged from {begin:.3f} to {end:.3f} s: {consequence}" for begin, end in joined]


def _files(job: AnalyzedJob, records: list[SegmentRecord], kind: str) -> list[Path]:
    return [job.folder.path / name for record in records for name in record.files if name.startswith(kind)]


def publish_inversion(job: AnalyzedJob, timing: dict[str, Any]) -> dict[str, Any]:
    """Publish the codes of a job that only inverted the clip, and return the report on it."""
    request, analysis = job.request, job.analysis
    publish_files(job.folder, job.files, job.folder.start_making(job.files), overwrite=request.overwrite)
    return {
        "input": {"path": request.source.name, "frames": analysis.frame_count},
        "output": {"path": request.output.name, "quality": request.config.quality, "tune": request.config.tune},
        "faces": sum(len(track.frames) for track in analysis.tracks),
        "tracks": [{"id": track.id, "frames": len(track.frames)} for track in analysis.tracks],
        **({} if job.tuning is None else {"tuning": job.tuning}),
        "versions": package_versions(),
        "weights": weight_digests(job),
        "timing": timing,
    }


def publish_tuning(job: AnalyzedJob, timing: dict[str, Any]) -> dict[str, Any]:
    """Write the tuned network to the output path, and return the report on it."""
    request, analysis = job.request, job.analysis
    assert job.models is not None
    made = job.folder.start_making(job.files)
    assert made.output is not None
    if request.config.tune == "generator":
        generator_tuning.write_tuned_generator(job.folder, made.output)
    else:
        encoder_tuning.write_tuned_encoder(job.models, request.config, made.output)
    digest = fileio.content_sha256(made.output)
    publish_files(job.folder, job.files, made, overwrite=request.overwrite)
    return {
        "input": {"path": request.source.name, "frames": analysis.frame_count},
        "output": {"path": request.output.name, "sha256": digest},
        "faces": sum(len(track.frames) for track in analysis.tracks),
        "tuning": job.tuning,
        "versions": package_versions(),
        "weights": weight_digests(job),
        "timing": timing,
    }


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the output."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def weight_digests(job: AnalyzedJob) -> dict[str, str]:
    """Part -> sha256 of its archive; for the user's own parts, of their file."""
    brought = {part.name: part.sha256 for part in job.backend.brought}
    return (
        archive_digests(_needed_parts(job)) | brought | ({"encoder": job.opened.encoder} if job.opened.encoder else {})
    )


def archive_digests(names: Iterable[str]) -> dict[str, str]:
    """Part -> sha256 of its archive."""
    return {name: catalog.CATALOG[name].archive_sha256 for name in names}


def part_licences(names: Iterable[str]) -> list[dict[str, str]]:
    """Name, licence and origin of every part, for the report."""
    entries = [catalog.CATALOG[name] for name in names]
    return [{"name": each.name, "licence": each.licence, "origin": each.origin} for each in entries]


def _needed_parts(job: AnalyzedJob) -> tuple[str, ...]:
    backend = job.backend
    return backend.needs if job.request.only_codes or job.request.only_tuned else backend.all_needs


def _user_parts(job: AnalyzedJob) -> list[dict[str, str]]:
    """Name, licence and origin of the user's own parts."""
    return [{"name": each.name, "licence": each.licence, "origin": each.origin} for each in job.backend.brought]


def _output(job: AnalyzedJob) -> dict[str, Any]:
    request, touched = job.request, job.models is not None
    paths: dict[str, Any] = {"path": request.output.name if request.at is None else None}
    if job.files.preview is not None:
        paths["preview"] = job.files.preview.name
    if request.codes is not None:
        paths["codes"] = request.codes.name
    config = request.config
    how = {name: getattr(config, name) for name in ("codec", "crf", "quality", "tune", "blend")}
    drawn = "none"
    if job.models is not None:
        drawn = synthesize.describe_renderer(job.models.generator, job.models.proxy, config.crop)
    paths |= {"watermark": watermark_identity(job), "c2pa": request.c2pa and request.at is None}
    return paths | how | ({} if touched else {"tune": "none"}) | {"synthesis": drawn}


def _edit(resolved: ResolvedEdit) -> dict[str, Any]:
    direction, edit = resolved.direction, resolved.edit
    first, last = edit.span
    return {
        "name": direction.name,
        "kind": direction.kind,
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
        "licence": direction.licence,
        "sha256": direction.digest,
    }
