"""`vidinv bench`: benchmark this machine against a serial baseline and against its theoretical limit."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from vidinv import config as configs
from vidinv.cli import json_target, options
from vidinv.cli.run import resolve
from vidinv.terminal import print_line

SECONDS = 2.0  # length of the synthetic clip if none is given


@options.grouped
def bench(
    clip: Annotated[
        Path | None,
        typer.Argument(metavar="[CLIP]", help="A clip with a face in every frame. Default: a synthetic one."),
    ] = None,
    edit: options.Edits = None,
    repeats: Annotated[int, typer.Option(help="Runs per measurement; the median is reported.", min=1)] = 3,
    serial_frames: Annotated[
        int, typer.Option(metavar="N", help="Frames of the serial baseline; 0 skips it.", min=0)
    ] = 8,
    growth: Annotated[
        bool, typer.Option("--growth", help="Also clips of 10 to 120 s, other sizes and more faces (about 15 minutes).")
    ] = False,
    *,
    common: options.Job,
) -> None:
    """Time the main job as a whole and by stage, against a serial baseline and the machine's limit.

    The weights are required.

    Example: vidinv bench talk.mp4 --quality fast --edit age+2 --json bench.json
    """
    from vidinv.backends import registry as backends
    from vidinv.bench import compare
    from vidinv.bench import scaling as growing
    from vidinv.weights import cache

    config = configs.with_edits(resolve(common), edit or ["age+2"])
    backend = backends.choose_backend(config.backend)
    cache.need(backend.all_needs, offline=common.offline, accept=common.accept_licences)
    with tempfile.TemporaryDirectory() as folder:
        source = clip or _made(Path(folder) / "synthetic.mp4", backend.generator)
        found = compare.bench(source, config, repeats=repeats, serial_frames=serial_frames)
        if growth:
            found["growth"] = growing.measure(source, config)
    found = {"clip": source.name, "quality": config.quality, "edits": list(config.edits), "repeats": repeats} | found
    if common.json_to is not None:
        json_target.write_json(found, common.json_to)
    if common.json_to != "-":
        for line in lines(found):
            print_line(line)


def _made(path: Path, generator: str) -> Path:
    from vidinv.generators import registry
    from vidinv.jobs import demo

    demo.write_demo(path, registry.load_generator(generator), seconds=SECONDS, done=lambda frames: None)
    return path


def lines(found: dict[str, Any]) -> list[str]:
    """Format the figures as text lines."""
    rate, roof = found["frames_per_s"], found["roofline"]
    engine = f"{found['engine']} in {found['precision']}" + (f" on {found['gpu']}" if "gpu" in found else "")
    rows = [
        f"{found['clip']}, {found['quality']}, {found['threads']} threads, {engine}: "
        f"{rate['median']} frames/s ({rate['min']} to {rate['max']}; {found['repeats']} runs of {found['frames']})",
        f"cores {found['cpu_utilisation']:.0%} busy, {found['cpu_s_per_frame']['median']} CPU s per frame, "
        f"peak memory {found['peak_memory_mb']} MB",
        f"convolutions here {roof['conv_gflops_float32']} GFLOP/s (bfloat16 {roof['conv_gflops_bfloat16']}), memory "
        f"{roof['memory_gb_per_s']} GB/s; a frame is {roof['gflop_per_frame']} GFLOP, at least "
        f"{roof['floor_ms_per_frame']} ms: {roof['fraction_reached']:.0%} reached",
        f"reader alone {found['reader_frames_per_s']} frames/s, writer alone {found['writer_frames_per_s']}",
        *_stages("ours", found),
        *(_alone(found["alone"], found["threads"]) if "alone" in found else []),
    ]
    if "serial_baseline" in found:
        base = found["serial_baseline"]
        rows += [
            *_stages("serial baseline", base),
            f"{found['ratio_to_serial_baseline']:.2f} times as fast as the serial baseline "
            f"({found['ratio_to_serial_baseline_cpu']:.2f} by CPU seconds); pictures agree: {base['agreement_db']} dB",
        ]
    return rows + (_growth(found["growth"]) if "growth" in found else [])


def _alone(found: dict[str, Any], threads: int) -> list[str]:
    rows = [
        f"  {name:<12} {row['cpu_ms']:>9.2f} CPU ms/frame, alone {row['alone_cpu_ms']:.2f}: {row['over']:+.0%}"
        for name, row in found["stages"].items()
    ]
    total, most = found["total"], found["largest"]
    what = "" if threads == 1 else f", without torch's {threads} threads (--set threads=1)"
    return [
        f"each stage's own thread, in the job and alone{what}:",
        *rows,
        f"all threads {total['cpu_ms']} CPU ms/frame, alone {total['alone_cpu_ms']}: {total['over']:+.0%}",
        f"most above what it costs alone: {most['stage']}, {most['over']:+.0%}",
    ]


def _growth(found: dict[str, Any]) -> list[str]:
    fit, faces = found["by_length"], found["faces_fit"]
    text = []
    for name, rows in (("seconds", fit["runs"]), ("pixels", found["by_side"]), ("faces", found["by_faces"])):
        text += [
            f"{value:>5} {name:<8} {row['cpu_ms_per_frame']:>9.1f} CPU ms/frame, {row['frames_per_s']} frames/s, "
            f"peak memory {row['memory_mb']} MB"
            for value, row in rows.items()
        ]
    return [
        *text,
        f"by length: {fit['start_cpu_s']} CPU s and {fit['frame_cpu_ms']} ms per frame; no run differs by more than "
        f"{fit['largest_deviation']:.1%}",
        f"by faces: {faces['start_cpu_s']:.3f} CPU s per frame, {faces['each_cpu_s']:.3f} per face; no run "
        f"differs by more than {faces['largest_deviation']:.1%}",
    ]


def _stages(name: str, found: dict[str, Any]) -> list[str]:
    total = sum(took["ms_per_frame"] for took in found["stages"].values())
    rows = []
    for stage, took in found["stages"].items():
        ms, busy = took["ms_per_frame"], took["occupancy"]
        rows.append(f"  {stage:<12} {ms:>9.2f} ms/frame, {ms / max(total, 1e-9):>4.0%} of all; {busy:.0%} of the time")
    return [f"{name}:", *rows]
