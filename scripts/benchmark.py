"""Frames per second of the main job, whole and per stage, and its peak memory, on one clip.

python scripts/benchmark.py examples/synthetic.mp4 --quality fast --edit age+2 [--json -]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import sys
import tempfile
from pathlib import Path
from typing import Any

from vidinv.process import tune_process


def measure(source: Path, quality: str, edits: list[str], changes: list[str]) -> dict[str, Any]:
    """Run the job once in a temporary folder; rates come from its own report, memory from the operating system."""
    from stages import job
    from stages.request import Request
    from vidinv import config as configs

    config = configs.with_edits(configs.load(quality, changes), edits)
    with tempfile.TemporaryDirectory() as folder:
        report = job.run(Request(source, Path(folder) / f"out{source.suffix}", config))
    timing, frames = report["timing"], report["frames"]
    rates = {
        name: {"frames_per_s": round(frames / stage["busy_s"], 2) if stage["busy_s"] else None, **stage}
        for name, stage in timing["stages"].items()
    }
    return {
        "clip": source.name,
        "quality": quality,
        "edits": edits,
        "frames": frames,
        "frames_per_s": round(frames / timing["wall_s"], 3),
        "wall_s": timing["wall_s"],
        "cpu_utilisation": round(timing["cpu_s"] / timing["wall_s"] / (os.cpu_count() or 1), 3),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "stages": rates,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--quality", default="fast")
    parser.add_argument("--edit", action="append", default=[])
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there; - is standard output")
    args = parser.parse_args()
    tune_process()
    figures = measure(args.clip, args.quality, args.edit or ["age+2"], args.changes)
    if args.json == "-":
        json.dump(figures, sys.stdout, indent=1)
        return
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")
    print(f"{figures['clip']}: {figures['frames']} frames at {figures['frames_per_s']} frames/s ({args.quality})")
    print(f"processors {figures['cpu_utilisation']:.0%} busy, peak memory {figures['peak_memory_mb']} MB")
    for name, stage in figures["stages"].items():
        print(f"  {name:<12} {stage['frames_per_s']} frames/s  busy {stage['busy_s']} s  waits {stage['wait_s']} s")


if __name__ == "__main__":
    main()
