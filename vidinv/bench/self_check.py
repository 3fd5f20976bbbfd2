"""Check an installation: packages, weights, cache, disk, processor, GPU, and a small job from clip to clip.

`examine` looks and changes nothing; `try_job` edits a generated clip with the tiny networks in a temporary folder.
"""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vidinv import config as configs
from vidinv import extras, process
from vidinv.bench.synthetic_clip import make_clip
from vidinv.engines import runner
from vidinv.errors import VidinvError
from vidinv.jobs import request as requests
from vidinv.jobs import video_job
from vidinv.jobs.finalize import package_versions
from vidinv.jobs.request import Request
from vidinv.media import reader
from vidinv.weights import cache, converted, places

FRAMES = 12  # of the clip of the small job
LOW_DISK = 1_000_000_000  # bytes


@dataclass(frozen=True)
class Finding:
    """One line of the examination: what was looked at, how it is, and what to do where something is missing."""

    name: str
    state: Literal["ok", "missing", "problem"]
    text: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Return what is installed and what is missing."""
    return [*_packages(), _processor(), _gpu(), _folder(), *_weights()]


def _packages() -> Iterator[Finding]:
    versions = package_versions()
    named = ", ".join(f"{name} {versions[name]}" for name in ("torch", "av", "numpy") if name in versions)
    yield Finding("vidinv", "ok", f"{versions.get('vidinv', 'unknown')} on Python {platform.python_version()}; {named}")
    by_extra: dict[str, list[str]] = {}
    for module, (extra, _) in extras.EXTRAS.items():
        by_extra.setdefault(extra, []).append(module)
    for extra, modules in sorted(by_extra.items()):
        absent = [extras.EXTRAS[module][1] for module in modules if not extras.is_installed(module)]
        if absent:
            yield Finding(f"[{extra}]", "missing", f"without {', '.join(absent)}", f'pip install "vidinv[{extra}]"')
        else:
            yield Finding(f"[{extra}]", "ok", "installed")


def _processor() -> Finding:
    instructions = "with" if runner.native_precision("cpu") == "bfloat16" else "without"
    return Finding("processor", "ok", f"{process.cores()} cores, {instructions} bfloat16 instructions")


def _gpu() -> Finding:
    import torch

    if torch.cuda.is_available():
        return Finding("GPU", "ok", torch.cuda.get_device_name(0))
    return Finding("GPU", "missing", "PyTorch finds no CUDA device; everything runs on the processor")


def _folder() -> Finding:
    """The weights cache: where it is, what it holds, whether it can be written, and the space on its disk."""
    root = places.root()
    there = next(path for path in (root, *root.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    size = sum(file.stat().st_size for file in root.rglob("*") if file.is_file()) if root.exists() else 0
    text = f"{root}: {size / 1e6:.0f} MB, {free / 1e9:.1f} GB free"
    if not os.access(there, os.W_OK):
        return Finding("cache", "problem", f"{text}; it cannot be written", "set VIDINV_CACHE to a folder of yours")
    if free < LOW_DISK:
        return Finding("cache", "problem", f"{text}; the disk is nearly full", "free some space")
    return Finding("cache", "ok", text)


def _weights() -> Iterator[Finding]:
    """The core parts that a default run needs, by their state."""
    states = Counter[str]()
    for entry in cache.select():
        state = converted.state(entry)
        states[state] += 1
        if state in ("damaged", "outdated"):
            yield Finding(entry.name, "problem", f"its file in the cache is {state}", "run: vidinv weights pull")
    missing = states["missing"]
    if missing:
        text = f"{missing} of {sum(states.values())} core parts are not fetched yet"
        yield Finding("weights", "missing", text, "run: vidinv weights pull")
    elif not states["damaged"] + states["outdated"]:
        yield Finding("weights", "ok", f"all {sum(states.values())} core parts")


def try_job() -> Finding:
    """Edit a generated clip with the tiny networks, read the output back, and say how long that took."""
    begin = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="vidinv-doctor-") as folder:
            source, output = Path(folder) / "clip.mp4", Path(folder) / "edited.mp4"
            make_clip(source, size=(128, 128), frames=FRAMES)
            config = configs.with_edits(configs.load_run_config("fast", ["backend=tiny"]), ["age+1"])
            video_job.run(Request(source, output, config))
            frames = sum(len(batch.index) for batch in reader.read_frames(output, batch=4))
    except (VidinvError, OSError) as error:
        return Finding("small job", "problem", f"it failed: {error}", "run it again with --debug, and report it")
    spent = time.monotonic() - begin
    if frames != FRAMES:
        return Finding("small job", "problem", f"{frames} of {FRAMES} frames came out", "report it")
    return Finding("small job", "ok", f"{FRAMES} frames edited, written and read back in {spent:.1f} s")


def document(findings: list[Finding]) -> dict[str, Any]:
    """Return the findings as plain values for JSON."""
    from dataclasses import asdict

    return {"findings": [asdict(finding) for finding in findings], "device": requests.pick_device("auto")}
