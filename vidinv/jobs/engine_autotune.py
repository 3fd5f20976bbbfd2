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
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from vidinv import fileio
from vidinv.backends import registry as backends
from vidinv.engines.export_modules import PictureModule, SketchModule
from vidinv.engines.runner import PACKAGES, Runner
from vidinv.errors import OutputUnwritable, UsageError
from vidinv.stages import synthesize
from vidinv.weights import places

REPEATS = 5
WORTH = 0.9  # of torch's time: what another engine must come below


def engine(backend: str, size: int, precision: str, threads: int, device: str) -> str:
    """The quickest engine that draws this backend's pictures of `size` pixels as torch does; "eager" on a GPU."""
    rivals = [name for name, package in PACKAGES.items() if find_spec(package) is not None]
    if device != "cpu" or not rivals:
        return "eager"
    key = _key(backend, size, precision, threads)
    known = _known()
    if key not in known:
        known[key] = measured(backend, size, precision, threads, rivals)
        with suppress(OutputUnwritable):  # else it is measured again next time
            places.write_cached(_path(), json.dumps(known, indent=1))
    return min(known[key], key=lambda name: known[key][name] * (1 if name == "eager" else 1 / WORTH))


def measured(backend: str, size: int, precision: str, threads: int, rivals: list[str]) -> dict[str, float]:
    """Seconds of one picture by torch and by each of the rivals that can draw it; the shortest of some, in turn."""
    torch.set_num_threads(threads)
    graph, inputs = _graph(backend, size)
    runners = {name: Runner(name, precision, threads) for name in ("eager", *rivals)}
    for name in rivals:
        try:
            runners[name](graph, *inputs)
        except UsageError:
            del runners[name]
    took: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(REPEATS):
        for name, runner in runners.items():
            start = time.perf_counter()
            runner(graph, *inputs)
            took[name].append(time.perf_counter() - start)
    return {name: min(each) for name, each in took.items()}


def _graph(backend: str, size: int) -> tuple[torch.nn.Module, tuple[Tensor, ...]]:
    """What draws an edit of this size, and a code for it."""
    models = backends.choose_backend(backend).models("cpu", "")
    generator = models.generator
    with torch.no_grad():
        ws = generator.broadcast(generator.sample(1)).contiguous()
        at = models.encoder.at
        inputs = (ws,) if at is None else (ws, generator.synthesize(ws, stop=at))
    if synthesize.is_drawn_by_proxy(generator, models.proxy, size):
        return SketchModule(models.proxy, at), inputs
    return PictureModule(generator, at, synthesize.at_size(generator, size)), inputs


def _key(backend: str, size: int, precision: str, threads: int) -> str:
    machine = [
        platform.machine(),
        _processor(),
        threads,
        backend,
        backends.choose_backend(backend).digest,
        size,
        precision,
    ]
    versions = {name: version(name) for name in ("torch", *PACKAGES.values()) if find_spec(name) is not None}
    return fileio.sha256_of_bytes(json.dumps([machine, versions]))


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
