"""Compare: benchmark the main job against the serial baseline, alternately and in one process for equal conditions."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidinv import process
from vidinv.backends import registry as backends
from vidinv.bench import end_to_end, isolated_stages, roofline, serial
from vidinv.bench.end_to_end import MeasuredRun
from vidinv.bench.isolated_stages import IsolatedCost
from vidinv.bench.serial import SerialSetup
from vidinv.config import RunConfig, SmoothConfig
from vidinv.faces.crops import crop
from vidinv.frames import Array, Colour
from vidinv.jobs import check
from vidinv.jobs import request as requests
from vidinv.jobs.request import Request
from vidinv.media import colour as colours
from vidinv.media import reader
from vidinv.metrics import image

COMPARED = 256  # pixels, side of the crops in which the two outputs are compared


def setup(source: Path, config: RunConfig) -> SerialSetup:
    """Load the networks once for both flows. After this call the process keeps every network that it loads."""
    backends.keep_networks_loaded()
    backend = backends.choose_backend(config.backend)
    config = requests.settle(config, backend)
    checked = check.check_request(Request(source, source.with_name(f".{source.stem}.bench.mkv"), config), backend)
    models, locate = backend.models(config.device, config.encoder), backend.locator(config.landmarks)
    torch.set_num_threads(config.threads)
    return SerialSetup(source, checked.info, config, checked.edits, backend, models, locate)


def bench(source: Path, config: RunConfig, *, repeats: int, serial_frames: int) -> dict[str, Any]:
    """All figures of `vidinv bench` for one clip, by the keys of its JSON.

    Each repeat runs the main job, the main job stage by stage (for a short clip) and, with `serial_frames` above 0, the
    baseline on that many frames. The ratios are those of seconds per frame in each repeat; the median is reported.
    """
    shared = setup(source, config)
    _, flops = end_to_end.counted(source, shared.config)
    end_to_end.forget_peak()
    end_to_end.run(source, shared.config)  # an engine compiles in this run, so that compilation is not timed below
    peak = process.peak_memory_mb()
    if serial_frames:
        _serial(shared, 1)
    ours: list[MeasuredRun] = []
    theirs: list[MeasuredRun] = []
    apart: list[IsolatedCost] = []
    for _ in range(repeats):
        ours.append(end_to_end.run(source, shared.config))
        if ours[0].frames <= isolated_stages.FRAMES:
            apart.append(isolated_stages.run(source, shared.config))
        if serial_frames:
            theirs.append(_serial(shared, serial_frames))
    best = min(each.wall_s / each.frames for each in ours)
    found = end_to_end.as_json(ours) | {"peak_memory_mb": peak, "threads": shared.config.threads}
    precision = shared.config.precision
    found |= {"engine": shared.config.engine, "precision": precision} | roofline.name_of(shared.config.device)
    rates = roofline.measure(shared.config.device)
    found |= {"roofline": roofline.reached(rates, precision, flops, best)} | end_to_end.media_alone(
        source, shared.config
    )
    if apart:
        found["alone"] = isolated_stages.compare_costs(ours, apart)
    if not serial_frames:
        return found
    pairs = list(zip(ours, theirs, strict=True))
    return found | {
        "ratio_to_serial_baseline": end_to_end.spread([_ratio(*pair, "wall_s") for pair in pairs])["median"],
        "ratio_to_serial_baseline_cpu": end_to_end.spread([_ratio(*pair, "cpu_s") for pair in pairs])["median"],
        "serial_baseline": end_to_end.as_json(theirs) | {"shares": shares(theirs), "agreement_db": agreement(shared)},
        "shares": shares(ours),
    }


def shares(measured: list[MeasuredRun]) -> dict[str, float]:
    """Each stage's share of the total busy time of all stages, in the fastest repeat."""
    stages = min(measured, key=lambda each: each.wall_s).stages
    total = sum(took["busy_s"] for took in stages.values())
    return {name: round(took["busy_s"] / total, 3) for name, took in stages.items()}


def agreement(shared: SerialSetup, frames: int = 2) -> float:
    """PSNR in dB between the edited crops of the main job and of the baseline, at equal settings.

    For this comparison the baseline keeps PNGs, and the main job parses every frame at the same size and detects no
    occluders; neither smooths the crops, both draw with the generator at its full size and write losslessly. Returns
    the least value over the first `frames`.
    """
    config = shared.config
    detailed = replace(config.mask, parse_every=1, parse_size=serial.PARSED, occlusion=0.0)
    side = shared.models.generator.resolution
    config = replace(config, mask=detailed, smooth=SmoothConfig(0, 0), codec="lossless", crop=side)
    same = replace(shared, config=config)
    with tempfile.TemporaryDirectory() as folder:
        theirs, ours = Path(folder) / "serial", Path(folder) / "ours.mkv"
        theirs.mkdir()
        serial.run(same, theirs, frames, lossless=True)
        end_to_end.run(shared.source, config, ours)
        places = _places(same, frames)
        colour = shared.info.colour  # the baseline's file does not contain it
        pairs = zip(_crops(ours, colour, places), _crops(theirs / "out.nut", colour, places), strict=True)
        return round(min(float(image.psnr(*pair)) for pair in pairs), 2)


def _serial(shared: SerialSetup, frames: int) -> MeasuredRun:
    with tempfile.TemporaryDirectory() as folder:
        times = serial.run(shared, Path(folder), frames)
    stages = {name: took | {"wait_s": 0.0} for name, took in times.items()}
    total = {key: sum(took[key] for took in times.values()) for key in ("busy_s", "cpu_s")}
    return MeasuredRun(frames, total["busy_s"], total["cpu_s"], stages)


def _ratio(ours: MeasuredRun, theirs: MeasuredRun, key: str) -> float:
    return (getattr(theirs, key) / theirs.frames) / (getattr(ours, key) / ours.frames)


def _places(shared: SerialSetup, frames: int) -> list[Array]:
    """The crop-to-frame transforms [2,3] of the face on the first frames, for crops of COMPARED pixels."""
    batch = next(reader.read_frames(shared.source, batch=frames))
    pictures = [serial.as_bytes(colours.to_rgb(planes, batch.colour)) for planes in batch.native]
    analysis, _ = serial.linked(shared, pictures, list(batch.pts))
    return [serial.place(analysis, index, COMPARED) for index in range(frames)]


def _crops(video: Path, colour: Colour, places: list[Array]) -> list[Tensor]:
    """The crops [1,3,s,s] in [-1,1] of a video's first frames."""
    batch = next(reader.read_frames(video, batch=len(places)))
    found = [crop(planes, colour, at, COMPARED) for planes, at in zip(batch.native, places, strict=True)]
    return [torch.from_numpy(each).permute(2, 0, 1)[None] * 2 - 1 for each in found]  # HWC -> 1CHW
