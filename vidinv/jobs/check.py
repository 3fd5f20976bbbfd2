"""Check a request before any work starts: its edits, options, outputs, device and networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vidinv import extras
from vidinv.analysis import given_boxes
from vidinv.backends import registry as backends
from vidinv.backends.interface import Backend
from vidinv.config import RunConfig
from vidinv.editing import grammar, plan, strength_range
from vidinv.editing.directions import Direction
from vidinv.editing.plan import ResolvedEdits
from vidinv.encoders import encoder_file
from vidinv.engines import runner
from vidinv.errors import UsageError
from vidinv.faces import regions
from vidinv.generators.base import Generator
from vidinv.jobs.exclusive_outputs import check_files
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.request import CheckedRequest, Request, encoder_options, pick_device, touches_faces
from vidinv.media import codecs, sequence, writer
from vidinv.media.probe import VideoInfo, probe
from vidinv.provenance import manifest


def check_request(request: Request, backend: Backend | None = None) -> CheckedRequest:
    """Check a job on a video. `backend` is the backend that the request names, if it is resolved already.

    Raises UsageError, InputUnreadable or OutputUnwritable; nothing is fetched or written.
    """
    backend, edits = check_common(request, backend)
    touched = touches_faces(request, edits)
    if touched:
        given_boxes.boxes_of_run(request.config, backend)
    info = probe(request.source, request.config.stream)
    _check_times(edits, request.at, info)
    checked = CheckedRequest(request, request.files(), backend, edits, info, touched)
    folder = JobFolder(request.output)
    check_files(checked.files, request.source, folder, overwrite=request.overwrite)
    if request.gate.is_set:
        below = replace(checked.below_gate().files, codes=None)
        check_files(below, request.source, folder, overwrite=request.overwrite)
    if not (request.only_codes or request.only_tuned):
        options = encoder_options(request.config, request.output)
        if not sequence.is_folder(request.output):
            codecs.check_container(options, info, request.output)
        writer.check_encodable(info, options, request.output.suffix.lower())
    return checked


def check_common(request: Request, backend: Backend | None = None) -> tuple[Backend, ResolvedEdits]:
    """Check what requests on videos and on pictures share: edits, options, signer and networks.

    Returns the resolved backend and the edits. Raises UsageError.
    """
    backend = backend or backends.choose_backend(request.config.backend)
    edits = resolve_edits(request.config.edits, backend)
    strength_range.check_strengths(edits, force=request.force)
    _check_options(request)
    if request.c2pa:
        manifest.check_signer(request.config.c2pa, request.output)
    check_networks(request.config, backend)
    if request.gate.is_set and not backend.recognises:
        raise UsageError(
            f"the backend {request.config.backend} has no identity network, which --min-identity and --min-ic need",
            remedy="leave --min-identity and --min-ic out",
        )
    return backend, edits


def check_networks(config: RunConfig, backend: Backend) -> None:
    """Raise UsageError for an unavailable device or engine and for a network file that does not fit the backend."""
    pick_device(config.device)
    if config.engine != "auto":
        runner.require(config.engine)
    _check_packages(config)
    if config.generator and not Path(config.generator).is_file():
        raise UsageError(f"the generator {config.generator} does not exist", remedy="check the path")
    if config.encoder:
        encoder_file.check_encoder(Path(config.encoder), backend.space)
    elif not backend.encodes and (config.refine.is_off or config.tune != "none"):
        option = "a preset without refinement" if config.refine.is_off else f"--tune {config.tune}"
        raise UsageError(
            f"the backend {backend.name} has no encoder, which {option} needs",
            remedy="use --quality balanced with --tune none, which refines the mean code, or give --encoder FILE",
        )


def _check_packages(config: RunConfig) -> None:
    """Raise UsageError for a setting that needs an optional package which is not installed."""
    if config.tune != "none":
        extras.require_training(f"--tune {config.tune}", instead="give --tune none")
    if config.reader != "pyav":
        extras.require(config.reader, f"reader={config.reader}", instead="set reader=pyav")
    if config.landmarks == "fan":
        extras.require("face_alignment", "landmarks=fan", instead="set landmarks=2d106")


def resolve_edits(texts: Sequence[str], backend: Backend) -> ResolvedEdits:
    """Resolve edits such as "age+2". Raises UsageError for bad syntax, unknown directions or missing w+ rows."""
    parsed = map(grammar.parse, texts)
    edits = [
        plan.resolve_edit(backend.direction(entry.name), entry, backend.slots, backend.measures) for entry in parsed
    ]
    for resolved in edits:
        _check_vector(resolved.direction, backend)
        if not backend.parses and regions.is_local(plan.region(resolved)):
            raise UsageError(
                f"{resolved.edit.name} is limited to the {plan.region(resolved)}, but the backend {backend.name} has "
                "no face parser that finds it",
                remedy="add @region=face to edit the whole crop",
            )
    return edits


def _check_vector(direction: Direction, backend: Backend) -> None:
    """Raise UsageError where the direction's vector has another shape than the rows of the backend's w+."""
    shape = tuple(direction.vector.shape)
    if not direction.is_style and shape not in ((backend.dim,), (backend.slots, backend.dim)):
        raise UsageError(
            f"the direction {direction.name} has the shape {shape}, the backend's w+ {(backend.slots, backend.dim)}",
            remedy="learn or import it again",
        )


def check_styles(edits: ResolvedEdits, generator: Generator) -> None:
    """Raise UsageError where a style direction has another number of channels than the generator."""
    for direction in (resolved.direction for resolved in edits if resolved.direction.is_style):
        channels = sum(row.shape[1] for row in generator.styles(generator.broadcast(generator.w_avg[None])))
        if direction.vector.shape != (channels,):
            raise UsageError(
                f"the direction {direction.name} has the shape {tuple(direction.vector.shape)}, and {generator.name} "
                f"{channels} style channels",
                remedy="learn it again",
            )


def _check_times(edits: ResolvedEdits, at: float | None, info: VideoInfo) -> None:
    """Raise UsageError for an edit or a preview that starts after the clip's end."""
    if at is not None and info.duration_s and at >= info.duration_s:
        raise UsageError(
            f"--at {at:g} s is after the end of the clip", remedy=f"the clip lasts {info.duration_s:.1f} s"
        )
    for begin in (resolved.edit.span[0] for resolved in edits):
        if begin > 0 and info.duration_s and begin >= info.duration_s:
            raise UsageError(f"an edit starts at {begin:g} s, after the end of the clip ({info.duration_s:.2f} s)")


def check_names(request: Request) -> None:
    """Raise UsageError for a folder such as "." where the name of a file is meant."""
    for option, path in (("-o", request.output), ("--codes", request.codes)):
        if path is not None and path.name in ("", ".."):
            raise UsageError(f"{option} {path} is a folder", remedy=f"give the name of a file, as in {option} NAME")


def _check_options(request: Request) -> None:
    """Raise UsageError for options that exclude each other."""
    check_names(request)
    if request.at is not None and not request.preview:
        raise UsageError("--at works only with --preview", remedy="give --preview as well")
    if request.at is not None and request.codes is not None and not request.codes_are_there:
        raise UsageError(
            f"--codes {request.codes} does not exist, and --at would write only a part of it",
            remedy="leave out --at or --codes",
        )
    tuned = request.config.generator or request.config.tune == "generator"
    if request.codes is not None and tuned:
        raise UsageError(
            "--codes belongs to the generator before tuning, but this run uses a tuned generator",
            remedy="leave out --codes, or --tune and --generator",
        )
