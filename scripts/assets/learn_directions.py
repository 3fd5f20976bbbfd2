"""Learn and calibrate the shipped directions from the default generator's own samples.

python scripts/assets/learn_directions.py --samples 2800 --gradients 600 --work FOLDER [--only age] [--table PAGE]

Measurements are stored in the work folder and reused by later runs. `--table` writes the page that shows every shipped
direction, with its picture strips.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.progress import Progress, track
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from vidinv.backends import registry as backends
from vidinv.backends.interface import Models
from vidinv.editing import direction_training, directions, gradients, learn
from vidinv.editing.direction_training import Lesson, MeasuredSamples, RenderContext
from vidinv.editing.directions import Direction
from vidinv.faces import geometry
from vidinv.faces.attribute_meter import FACE_BOX, UNITS
from vidinv.faces.attributes import load_age_gender
from vidinv.faces.embedder import load_arcface
from vidinv.faces.landmarks import load_landmarks
from vidinv.generators import proxy as proxies
from vidinv.generators.base import Generator
from vidinv.jobs.directions import preview
from vidinv.media import photo

STILL = ("yaw", "pitch", "age", "gender")  # what no edit but their own should change


def made(name: str, method: str, *free_of: str, rows: tuple[int, int] | None = None, region: str = "face") -> Lesson:
    return Lesson(name, UNITS[name], method, free_of, rows, region)


LESSONS = {
    entry.name: entry
    for entry in (
        made("age", "ridge", "gender", "yaw", rows=(0, 12)),  # as those of BENT, along its scorer's mean gradient
        made("smile", "boundary", "gender", "yaw", "age", rows=(2, 8)),
        made("gender", "boundary", "yaw", "smile", "age", rows=(0, 16)),
        made("yaw", "ridge", rows=(0, 4)),
        made("pitch", "ridge", "yaw", "smile", "mouth_open"),
        made("eyeglasses", "difference", "gender", "smile", "yaw", "age", rows=(0, 8)),
        made("mouth_open", "ridge", *STILL, "smile", rows=(0, 8)),
        made("eyes_open", "ridge", *STILL, "smile", "eyeglasses"),
        made("chubby", "boundary", *STILL, "smile", "mouth_open"),
        made("bangs", "boundary", *STILL, "smile", region="head"),
        made("hair_length", "boundary", *STILL, region="head"),
        made("hair_lightness", "ridge", *STILL, region="hair"),
    )
}
# Learned from gradients: how little each is bent to what ArcFace does not feel (the weight of `learn.preserving`).
BENT = {"age": 1.0, "mouth_open": 10.0}
Score = Callable[[Tensor], Tensor]  # pictures [N,3,S,S] -> [N]
LICENCE = "Apache-2.0 (vector); labels by networks with non-commercial terms, generator's teacher non-commercial"


def bent(name: str, readings: MeasuredSamples, score: Tensor, identity: Tensor, generator: Generator) -> Direction:
    """Along the mean of gradients `score` [N,D], bent to where ArcFace changes little (`learn.preserving`)."""
    entry = LESSONS[name]
    others = direction_training.others(entry, LESSONS, readings)
    normal = learn.condition(learn.mean_gradient(score), others)
    vector = learn.condition(learn.preserving(normal, identity, BENT[name]), others)
    spread = generator.sample(10_000, seed=13)
    origin = f"gradients of {name} and ArcFace on {len(score)} and {len(identity)} samples of {generator.name}"
    rows = entry.rows or (0, generator.num_ws)
    return Direction(name, vector, learn.deviation(vector, spread, normal), rows, generator.space, origin=origin)


def age_gradients(count: int, generator: Generator) -> dict[str, Tensor]:
    """`score` and `identity` [N,D] of fresh samples: what age and ArcFace feel of w."""
    ages, arcface = load_age_gender().requires_grad_(False), load_arcface().requires_grad_(False)
    rows = track(direction_training.samples(generator, count, seed=21), description="gradients of age")
    found = gradients.measure(generator, rows, lambda image: ages(image)[0], arcface.embed, seed=3)
    return {"score": found.score, "identity": found.identity}


def lips() -> Score:
    """The gap between the lips, as the landmark network sees it."""
    points = load_landmarks()
    return lambda image: geometry.opening(points.of_crops(image, np.array(FACE_BOX) * image.shape[-1]))


def row_gradients(name: str, count: int, generator: Generator) -> dict[str, Tensor]:
    """`score` [N,D] of fresh samples as the proxy head draws them: what a scorer of SCORES feels of w in its rows."""
    rows, paint = LESSONS[name].rows, proxies.load_proxy(generator, 256)
    assert rows is not None
    drawn = track(direction_training.samples(generator, count, seed=21), description=f"gradients of {name}")
    ws = (generator.broadcast(w[None])[0] for w in drawn)
    return {"score": gradients.along_rows(paint, ws, SCORES[name](), rows)}


SCORES: dict[str, Callable[[], Score]] = {"mouth_open": lips}


def measured(count: int, studio: RenderContext) -> dict[str, Tensor]:
    """`w` [N,D] and `scores` [N,A] in the order of UNITS, of samples as the proxy head draws them."""
    with Progress() as progress:
        task = progress.add_task("measuring", total=count)
        drawn = direction_training.samples(studio.generator, count, seed=11)
        found = direction_training.measure_samples(studio, drawn, lambda n: progress.advance(task, n))
    return {"w": found.w, "scores": torch.stack([found.scores[name] for name in UNITS], 1)}


def stored(path: Path, made: str, make: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """Tensors from a file; made and kept there if it does not exist. `made` says how: the file must say the same."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}")
        save_file({key: value.contiguous() for key, value in make().items()}, partial, metadata={"made": made})
        partial.replace(path)
    with safe_open(str(path), framework="pt") as file:
        known = (file.metadata() or {}).get("made")
    if known != made:
        raise SystemExit(f"{path} was made with {known}, not with {made}: give another --work")
    return load_file(path)


def felt(args: argparse.Namespace, name: str, generator: Generator) -> tuple[Tensor, Tensor]:
    """Gradients [N,D] of one of BENT and of ArcFace, from the work folder or taken now."""
    count = args.gradients
    kept = stored(args.work / "age-gradients.safetensors", f"{count} samples", lambda: age_gradients(count, generator))
    if name == "age":
        return kept["score"], kept["identity"]
    path = args.work / f"{name}-gradients.safetensors"
    return stored(path, f"{count} samples", lambda: row_gradients(name, count, generator))["score"], kept["identity"]


def table(page: Path, models: Models, space: str) -> None:
    """The page of every shipped direction: a table, and a strip each in the folder `directions` beside it."""
    folder = page.with_name("directions")
    folder.mkdir(exist_ok=True)
    head = [
        "name",
        "strength 1",
        "rows",
        "ArcFace at -2, -1, +1, +2",
        "what else strength 1 moves, in standard deviations",
    ]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    strips = []
    for name in directions.shipped_names(space):
        entry = directions.load_direction(name, space)
        ((unit, change),) = entry.calibration.items()
        kept = ", ".join(f"{entry.kept[s]:.2f}" for s in ("-2", "-1", "+1", "+2"))
        leak = sorted(entry.leak.items(), key=lambda item: -abs(item[1]))[:4]
        said = ", ".join(f"{of} {value:+.2f}" for of, value in leak)
        rows = f"{entry.layers[0]}-{entry.layers[1] - 1}"
        lines.append(f"| [`{name}`](#{name}) | {change:+.3g} {unit} | {rows} | {kept} | {said} |")
        photo.write_photo(
            folder / f"{name}.jpg",
            photo.Photo(preview.draw_direction(models, entry, 2, seed=5)),
            {"vidinv_direction": name},
        )
        strips.append(f"## {name}\n\n![{name} from -3 to +3](directions/{name}.jpg)\n")
    text = page.read_text(encoding="utf-8")
    begin, end = "<!-- made by scripts/assets/learn_directions.py -->\n", "<!-- end -->"
    before, after = text.split(begin)[0], text.split(end)[-1]
    page.write_text(before + begin + "\n".join(lines) + "\n\n" + "\n".join(strips) + end + after, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2800)
    parser.add_argument("--gradients", type=int, default=600, help="samples that gradients are taken on")
    parser.add_argument(
        "--calibration", type=int, default=16, help="fresh samples that rows and calibration are taken on"
    )
    parser.add_argument("--work", type=Path, default=Path("runs/directions"), help="keeps what was measured")
    parser.add_argument("--only", action="append", choices=list(LESSONS), help="write this direction; repeatable")
    parser.add_argument("--again", action="store_true", help="calibrate what is shipped, learn nothing")
    parser.add_argument("--out", type=Path, default=directions.FOLDER)
    parser.add_argument("--table", type=Path, metavar="PAGE", help="write the table and the strips as well")
    args = parser.parse_args()
    backend = backends.choose_backend("default")
    models = backend.models("cpu", "")
    studio = backends.render_context(models)
    generator = studio.generator
    read = stored(args.work / "readings.safetensors", f"{args.samples} samples", lambda: measured(args.samples, studio))
    readings = MeasuredSamples(read["w"], dict(zip(UNITS, read["scores"].T, strict=True)))
    fresh = direction_training.samples(generator, args.calibration, seed=12)
    for name in args.only or LESSONS:
        entry = LESSONS[name]
        if args.again or name in BENT:
            direction = (
                directions.load_direction(name, generator.space)
                if args.again
                else bent(name, readings, *felt(args, name, generator), generator)
            )
            done = direction_training.calibrate(
                direction, entry.unit, studio, fresh, direction_training.spreads_of(readings)
            )
        else:
            done = direction_training.learn_direction(entry, LESSONS, readings, studio, fresh)
        done = replace(done, licence=LICENCE)
        leak = sorted(done.leak.items(), key=lambda item: -abs(item[1]))[:4]
        print(
            directions.write_direction(done, args.out).name, done.layers, done.calibration, done.kept, leak, flush=True
        )
    if args.table is not None:
        table(args.table, models, generator.space)


if __name__ == "__main__":
    main()
