"""Which engine is the quickest on this machine: measured once for a backend's pictures, and remembered.

`--engine auto` asks. torch is always in the race; OpenVINO and ONNX Runtime where they are installed. torch.compile is
not: its first call took minutes and no graph became quicker by it (docs/performance.md). What was found is kept beside
the weights, by machine and versions; a job records it, and goes on with it wherever it is resumed.
"""

from __future__ import annotations

import json
import platform
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import torch
from torch import Tensor

from vidinv import fingerprint
from vidinv.backends.interface import Backend
from vidinv.config import RunConfig
from vidinv.engines.export_modules import EncodingModule, PictureModule, SketchModule
from vidinv.engines.runner import PACKAGES, Runner
from vidinv.errors import OutputUnwritable, UsageError
from vidinv.extras import is_installed
from vidinv.stages import synthesize
from vidinv.stages.codes import encoder_digest
from vidinv.weights import places

REPEATS = 5
WORTH = 0.9  # of torch's time: what another engine must come below


def quickest_engine(config: RunConfig, backend: Backend) -> str:
    """The quickest engine that runs this job's networks as torch does; "eager" on a GPU.

    All of `config` but the engine is settled; `backend` is the one that it names.
    """
    rivals = [name for name, package in PACKAGES.items() if is_installed(package)]
    if config.device != "cpu" or not rivals:
        return "eager"
    key = _key(config, backend)
    known = _known()
    if key not in known:
        known[key] = measured(config, backend, rivals)
        with suppress(OutputUnwritable):  # else it is measured again next time
            places.write_cached(_path(), json.dumps(known, indent=1))
    return min(known[key], key=lambda name: known[key][name] * (1 if name == "eager" else 1 / WORTH))


def measured(config: RunConfig, backend: Backend, rivals: list[str]) -> dict[str, float]:
    """Seconds of one picture by torch and by each of the rivals that can run the job; the shortest of some, in turn."""
    torch.set_num_threads(config.threads)
    graphs = _graphs(config, backend)
    runners = {name: Runner(name, config.precision, config.threads) for name in ("eager", *rivals)}
    for name in rivals:
        try:
            for graph, inputs in graphs:
                runners[name](graph, *inputs)
        except UsageError:
            del runners[name]
    drawing, inputs = graphs[-1]
    took: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(REPEATS):
        for name, runner in runners.items():
            start = time.perf_counter()
            runner(drawing, *inputs)
            took[name].append(time.perf_counter() - start)
    return {name: min(each) for name, each in took.items()}


def check_engine(config: RunConfig, backend: Backend, *, inverts: bool = True) -> None:
    """Raise UsageError where the engine that a settled `config` names cannot run the job's encoder or generator.

    A job that takes stored codes does not need the encoder (`inverts`). torch.compile runs whatever torch runs, and is
    not tried.
    """
    if config.engine not in PACKAGES:
        return
    runner = Runner(config.engine, config.precision, config.threads)
    for graph, inputs in _graphs(config, backend, inverts=inverts):
        runner(graph, *inputs)


def _graphs(
    config: RunConfig, backend: Backend, *, inverts: bool = True
) -> list[tuple[torch.nn.Module, tuple[Tensor, ...]]]:
    """What the job hands to its engine, each with inputs: the encoder where nothing refines, and what draws an edit."""
    models = backend.models("cpu", config.encoder)
    generator, encoder, size = models.generator, models.encoder, config.crop
    with torch.no_grad():
        ws = generator.broadcast(generator.sample(1)).contiguous()
        at = encoder.at
        inputs = (ws,) if at is None else (ws, generator.synthesize(ws, stop=at))
    if synthesize.is_drawn_by_proxy(generator, models.proxy, size):
        drawing: torch.nn.Module = SketchModule(models.proxy, at)
    else:
        drawing = PictureModule(generator, at, synthesize.at_size(generator, size))
    if not (inverts and config.refine.is_off):
        return [(drawing, inputs)]
    return [(EncodingModule(encoder), (torch.zeros(1, 3, size, size),)), (drawing, inputs)]


def _key(config: RunConfig, backend: Backend) -> str:
    """One digest of the machine, the versions, and all of the job that decides how quick an engine is."""
    versions = {name: version(name) for name in ("torch", *PACKAGES.values()) if is_installed(name)}
    return fingerprint.digest(
        {
            "machine": [platform.machine(), _processor()],
            "threads": config.threads,
            "backend": [backend.name, backend.digest],
            "encoder": encoder_digest(config),
            "encodes": config.refine.is_off,
            "size": config.crop,
            "precision": config.precision,
            "versions": versions,
        }
    )


def _processor() -> str:
    """The processor's model, as Linux says it; elsewhere what Python knows."""
    said = Path("/proc/cpuinfo")
    lines = said.read_text().splitlines() if said.exists() else []
    model = sorted({line for line in lines if line.startswith(("model name", "flags"))})
    return "".join(model) or platform.processor()


def _path() -> Path:
    return places.root() / "engines.json"


def _known() -> dict[str, dict[str, float]]:
    try:
        return dict(json.loads(_path().read_text()))
    except (OSError, ValueError):
        return {}
