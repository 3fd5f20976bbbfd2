"""The check at a job's door: everything that can be refused before work begins, whatever kind of job it is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vidinv import extras
from vidinv.analysis import given_boxes
from vidinv.backends import registry as backends
from vidinv.backends.interface import Backend
from vidinv.config import RunConfig
from vidinv.editing import grammar, plan
from vidinv.editing.plan import ResolvedEdits
from vidinv.encoders import encoder_file
from vidinv.engines import runner
from vidinv.errors import UsageError
from vidinv.faces import regions
from vidinv.jobs.job_folder import check_output, missed_path
from vidinv.jobs.request import CheckedRequest, Request, encoder_options, pick_device, touches_faces
from vidinv.media import codecs, sequence, writer
from vidinv.media.probe import VideoInfo, probe
from vidinv.provenance import manifest


def check_request(request: Request, backend: Backend | None = None) -> CheckedRequest:
    """Check a job on a video. `backend` is the one that the request names, where it is resolved already.

    Raises UsageError, InputUnreadable or OutputUnwritable; nothing is fetched or written.
    """
    backend, moves = check_common(request, backend)
    touched = touches_faces(request, moves)
    if touched:
        given_boxes.boxes_of_run(request.config, backend)
    info = probe(request.source)
    _check_times(moves, info)
    check_outputs([request.output], request.source, request.overwrite)
    if request.gate.is_set:
        check_output(missed_path(request.output), request.source, request.overwrite, request.output)
    if not (request.only_codes or request.only_tuned):
        if request.codes is not None and not request.codes_are_there:
            check_output(request.codes, request.source, overwrite=False)
        wished = encoder_options(request.config, request.output)
        if not sequence.is_folder(request.output):
            codecs.check_container(wished, info, request.output)
        writer.check_encodable(info, wished, request.output.suffix.lower())
    return CheckedRequest(request, backend, moves, info, touched)


def check_common(request: Request, backend: Backend | None = None) -> tuple[Backend, ResolvedEdits]:
    """What every request is checked for, on a video or a picture: its edits, options, signer and networks.

    Returns the resolved backend and the edits. Raises UsageError.
    """
    backend = backend or backends.choose_backend(request.config.backend)
    moves = resolve_edits(request.config.edits, backend)
    _check_options(request)
    if request.c2pa:
        manifest.check_signer(request.config.c2pa, request.output)
    check_networks(request.config, backend)
    if request.gate.is_set and not backend.recognises:
        raise UsageError(
            f"the backend {request.config.backend} has no identity network that a gate could judge by",
            remedy="leave --min-identity and --min-ic out",
        )
    return backend, moves


def check_outputs(outputs: Sequence[Path], source: Path, overwrite: bool) -> None:
    """Raise OutputUnwritable where an output cannot be written or exists, UsageError where it is `source` itself."""
    for output in outputs:
        check_output(output, source, overwrite)


def check_distinct(files: Sequence[Path]) -> None:
    """Raise UsageError where two of the files that a job writes have one name."""
    places = [path.absolute() for path in files]
    for path in places:
        if places.count(path) > 1:
            raise UsageError(f"{path.name} would be written twice", remedy="choose another -o, --codes or --render")


def check_networks(config: RunConfig, backend: Backend) -> None:
    """Raise UsageError for a device or an engine that is not here, and for a network's file that does not fit."""
    pick_device(config.device)
    if config.engine != "auto":
        runner.require(config.engine)
    _check_packages(config)
    if config.generator and not Path(config.generator).is_file():
        raise UsageError(f"the generator {config.generator} does not exist", remedy="check the path")
    if config.encoder:
        encoder_file.check_encoder(Path(config.encoder), backend.space)
    elif not backend.encodes and (config.refine.is_off or config.tune != "none"):
        asked = "no refinement" if config.refine.is_off else f"--tune {config.tune}"
        raise UsageError(
            f"the backend {backend.name} has no encoder, which {asked} asks for",
            remedy="take --quality balanced (with --tune none), which refines from the mean, or give --encoder",
        )


def _check_packages(config: RunConfig) -> None:
    """Raise UsageError for a setting whose package, of one of vidinv's extras, is not installed."""
    if config.tune != "none":
        extras.require_training(f"--tune {config.tune}", instead="give --tune none")
    if config.reader != "pyav":
        extras.require(config.reader, f"reader={config.reader}", instead="set reader=pyav")
    if config.landmarks == "fan":
        extras.require("face_alignment", "landmarks=fan", instead="set landmarks=2d106")


def resolve_edits(edits: Sequence[str], backend: Backend) -> ResolvedEdits:
    """What edits such as "age+2" ask for; UsageError for bad syntax, an unknown direction, rows that are not there."""
    wanted = map(grammar.parse, edits)
    moves = [
        plan.resolve_edit(backend.direction(entry.name), entry, backend.slots, backend.measures) for entry in wanted
    ]
    for move in moves:
        if not backend.parses and regions.is_local(plan.region(move)):
            raise UsageError(
                f"{move.edit.name} shows in the {plan.region(move)}, and the backend {backend.name} has no parser that "
                "finds it",
                remedy="add @region=face: the whole of the crop",
            )
    return moves


def _check_times(moves: ResolvedEdits, info: VideoInfo) -> None:
    for begin in (move.edit.span[0] for move in moves):
        if begin > 0 and info.duration_s and begin >= info.duration_s:
            raise UsageError(f"an edit begins at {begin:g} s, after the clip's end ({info.duration_s:.2f} s)")


def _check_options(request: Request) -> None:
    """Raise UsageError for options that exclude each other."""
    if request.at is not None and not request.preview:
        raise UsageError("--at chooses the part of a preview", remedy="give --preview as well")
    if request.at is not None and request.codes is not None and not request.codes_are_there:
        raise UsageError(
            f"--codes {request.codes} is not there, and --at makes only a part of it", remedy="leave one out"
        )
    tuned = request.config.generator or request.config.tune == "generator"
    if request.codes is not None and tuned:
        raise UsageError(
            "codes are kept for the generator as it is, and this run tunes it", remedy="leave --codes out, or --tune"
        )
    check_distinct(request.writes())
