"""Measure time and memory of a run with an imported generator and encoder, from the checkpoints to the video.

Writes a StyleGAN2 of 1024 pixels (rosinality's layout) and a Feature-Style encoder of 18 heads (its published layout),
both of random values, imports them, puts a backend together and edits a clip by SeFa, all through the command line in
processes of their own. Prints the processor's seconds and the largest resident memory of each.

    python -m scripts.experiments.imported_pair examples/synthetic.mp4 --frames 6 --frames 24
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from vidinv.encoders import feature_style
from vidinv.generators import stylegan2
from vidinv.media import reader
from vidinv.media.codecs import EncoderOptions
from vidinv.media.probe import probe
from vidinv.media.writer import SegmentWriter

FAST = ["--quality", "fast", "--progress", "none"]
SHOWN = ["--set", "mask.residual_good=9", "--set", "mask.residual_bad=10"]  # random networks invert nothing


@torch.no_grad()
def checkpoints(folder: Path) -> None:
    """`generator.pt` and `encoder.pt` of random values, as their projects publish them."""
    torch.manual_seed(0)
    generator = stylegan2.StyleGAN2("any", "any-w")
    generator.w_avg.copy_(generator.sample(1000).mean(0))
    state = {"g_ema": generator.state_dict(), "latent_avg": generator.w_avg}
    torch.save(state, folder / "generator.pt")
    encoder = feature_style.for_generator(generator).train()
    encoder(torch.rand(2, 3, 256, 256) * 2 - 1)  # batch statistics, so that the codes are of a usual size
    torch.save(encoder.state_dict(), folder / "encoder.pt")


def measured(*command: object, cache: Path) -> tuple[float, float]:
    """Processor seconds and MiB, at their largest, of a command of vidinv. Raises SystemExit where it fails."""
    environment = {**os.environ, "VIDINV_CACHE": str(cache)}
    process = subprocess.Popen([sys.executable, "-m", "vidinv", *map(str, command)], env=environment)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"vidinv {' '.join(map(str, command))} failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def cut(clip: Path, part: Path, frames: int) -> None:
    """The first `frames` of a clip, without loss."""
    with SegmentWriter(part, probe(clip), EncoderOptions("lossless")) as writer:
        for batch in itertools.islice(reader.read_frames(clip, batch=1), frames):
            writer.write(batch.native[0], batch.pts[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, action="append", help="how many of the clip's; repeatable")
    parser.add_argument("--alignment", default="ffhq", choices=("ffhq", "center", "none"))
    parser.add_argument("--cache", type=Path, help="where fetched weights lie; a new one if not given")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cache = args.cache or folder / "cache"
        generator, encoder = folder / "generator.pt", folder / "encoder.pt"
        # In a process of its own: what this one has held would count as its children's.
        maker = multiprocessing.get_context("spawn").Process(target=checkpoints, args=(folder,))
        maker.start()
        maker.join()
        steps = {
            "import generator": ("weights", "import", generator, "--as", "random-1024", "--overwrite"),
            "import encoder": (
                "weights",
                "import",
                encoder,
                "--as",
                "random-fse",
                "--for",
                "random-1024",
                "--overwrite",
            ),
            "create": (
                *("backend", "create", folder / "pair.yaml", "--generator", "random-1024", "--encoder", "random-fse"),
                *("--alignment", args.alignment, *(() if args.alignment == "ffhq" else ("--guides", "pixels"))),
            ),
        }
        for what, command in steps.items():
            print(f"{what:<18} %6.1f s  %6.0f MiB" % measured(*command, cache=cache), flush=True)
        for frames in args.frames or [6]:
            part, output = folder / f"part{frames}.mkv", folder / f"out{frames}.mkv"
            cut(args.clip, part, frames)
            command = (
                "run",
                part,
                "--backend",
                folder / "pair.yaml",
                "--edit",
                "sefa.1+3",
                "-o",
                output,
                *FAST,
                *SHOWN,
            )
            took, peak = measured(*command, cache=cache)
            report = json.loads(output.with_name(output.name + ".json").read_text())
            print(
                f"run, {report['frames']:>3} frames    {took:6.1f} s  {peak:6.0f} MiB; {report['faces']} crops edited"
            )


if __name__ == "__main__":
    main()
