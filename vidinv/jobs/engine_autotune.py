"""Choose the fastest engine of this machine for `--engine auto`: measure once per backend, cache the result.

The candidates are torch and, if installed, OpenVINO and ONNX Runtime. torch.compile is not a candidate: its first call
took minutes and no graph became faster (docs/performance.md). Results are cached next to the weights, by machine and
versions. A job records its engine and keeps it when it is resumed.
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

from vidinv import fileio, fingerprint
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
WORTH = 0.9  # share of torch's time that another engine must stay below


def quickest_engine(config: RunConfig, backend: Backend) -> str:
    """The fastest engine that can run this job's networks; "eager" on a GPU.

    `config` is settled except for its engine; `backend` is the backend that it names.
    """
    candidates = [name for name, package in PACKAGES.items() if is_installed(package)]
    if config.device != "cpu" or not candidates:
        return "eager"
    key = _key(config, backend)
    known = _read_measurements()
    if key not in known:
        known[key] = measure_engines(config, backend, candidates)
        with suppress(OutputUnwritable):  # the engines are measured again next time
            places.write_cached(_path(), json.dumps(known, indent=1))
    return min(known[key], key=lambda name: known[key][name] * (1 if name == "eager" else 1 / WORTH))


def measure_engines(config: RunConfig, backend: Backend, candidates: list[str]) -> dict[str, float]:
    """Seconds of one picture by torch and each candidate that can run the job: the minimum of REPEATS runs in turn."""
    torch.set_num_threads(config.threads)
    graphs = _graphs(config, backend)
    runners = {name: Runner(name, config.precision, config.threads) for name in ("eager", *candidates)}
    for name in candidates:
        try:
            for graph, inputs in graphs:
                runners[name](graph, *inputs)
        except UsageError:
            del runners[name]
    render, inputs = graphs[-1]
    took: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(REPEATS):
        for name, runner in runners.items():
            start = time.perf_counter()
            runner(render, *inputs)
            took[name].append(time.perf_counter() - start)
    return {name: min(each) for name, each in took.items()}


def check_engine(config: RunConfig, backend: Backend, *, inverts: bool = True) -> None:
    """Raise UsageError if the engine of a settled `config` cannot run the job's encoder or generator.

    With stored codes (`inverts` False) the encoder is not needed. torch.compile runs what torch runs and is not tried.
    """
    if config.engine not in PACKAGES:
        return
    runner = Runner(config.engine, config.precision, config.threads)
    for graph, inputs in _graphs(config, backend, inverts=inverts):
        runner(graph, *inputs)


def _graphs(
    config: RunConfig, backend: Backend, *, inverts: bool = True
) -> list[tuple[torch.nn.Module, tuple[Tensor, ...]]]:
    """The modules that the engine runs, each with example inputs: the encoder (without refinement) and the renderer."""
    models = backend.models("cpu", config.encoder)
    generator, encoder, size = models.generator, models.encoder, config.crop
    with torch.no_grad():
        ws = generator.broadcast(generator.sample(1)).contiguous()
        at = encoder.at
        inputs = (ws,) if at is None else (ws, generator.synthesize(ws, stop=at))
    if synthesize.is_drawn_by_proxy(generator, models.proxy, size):
        render: torch.nn.Module = SketchModule(models.proxy, at)
    else:
        render = PictureModule(generator, at, synthesize.at_size(generator, size))
    if not (inverts and config.refine.is_off):
        return [(render, inputs)]
    return [(EncodingModule(encoder), (torch.zeros(1, 3, size, size),)), (render, inputs)]


def _key(config: RunConfig, backend: Backend) -> str:
    """One digest of the machine, the versions and the settings that decide how fast an engine is."""
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
    """The processor model: from /proc/cpuinfo on Linux, from Python elsewhere."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    model = sorted({line for line in lines if line.startswith(("model name", "flags"))})
    return "".join(model) or platform.processor()


def _path() -> Path:
    return places.root() / "engines.json"


def _read_measurements() -> dict[str, dict[str, float]]:
    try:
        return dict(fileio.read_json(_path()))
    except (OSError, ValueError):
        return {}
