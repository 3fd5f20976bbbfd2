"""The request: what a job is asked for, which of that decides its output, and what "auto" means on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from vidinv import config as configs
from vidinv.backends.interface import Backend
from vidinv.config import NEITHER, RunConfig
from vidinv.editing.plan import ResolvedEdits
from vidinv.engines import runner
from vidinv.errors import UsageError
from vidinv.jobs import engine_autotune
from vidinv.jobs.job_folder import missed_path, page_path, preview_path, sidecar_path
from vidinv.media import codecs, sequence
from vidinv.media.probe import VideoInfo
from vidinv.report.gate import Gate


@dataclass(frozen=True)
class Request:
    """What is asked for: one input, one output and how; `at` in seconds restricts the run to a preview from there.

    `codes` names the inversion's file: taken where it exists, else made and kept. With `only_codes` nothing else is.
    A field decides what a job writes, and so whether an unfinished one is resumed, unless it is marked NEITHER.
    """

    source: Path = field(metadata=NEITHER)  # its content counts
    output: Path = field(metadata=NEITHER)
    config: RunConfig
    overwrite: bool = field(default=False, metadata=NEITHER)
    preview: bool = False
    at: float | None = None
    keep_job: bool = field(default=False, metadata=NEITHER)  # `keeps_strips` counts
    codes: Path | None = None
    only_codes: bool = False
    only_tuned: bool = False  # tuned to the clip; nothing is edited
    report: bool = field(default=False, metadata=NEITHER)  # a page that shows how well the person was kept
    thumbnails: bool = field(default=True, metadata=NEITHER)  # with pictures of the faces; `keeps_strips` counts
    gate: Gate = field(default_factory=Gate, metadata=NEITHER)  # judged when every frame is finished
    command: str = field(default="", metadata=NEITHER)  # the command line that asks for this
    c2pa: bool = field(default=False, metadata=NEITHER)  # sign the finished output
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


@dataclass(frozen=True)
class CheckedRequest:
    """A request that can be carried out, with what its check found out.

    `backend` is resolved once for the whole job, `moves` are the edits, `info` the facts of the clip or picture;
    `touches_faces` says whether faces have to be found, and drawn or inverted, at all.
    """

    request: Request
    backend: Backend
    moves: ResolvedEdits
    info: VideoInfo
    touches_faces: bool

    @property
    def needs(self) -> tuple[str, ...]:
        """Catalogue names of the weights that the job takes."""
        if not self.touches_faces:
            return ()
        makes_no_frame = self.request.only_codes or self.request.only_tuned
        return self.backend.needs if makes_no_frame else self.backend.all_needs


def encoder_options(config: RunConfig, output: Path) -> codecs.EncoderOptions:
    """What the configuration asks of the video encoder; for a folder of pictures, that nothing is lost on the way."""
    if sequence.is_folder(output) and config.codec not in ("auto", "lossless"):
        raise UsageError(
            f"{output} has no suffix: a folder of pictures, which has no codec",
            remedy=f"name the output {output.name}.mkv, or leave --codec out",
        )
    codec = "lossless" if sequence.is_folder(output) else config.codec
    return codecs.EncoderOptions(codec, config.crf, config.preset, config.pixel_format)


def edits_faces(moves: ResolvedEdits) -> bool:
    """Whether any move has a strength: where none has, no plane of the source changes."""
    return not all(move.is_still for move in moves)


def touches_faces(request: Request, moves: ResolvedEdits) -> bool:
    """Whether faces have to be found and drawn or inverted at all."""
    return edits_faces(moves) or request.preview or request.codes is not None or request.only_tuned


def settle(config: RunConfig, backend: Backend, recorded: Path | None = None) -> RunConfig:
    """`config` with what 0 threads and "auto" mean: what a job to be resumed `recorded`, else what suits this machine.

    `backend` is the one that `config` names.
    """
    known = configs.load_run_config(str(recorded)) if recorded is not None and recorded.exists() else None
    threads = known.threads if known else torch.get_num_threads()
    device = pick_device(known.device if known and config.device == "auto" else config.device)
    precision = known.precision if known and config.precision == "auto" else config.precision
    if precision == "auto":
        precision = runner.native_precision(device)
    engine = known.engine if known and config.engine == "auto" else config.engine
    config = replace(config, threads=config.threads or threads, device=device, precision=precision)
    return replace(config, engine=engine_autotune.quickest_engine(config, backend) if engine == "auto" else engine)


def pick_device(asked: str) -> str:
    """The device of the models; "auto" takes CUDA where there is one. UsageError for CUDA that is not there."""
    known = configs.CHOICES["device"]
    if asked not in known:
        raise UsageError(f"--device {asked!r} is not known", remedy=f"choose one of {', '.join(known)}")
    here = torch.cuda.is_available()
    if asked == "cuda" and not here:
        raise UsageError("--device cuda: PyTorch finds no CUDA device here", remedy="use --device cpu or auto")
    return "cuda" if here and asked != "cpu" else "cpu"
