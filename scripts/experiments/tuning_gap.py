"""Measure how much of the gap between encoder and full optimisation a clip tuning closes, on held-out frames.

python scripts/experiments/tuning_gap.py CLIP... [--what encoder] [--faces 3] [--latent 50] [--feature 100]
    [--config best]

Per clip: PSNR (at 256 pixels, [-1,1]) and ArcFace similarity of the encoder, of the encoder or the generator tuned to
the clip as `--tune` does, and of w+ and F optimised for each face, on frames that the tuning never saw; what share of
the gap the tuning closes; how many seconds it took; and what age -2 to +2 still moves, with what else it moves (in
standard deviations). Uses the weights that are in the cache.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vidinv import config as configs
from vidinv import fileio
from vidinv.analysis import face_tracks, first_pass
from vidinv.backends import registry as backends
from vidinv.backends.interface import Models
from vidinv.config import Effort, RunConfig
from vidinv.editing import feature_edit, refine
from vidinv.editing.refine import Guides
from vidinv.encoders.base import Encoder
from vidinv.faces import attribute_meter, crops
from vidinv.frames import Analysis, Code, concatenate
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.tuning import common as tuning
from vidinv.jobs.tuning import encoder as encoder_tuning
from vidinv.jobs.tuning import generator as generator_tuning
from vidinv.media import reader
from vidinv.media.probe import probe
from vidinv.metrics import image
from vidinv.process import tune_process
from vidinv.progress import SilentProgress

SIZE = 256
MEASURED = ("age", "smile", "yaw", "mouth_open")
Drawn = tuple[Generator, Code]


def analysed(clip: Path, config: RunConfig, folder: JobFolder) -> Analysis:
    """What a run's first pass sees of the clip."""
    backend = backends.choose_backend(config.backend)
    seen = first_pass.analyse(
        lambda first: reader.read_frames(clip, batch=config.batch, first=first),
        backend.locator(config.landmarks),
        folder.path,
        config,
        probe(clip).rotation,
        lambda frames: None,
    )
    analysis, _ = face_tracks.link_tracks(seen, config, backend, clip, [])
    return analysis


def key_crops(clip: Path, analysis: Analysis, keys: Sequence[Sequence[int]], size: int) -> list[Tensor]:
    """The aligned faces [1,3,size,size] of these (frame, track)."""
    wanted = {}
    for frame, number in keys:
        (track,) = (track for track in analysis.tracks if track.id == number)
        place = track.to_frame[int((track.frames == frame).argmax())]
        wanted[frame, number] = crops.rescale(place, track.crop, size)
    return [face for _, _, face in crops.aligned_faces(clip, wanted, size)]


@torch.no_grad()
def figures(drawn: Sequence[Drawn], guides: Guides, faces: Sequence[Tensor]) -> dict[str, float]:
    """Means over the faces of PSNR and the similarity of identity."""
    rows = []
    for (generator, code), face in zip(drawn, faces, strict=True):
        made = generator.picture(code, generator.sizes[0])
        near = float(image.psnr(resize(made, SIZE), resize(face, SIZE)))
        rows.append((near, float((guides.identity.embed(made) * guides.identity.embed(face)).sum())))
    psnr, identity = np.mean(rows, 0).tolist()
    return {"psnr": round(psnr, 2), "id": round(identity, 3)}


def coded(encoder: Encoder, faces: Sequence[Tensor]) -> list[Code]:
    """The encoder's code of each face."""
    with torch.no_grad():
        return [encoder(face) for face in faces]


def optimised(models: Models, guides: Guides, faces: Sequence[Tensor], effort: Effort) -> list[Code]:
    """w+ and F of each face, optimised through the whole generator from what the encoder says."""
    codes = coded(models.encoder, faces)
    pairs = zip(codes, faces, strict=True)
    return [refine.refine(models.generator, code, face, None, effort, guides)[0] for code, face in pairs]


@torch.no_grad()
def aged(backend: str, drawn: Sequence[Drawn], measure: Any) -> dict[str, float]:
    """Years that age -2 to +2 moves, and what it moves beside, in standard deviations of each attribute."""
    direction = backends.choose_backend(backend).direction("age")
    moved = []
    for generator, code in drawn:
        ends = [feature_edit.edit(generator, code, [(direction, strength)]) for strength in (-2.0, 2.0)]
        found = measure(generator.picture(concatenate(ends), generator.sizes[0]))
        moved.append([float(found[name][1] - found[name][0]) for name in MEASURED])
    years, *others = np.nanmean(moved, 0).tolist()
    leaks = zip(MEASURED[1:], others, strict=True)
    return {"years": round(years, 1)} | {name: round(value / attribute_meter.SPREADS[name], 2) for name, value in leaks}


def closed(before: float, after: float, best: float) -> float:
    """Share of the way from `before` to `best`."""
    return round((after - before) / (best - before), 2) if best != before else float("nan")


def judge(clip: Path, args: argparse.Namespace, folder: JobFolder) -> dict[str, Any]:
    """Everything that is measured of one clip."""
    config = configs.load_run_config(args.config, ["tuning.cache=false", *args.changes])
    models, guides = backends.choose_backend(config.backend).models("cpu", config.encoder), refine.load_guides()
    analysis = analysed(clip, config, folder)
    about = tuning.TuningClip(clip, fileio.content_sha256(clip), analysis, (0, analysis.frame_count))
    wall, cpu = time.monotonic(), time.process_time()
    fit = generator_tuning.tune_generator if args.what == "generator" else encoder_tuning.tune_encoder
    tuned, said = fit(models, about, config, folder, SilentProgress())
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    assert said is not None
    held = said["held_out"]
    keys = [held[place] for place in crops.evenly_spaced(args.faces, len(held))]
    faces = key_crops(clip, analysis, keys, models.generator.sizes[0])
    codes = {"encoder": coded(models.encoder, faces), "tuned": coded(tuned.encoder, faces)}
    codes["optimised"] = optimised(models, guides, faces, Effort(args.latent, args.feature))
    own = [tuned.of(person).generator for _, person in keys]
    drawn = {
        name: list(zip(own if name == "tuned" else [models.generator] * len(faces), each, strict=True))
        for name, each in codes.items()
    }
    rows = {name: figures(each, guides, faces) for name, each in drawn.items()}
    shares = {key: closed(*(rows[name][key] for name in ("encoder", "tuned", "optimised"))) for key in ("psnr", "id")}
    measure = backends.choose_backend(config.backend).measure(MEASURED)
    moved = {name: aged(config.backend, each, measure) for name, each in drawn.items()}
    times = {"tune_wall_s": round(wall, 1), "tune_cpu_s": round(cpu, 1)}
    return {**rows, "closed": shares, "age": moved, **times, "tuning": said, "judged": keys}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path, nargs="+")
    parser.add_argument("--what", choices=("encoder", "generator"), default="encoder", help="what is tuned")
    parser.add_argument("--faces", type=int, default=3, help="held-out faces that are judged, of each clip")
    parser.add_argument("--latent", type=int, default=50, help="steps of the optimisation on w+")
    parser.add_argument("--feature", type=int, default=100, help="and on F")
    parser.add_argument("--config", default="best", help="preset, for its tuning")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE", help="of the run")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    tune_process()
    table = {}
    for clip in args.clips:
        with tempfile.TemporaryDirectory() as place, JobFolder(Path(place) / "tuned") as folder:
            table[clip.name] = judge(clip, args, folder)
        print(json.dumps({clip.name: table[clip.name]}), flush=True)
        if args.json:
            args.json.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
