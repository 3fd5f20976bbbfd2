"""Measure the watermark: PSNR of the marked samples, detection after re-encoding, and false alarms.

python scripts/experiments/watermark.py survive PLAIN MARKED     # two lossless outputs of one run, without and with
    --watermark
python scripts/experiments/watermark.py clean CLIP...            # stretches of unmarked clips, each read on its own
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from vidinv.media import photo, reader
from vidinv.provenance import inspection, watermark_embed
from vidinv.provenance.payload import Message
from vidinv.provenance.watermark_detect import Votes

SCALED = "scale=trunc(iw*3/8)*2:trunc(ih*3/8)*2"
TRIALS = {
    "as written": None,
    "x264 CRF 23": ["-c:v", "libx264", "-crf", "23"],
    "x264 CRF 28": ["-c:v", "libx264", "-crf", "28"],
    "x264 CRF 32": ["-c:v", "libx264", "-crf", "32"],
    "CRF 23, then 75 %, CRF 23": ["-vf", SCALED, "-c:v", "libx264", "-crf", "23"],
    "CRF 23, then 75 %, CRF 28": ["-vf", SCALED, "-c:v", "libx264", "-crf", "28"],
    "x265 CRF 28": ["-c:v", "libx265", "-crf", "28", "-x265-params", "log-level=none"],
    "VP9 CRF 36": ["-c:v", "libvpx-vp9", "-crf", "36", "-b:v", "0", "-cpu-used", "6"],
    "mirrored, CRF 23": ["-vf", "hflip", "-c:v", "libx264", "-crf", "23"],
    "cropped by 10 %, CRF 23": ["-vf", "crop=trunc(iw*0.45)*2:trunc(ih*0.45)*2", "-c:v", "libx264", "-crf", "23"],
}


def lumas(path: Path) -> Iterator[np.ndarray]:
    """The luma of every frame, [H,W] in 8-bit levels."""
    for batch in reader.read_frames(path, batch=1):
        yield watermark_embed.luma_of(batch.native[0], batch.colour)


def cost(plain: Path, marked: Path) -> str:
    """PSNR of the luma samples that the mark changed, and how many those are."""
    squares = changed = total = 0.0
    for before, after in zip(lumas(plain), lumas(marked), strict=True):
        difference = (after - before)[after != before]
        squares, changed, total = squares + (difference**2).sum(), changed + difference.size, total + before.size
    return f"PSNR {10 * np.log10(255**2 / (squares / changed)):.2f} dB of {changed / total:.1%} of the samples"


def survive(plain: Path, marked: Path) -> None:
    """Print the mark's cost, and what is read after each trial."""
    print(f"{marked.name}: {cost(plain, marked)}")
    with tempfile.TemporaryDirectory() as place:
        for number, (name, options) in enumerate(TRIALS.items()):
            path = marked if options is None else Path(place) / f"{number}.mkv"
            first = Path(place) / "first.mkv"
            if options is not None and name.startswith("CRF 23, then"):
                encode(marked, first, TRIALS["x264 CRF 23"] or [])
            if options is not None:
                encode(first if first.exists() else marked, path, options)
            first.unlink(missing_ok=True)
            message = inspection.inspect(path).watermark
            print(f"  {name}: {'nothing' if message is None else f'{message.identity}, score {message.score}'}")


def encode(source: Path, target: Path, options: list[str]) -> None:
    """Encode the video of `source` by ffmpeg."""
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(source), "-map", "0:v:0", *options, str(target)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def clean(paths: list[Path]) -> None:
    """Print how many stretches of unmarked clips (or pictures) seem to hold a mark."""
    tried, alarms = 0, []
    for path in paths:
        found = [inspection.inspect(path).watermark] if photo.is_photo(path) else list(_stretches(path))
        tried += len(found)
        alarms += [(path.name, message) for message in found if message is not None]
    print(f"{tried} stretches of {len(paths)} unmarked files: {len(alarms)} false alarms {alarms or ''}")


def _stretches(path: Path) -> Iterator[Message | None]:
    frames = lumas(path)
    while stretch := list(islice(frames, inspection.STRETCH)):
        votes = Votes()
        for luma in stretch:
            votes.add(luma)
        yield votes.read()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("survive")
    one.add_argument("plain", type=Path)
    one.add_argument("marked", type=Path)
    one.set_defaults(run=lambda given: survive(given.plain, given.marked))
    two = commands.add_parser("clean")
    two.add_argument("clips", type=Path, nargs="+")
    two.set_defaults(run=lambda given: clean(given.clips))
    given = parser.parse_args()
    given.run(given)


if __name__ == "__main__":
    main()
