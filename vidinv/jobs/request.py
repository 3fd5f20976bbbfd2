"""Define the request of a job, which of its fields decide the output, and what "auto" means on this machine."""

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
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.request_files import RequestFiles, missed_path, page_path, preview_path, sidecar_path
from vidinv.media import codecs, sequence
from vidinv.media.probe import VideoInfo
from vidinv.report.gate import Gate


@dataclass(frozen=True)
class Request:
    """One input, one output and how to make it; `at` in seconds limits the run to a preview from there.

    `codes` names the inversion's file: read if it exists, otherwise written. `only_codes` writes nothing else. Every
    field decides the output, and so whether an unfinished job is resumed, unless it is marked NEITHER.
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
    only_tuned: bool = False  # write the network that is tuned to the clip; nothing is edited
    report: bool = field(default=False, metadata=NEITHER)  # write a page that shows how well the identity was kept
    thumbnails: bool = field(default=True, metadata=NEITHER)  # show pictures of the faces on it; `keeps_strips` counts
    gate: Gate = field(default_factory=Gate, metadata=NEITHER)  # checked when every frame is finished
    command: str = field(default="", metadata=NEITHER)  # the command line of the request
    c2pa: bool = field(default=False, metadata=NEITHER)  # sign the finished output
    watermark: bool = False  # add a watermark to edited frames
    strip_location: bool = False  # leave out where a photo was taken
    force: bool = field(default=False, metadata=NEITHER)  # allow strengths far beyond the measured range

    @property
    def keeps_strips(self) -> bool:
        """Whether pictures of the faces are kept while the job runs."""
        return self.thumbnails and (self.report or self.keep_job)

    def below_gate(self) -> Request:
        """The same request with the output name of a missed gate."""
        return replace(self, output=missed_path(self.output))

    @property
    def codes_are_there(self) -> bool:
        """Whether the file `codes` exists and is to be read; an unfinished job that writes it does not read it."""
        is_read = self.codes is not None and self.codes.exists() and not self.only_codes
        return is_read and not JobFolder(self.output).codes.exists()

    def files(self) -> RequestFiles:
        """Every file that the job writes; those of a preview from `at` are named after the preview."""
        if self.only_codes:
            return RequestFiles(codes=self.output)
        if self.only_tuned:
            return RequestFiles(output=self.output)
        main = self.output if self.at is None else preview_path(self.output)
        return RequestFiles(
            output=self.output if self.at is None else None,
            preview=preview_path(self.output) if self.preview else None,
            page=page_path(main) if self.report else None,
            report=sidecar_path(main),
            codes=None if self.codes_are_there else self.codes,
        )


@dataclass(frozen=True)
class CheckedRequest:
    """A request that passed its check.

    `files` are all that it writes. `backend` is resolved once for the whole job, `edits` are resolved, `info` describes
    the clip or picture; `touches_faces` says whether faces must be found at all.
    """

    request: Request
    files: RequestFiles
    backend: Backend
    edits: ResolvedEdits
    info: VideoInfo
    touches_faces: bool

    @property
    def reads_codes(self) -> bool:
        """Whether the codes of the request are read from its file, and not written."""
        return self.request.codes is not None and self.files.codes is None

    def below_gate(self) -> CheckedRequest:
        """The same request with the names of a missed gate; the codes keep theirs."""
        request = self.request.below_gate()
        return replace(self, request=request, files=replace(request.files(), codes=self.files.codes))

    @property
    def needs(self) -> tuple[str, ...]:
        """Catalogue names of the weights that the job needs."""
        if not self.touches_faces:
            return ()
        makes_no_frame = self.request.only_codes or self.request.only_tuned
        return self.backend.needs if makes_no_frame else self.backend.all_needs


def encoder_options(config: RunConfig, output: Path) -> codecs.EncoderOptions:
    """Options of the video encoder from the configuration; lossless for an output folder of pictures."""
    if sequence.is_folder(output) and config.codec not in ("auto", "lossless"):
        raise UsageError(
            f"{output} has no suffix, so it is a folder of pictures, to which --codec {config.codec} does not apply",
            remedy=f"name the output {output.name}.mkv, or leave out --codec",
        )
    codec = "lossless" if sequence.is_folder(output) else config.codec
    return codecs.EncoderOptions(codec, config.crf, config.preset, config.pixel_format)


def edits_faces(edits: ResolvedEdits) -> bool:
    """Whether any edit has a strength; otherwise every plane equals the source's."""
    return not all(resolved.is_still for resolved in edits)


def touches_faces(request: Request, edits: ResolvedEdits) -> bool:
    """Whether faces must be found, to be drawn or inverted."""
    return edits_faces(edits) or request.preview or request.codes is not None or request.only_tuned


def settle(config: RunConfig, backend: Backend, recorded: Path | None = None) -> RunConfig:
    """Replace 0 threads and "auto" by values: those `recorded` of a resumed job, or this machine's.

    `backend` is the backend that `config` names.
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


def pick_device(device: str) -> str:
    """The device of the models; "auto" prefers CUDA. Raises UsageError if CUDA is requested but not available."""
    known = configs.CHOICES["device"]
    if device not in known:
        raise UsageError(f"--device {device!r} is not known", remedy=f"choose one of {', '.join(known)}")
    here = torch.cuda.is_available()
    if device == "cuda" and not here:
        raise UsageError("--device cuda: PyTorch finds no CUDA device here", remedy="use --device cpu or auto")
    return "cuda" if here and device != "cpu" else "cpu"
