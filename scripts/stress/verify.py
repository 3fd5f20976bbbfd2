"""Compare outputs with their source: times, sound, attributes, identity by both networks, and the mask's cover.

python scripts/stress/verify.py talk.mp4 talk.edited.mp4 [more outputs of talk.mp4 ...] [--every 4] [--json -]

Attributes are measured on the source's and the output's decoded frames through one alignment, the source's.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from vidinv.faces import detector, landmarks, pictures
from vidinv.faces.attribute_meter import Meter, load_meter
from vidinv.faces.crops import crop
from vidinv.frames import Array, FrameBatch
from vidinv.media import probe, reader
from vidinv.process import tune_process

SIZE = 512
NAMES = ("age", "smile", "gender", "yaw", "eyeglasses")


def times(path: Path) -> list[float]:
    """Presentation times of the video's packets in seconds, sorted."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return sorted(float(p.pts * p.time_base) for p in container.demux(stream) if p.pts is not None)


def sound(path: Path) -> list[str]:
    """One digest per audio stream, over the bytes of its packets in order."""
    with av.open(str(path)) as container:
        digests = {stream.index: hashlib.sha256() for stream in container.streams.audio}
        for packet in container.demux(*container.streams.audio) if digests else ():
            digests[packet.stream.index].update(bytes(packet))
    return [digest.hexdigest() for digest in digests.values()]


def quads(path: Path, every: int) -> list[Array | None]:
    """Crop-to-frame transform [2,3] of the largest face of every `every`-th frame; None where there is no face."""
    finder = pictures.Finder(detector.load_detector(), landmarks.load_landmarks())
    turn = -probe.probe(path).rotation
    return [pictures.largest(pictures.picture(batch), finder, turn, SIZE) for batch in every_frame(path, every)]


def attributes(path: Path, every: int, where: list[Array | None], meter: Meter) -> Array:
    """[M,5] in the order of NAMES, for the frames that have a transform."""
    rows = []
    for batch, to_frame in zip(every_frame(path, every), where, strict=False):  # the counts are reported
        if to_frame is not None:
            image = torch.from_numpy(crop(batch.native[0], batch.colour, to_frame, SIZE)).permute(2, 0, 1)[None]
            measured = meter.measure(image * 2 - 1)
            rows.append([float(measured[name][0]) for name in NAMES])
    return np.array(rows).reshape(-1, len(NAMES))


def every_frame(path: Path, every: int) -> Iterator[FrameBatch]:
    """Frames 0, every, 2 every ... of `path`, one at a time."""
    return (batch for batch in reader.read_frames(path, batch=1) if batch.index[0] % every == 0)


def verify(source: Path, outputs: list[Path], every: int) -> dict[str, dict[str, Any]]:
    """One entry per output; identity and cover come from its own report, the rest is measured here."""
    meter, where = load_meter(), quads(source, every)
    before, own_times, own_sound = attributes(source, every, where, meter).mean(0), times(source), sound(source)
    found = {}
    for output in outputs:
        after = attributes(output, every, where, meter).mean(0)
        made = times(output)
        report = json.loads(output.with_name(output.name + ".json").read_text())
        networks = {name: report["identity"][name] for name in ("arcface", "lightcnn")}
        found[output.name] = {
            "frames": [len(own_times), len(made)],
            "times_equal": own_times == made,
            "sound_equal": own_sound == sound(output),
            "attributes": {n: [round(float(x[k]), 3) for x in (before, after)] for k, n in enumerate(NAMES)},
            "identity": {name: [of["inversion_mean"], of["edit_mean"]] for name, of in networks.items()},
            "cover_min": min((track["mask_cover_min"] for track in report["identity"]["tracks"]), default=None),
            "confidence": [track["confidence_mean"] for track in report["identity"]["tracks"]],
            "wall_s": report["timing"]["wall_s"],
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path)
    parser.add_argument("outputs", type=Path, nargs="+")
    parser.add_argument("--every", type=int, default=4, help="frames between measured ones")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there; - is standard output")
    args = parser.parse_args()
    tune_process()
    found = verify(args.source, args.outputs, args.every)
    if args.json == "-":
        json.dump(found, sys.stdout, indent=1)
        return
    if args.json:
        Path(args.json).write_text(json.dumps(found, indent=1) + "\n")
    for name, entry in found.items():
        print(name)
        for key, value in entry.items():
            print(f"  {key}: {value}")


if __name__ == "__main__":
    main()
