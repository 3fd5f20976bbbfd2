"""Learn and calibrate the shipped directions from the default generator's own samples.

python scripts/learn_directions.py --samples 4000 --gradients 600 --work FOLDER [--only age]

What is measured lies in the work folder and is taken from there the next time. `--pool FOLDER` adds the plain samples
of a training pool (`python -m trainers.samples`), whose pictures are drawn already.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional

from trainers.samples import load_pool
from vidinv.editing import directions, gradients, learn
from vidinv.faces.attributes import load_age_gender
from vidinv.faces.embedder import load_arcface
from vidinv.faces.meter import Meter, load_meter
from vidinv.generators import registry
from vidinv.generators.base import Generator

NAMES = ("age", "smile", "gender", "yaw", "eyeglasses")
CONDITIONS = {
    "age": ("gender", "yaw"),
    "smile": ("gender", "yaw", "age"),
    "gender": ("yaw", "smile", "age"),
    "yaw": (),
    "eyeglasses": ("gender", "smile", "yaw", "age"),
}
LAYERS = {"age": (0, 12), "smile": (2, 8), "gender": (0, 16), "yaw": (0, 4), "eyeglasses": (0, 8)}
BLEND = "replace"  # of all: residual blending ghosts wherever geometry moves
Method = Callable[[Tensor, Tensor], Tensor]  # w [N,D], what was measured [N] -> direction [D]
LEARN: dict[str, Method] = {"yaw": learn.ridge, "smile": learn.boundary, "gender": learn.boundary}
UNITS = {
    **{"age": "years", "smile": "mouth_width_ratio", "gender": "p_female", "yaw": "degrees"},
    **{"eyeglasses": "share_that_wear_them"},
}
LICENCE = "Apache-2.0 (vector); labels by networks with non-commercial terms, generator's teacher non-commercial"


def scores(meter: Meter, image: Tensor) -> np.ndarray:
    """[N,5] in the order of NAMES."""
    found = meter.measure(image)
    return np.stack([found[name] for name in NAMES], 1)


def measure(generator: Generator, w: Tensor, meter: Meter, batch: int = 4) -> np.ndarray:
    """Attributes of G(w): [N,5] in the order of NAMES."""
    rows = []
    for part in track(w.split(batch), description="measuring"):
        with torch.inference_mode():
            image = generator.synthesize(generator.broadcast(part), size=512).clamp(-1, 1)
            rows.append(scores(meter, image))
    return np.concatenate(rows)


def measure_pool(folder: Path, meter: Meter, batch: int = 4) -> tuple[Tensor, np.ndarray]:
    """w [N,D] and attributes [N,5] of a pool's samples of one w, with nothing pasted into their features."""
    pool = load_pool(folder)
    plain = (pool.ws == pool.ws[:, :1]).all(2).all(1) & (torch.arange(len(pool)) % 2 == 1)
    rows = []
    for part in track(plain.nonzero().flatten().split(batch), description="measuring the pool"):
        image = functional.interpolate(pool.image[part].float() / 127.5 - 1, 512, mode="bicubic").clamp(-1, 1)
        rows.append(scores(meter, image))
    return pool.ws[plain, 0].float(), np.concatenate(rows)


def calibrate(generator: Generator, direction: directions.Direction, w: Tensor, meter: Meter) -> dict[str, float]:
    """Mean change per unit of strength, from strength -1 to +1, of what the direction is named after."""
    moved = []
    for strength in (-1.0, 1.0):
        rows = []
        for part in w.split(4):
            with torch.inference_mode():
                ws = generator.broadcast(part) + direction.offset(strength, generator.num_ws)
                rows.append(meter.measure(generator.synthesize(ws, size=512).clamp(-1, 1))[direction.name])
        moved.append(np.concatenate(rows))
    return {UNITS[direction.name]: round(float(np.nanmean(moved[1] - moved[0]) / 2), 3)}


def samples(generator: Generator, count: int, seed: int) -> Tensor:
    """w [N,D] a little nearer to the mean than the generator draws them."""
    return generator.w_avg + 0.9 * (generator.sample(count, seed=seed) - generator.w_avg)


def readings(args: argparse.Namespace, generator: Generator, meter: Meter) -> dict[str, Tensor]:
    """`w` [N,D] and `scores` [N,5] of fresh samples and of the pool's, without those of which one is unknown."""
    w = samples(generator, args.samples, seed=11)
    measured = measure(generator, w, meter)
    if args.pool is not None:
        more, known = measure_pool(args.pool, meter)
        w, measured = torch.cat([w, more]), np.concatenate([measured, known])
    good = np.isfinite(measured).all(1)
    return {"w": w[torch.from_numpy(good)], "scores": torch.from_numpy(measured[good]).float()}


def age_gradients(count: int, generator: Generator) -> dict[str, Tensor]:
    """`score` and `identity` [N,D] of fresh samples: what age and ArcFace feel of w."""
    ages, arcface = load_age_gender().requires_grad_(False), load_arcface().requires_grad_(False)
    rows = track(samples(generator, count, seed=21), description="gradients")
    found = gradients.measure(generator, rows, lambda image: ages(image)[0], arcface.embed, seed=3)
    return {"score": found.score, "identity": found.identity}


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=4000)
    parser.add_argument("--gradients", type=int, default=600, help="samples that the gradients of age are taken on")
    parser.add_argument("--calibration", type=int, default=24, help="fresh samples that the calibration is measured on")
    parser.add_argument("--pool", type=Path, metavar="FOLDER", help="also learn from this pool")
    parser.add_argument("--work", type=Path, default=Path("runs/directions"), help="keeps what was measured")
    parser.add_argument("--only", action="append", choices=NAMES, help="write this direction; repeatable")
    parser.add_argument("--out", type=Path, default=directions.FOLDER)
    args = parser.parse_args()
    generator = registry.load("mobile-stylegan-ffhq-1024").requires_grad_(False)
    meter = load_meter()
    pooled = "" if args.pool is None else " and a training pool"
    read = stored(
        args.work / "readings.safetensors", f"{args.samples} samples{pooled}", lambda: readings(args, generator, meter)
    )
    felt = stored(
        args.work / "age-gradients.safetensors",
        f"{args.gradients} samples",
        lambda: age_gradients(args.gradients, generator),
    )
    w, score = read["w"], dict(zip(NAMES, read["scores"].T, strict=True))
    raw = {name: method(w, score[name]) for name, method in LEARN.items()}
    raw["eyeglasses"] = learn.difference(w, score["eyeglasses"] > 0.5)
    raw["age"] = learn.mean_gradient(felt["score"])
    fresh, spread = generator.sample(args.calibration, seed=12), generator.sample(10_000, seed=13)
    for name in args.only or NAMES:
        others = [raw[other] for other in CONDITIONS[name]]
        normal = vector = learn.condition(raw[name], others)
        origin = f"scripts/learn_directions.py, {len(w)} samples of {generator.name}{pooled}"
        if name == "age":
            vector = learn.condition(learn.preserving(normal, felt["identity"]), others)
            origin += f", gradients of age and ArcFace on {len(felt['score'])}"
        direction = directions.Direction(
            name, vector, learn.deviation(vector, spread, normal), LAYERS[name], generator.space, BLEND,
            origin=origin, licence=LICENCE,
        )  # fmt: skip
        calibration = calibrate(generator, direction, fresh, meter)
        done = directions.Direction(**{**direction.__dict__, "calibration": calibration})
        print(directions.write(done, args.out), direction.deviation, calibration)


if __name__ == "__main__":
    main()
