"""The request: what a job is asked for, what can be refused before it begins, and what "auto" means here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from vidinv import config as configs
from vidinv.analysis import given_boxes
from vidinv.backends import registry as backends
from vidinv.config import RunConfig
from vidinv.editing import grammar, plan
from vidinv.editing.plan import ResolvedEdits
from vidinv.encoders import encoder_file
from vidinv.engines import runner
from vidinv.errors import UsageError
from vidinv.faces import regions
from vidinv.jobs import engine_autotune
from vidinv.jobs.job_folder import check_output, missed_path, page_path, preview_path, sidecar_path
from vidinv.media import codecs, sequence, writer
from vidinv.media.probe import VideoInfo, probe
from vidinv.provenance import manifest
from vidinv.report.gate import Gate


@dataclass(frozen=True)
class Request:
    """What is asked for: one input, one output and how; `at` in seconds restricts the run to a preview from there.

    `codes` names the inversion's file: taken where it is there, else made and kept. With `only_codes` nothing else is.
    """

    source: Path
    output: Path
    config: RunConfig
    overwrite: bool = False
    preview: bool = False
    at: float | None = None
    keep_job: bool = False
    codes: Path | None = None
    only_codes: bool = False
    only_tuned: bool = False  # tuned to the clip; nothing is edited
    report: bool = False  # a page that shows how well the person was kept
    thumbnails: bool = True  # with pictures of the faces
    gate: Gate = field(default_factory=Gate)
    command: str = ""  # the command line that asks for this
    c2pa: bool = False  # sign the output
    watermark: bool = False  # mark what is edited

    @property
    def keeps_strips(self) -> bool:
        """Whether pictures of the faces are kept while the job runs."""
        return self.thumbnails and (self.report or self.keep_job)

    def below_gate(self) -> Request:
        """The same under the name that says that its gate was missed."""
        return replace(self, output=missed_path(self.output))

    @property
    def codes_are_there(self) -> bool:
        """Whether an inversion lies where `codes` says, to be taken from there."""
        return self.codes is not None and self.codes.exists() and not self.only_codes

    def writes(self) -> list[Path]:
        """Every file that the job would leave."""
        if self.only_codes or self.only_tuned:
            return [self.output]
        files = [self.output] if self.at is None else []
        files += [sidecar_path(self.output)]
        files += [preview_path(self.output)] if self.preview else []
        files += [page_path(self.output)] if self.report else []
        return files + ([self.codes] if self.codes is not None and not self.codes_are_there else [])


def check_request(request: Request) -> tuple[ResolvedEdits, VideoInfo]:
    """Everything that can be refused before work begins; returns the edits and the facts of the clip.

    Raises UsageError, InputUnreadable or OutputUnwritable; nothing is fetched or written.
    """
    moves = resolve_edits(request.config.edits, request.config.backend)
    _check_options(request)
    check_signing(request)
    check_networks(request.config)
    _check_backend(request, moves)
    info = probe(request.source)
    _check_times(moves, info)
    check_output(request.output, request.source, request.overwrite)
    if request.gate.is_set:
        check_output(missed_path(request.output), request.source, request.overwrite, request.output)
    if not (request.only_codes or request.only_tuned):
        if request.codes is not None and not request.codes_are_there:
            check_output(request.codes, request.source, overwrite=False)
        wished = encoder_options(request.config, request.output)
        if not sequence.is_folder(request.output):
            codecs.check_container(wished, info, request.output)
        writer.check_encodable(info, wished, request.output.suffix.lower())
    return moves, info


def encoder_options(config: RunConfig, output: Path) -> codecs.EncoderOptions:
    """What the configuration asks of the video encoder; for a folder of pictures, that nothing is lost on the way."""
    if sequence.is_folder(output) and config.codec not in ("auto", "lossless"):
        raise UsageError(
            f"{output} has no suffix: a folder of pictures, which has no codec",
            remedy=f"name the output {output.name}.mkv, or leave --codec out",
        )
    codec = "lossless" if sequence.is_folder(output) else config.codec
    return codecs.EncoderOptions(codec, config.crf, config.preset, config.pixel_format)


def resolve_edits(edits: Sequence[str], backend: str) -> ResolvedEdits:
    """What edits such as "age+2" ask for; UsageError for bad syntax, an unknown direction, rows that are not there."""
    chosen = backends.choose_backend(backend)
    wanted = map(grammar.parse, edits)
    moves = [plan.resolve_edit(chosen.direction(entry.name), entry, chosen.slots, chosen.measures) for entry in wanted]
    for move in moves:
        if not chosen.parses and regions.is_local(plan.region(move)):
            raise UsageError(
                f"{move.edit.name} shows in the {plan.region(move)}, and the backend {backend} has no parser that "
                "finds it",
                remedy="add @region=face: the whole of the crop",
            )
    return moves


def edits_faces(moves: ResolvedEdits) -> bool:
    """Whether any move has a strength: where none has, no plane of the source changes."""
    return not all(move.is_still for move in moves)


def touches_faces(request: Request, moves: ResolvedEdits) -> bool:
    """Whether faces have to be found and drawn or inverted at all."""
    return edits_faces(moves) or request.preview or request.codes is not None or request.only_tuned


def _check_times(moves: ResolvedEdits, info: VideoInfo) -> None:
    for begin in (move.edit.span[0] for move in moves):
        if begin > 0 and info.duration_s and begin >= info.duration_s:
            raise UsageError(f"an edit begins at {begin:g} s, after the clip's end ({info.duration_s:.2f} s)")


def _check_options(request: Request) -> None:
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
    files = [path.absolute() for path in request.writes()]
    for path in files:
        if files.count(path) > 1:
            raise UsageError(f"{path.name} would be written twice over", remedy="choose another -o or --codes")


def check_networks(config: RunConfig) -> None:
    """Raise UsageError for a device that is not here, or for a network's file that is not there or does not fit."""
    pick_device(config.device)
    if config.engine != "auto":
        runner.require(config.engine)
    backend = backends.choose_backend(config.backend)
    if config.generator and not Path(config.generator).is_file():
        raise UsageError(f"the generator {config.generator} does not exist", remedy="check the path")
    if config.encoder:
        encoder_file.check_encoder(Path(config.encoder), backend.space)
    elif not backend.encodes and (config.refine.is_off or config.tune != "none"):
        asked = "no refinement" if config.refine.is_off else f"--tune {config.tune}"
        raise UsageError(
            f"the backend {config.backend} has no encoder, which {asked} asks for",
            remedy="take --quality balanced (with --tune none), which refines from the mean, or give --encoder",
        )


def _check_backend(request: Request, moves: ResolvedEdits) -> None:
    """Raise UsageError for what the backend's parts cannot do."""
    backend = backends.choose_backend(request.config.backend)
    if request.gate.is_set and not backend.recognises:
        raise UsageError(
            f"the backend {request.config.backend} has no identity network that a gate could judge by",
            remedy="leave --min-identity and --min-ic out",
        )
    if touches_faces(request, moves):
        given_boxes.of(request.config, backend)


def check_signing(request: Request) -> None:
    """Raise UsageError where the output is to be signed and could not be."""
    if request.c2pa:
        manifest.check_signer(request.config.c2pa, request.output)


def settle(config: RunConfig, recorded: Path | None = None) -> RunConfig:
    """`config` with what 0 threads and "auto" mean: what a job to be resumed `recorded`, else what is here."""
    known = configs.load_run_config(str(recorded)) if recorded is not None and recorded.exists() else None
    threads = known.threads if known else torch.get_num_threads()
    device = pick_device(known.device if known and config.device == "auto" else config.device)
    precision = known.precision if known and config.precision == "auto" else config.precision
    if precision == "auto":
        precision = runner.native_precision(device)
    engine = known.engine if known and config.engine == "auto" else config.engine
    config = replace(config, threads=config.threads or threads, device=device, precision=precision)
    if engine == "auto":
        engine = engine_autotune.engine(config.backend, config.crop, precision, config.threads, device)
    return replace(config, engine=engine)


def pick_device(asked: str) -> str:
    """The device of the models; "auto" takes CUDA where there is one. UsageError for CUDA that is not there."""
    known = configs.CHOICES["device"]
    if asked not in known:
        raise UsageError(f"--device {asked!r} is not known", remedy=f"choose one of {', '.join(known)}")
    here = torch.cuda.is_available()
    if asked == "cuda" and not here:
        raise UsageError("--device cuda: PyTorch finds no CUDA device here", remedy="use --device cpu or auto")
    return "cuda" if here and asked != "cpu" else "cpu"
