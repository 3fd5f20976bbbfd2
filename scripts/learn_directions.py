"""Learn and calibrate the shipped directions from the default generator's own samples.

python scripts/learn_directions.py --samples 2000 --out vidinv/assets/directions

`--pool FOLDER` adds the plain samples of a training pool (`python -m trainers.samples`), whose pictures are drawn.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from rich.progress import track
from torch.nn import functional

from trainers.samples import load_pool
from vidinv.editing import directions, learn
from vidinv.faces.meter import Meter, load_meter
from vidinv.generators import registry
from vidinv.generators.base import Generator

NAMES = ("age", "smile", "gender", "yaw", "eyeglasses")
CONDITIONS = {
    "age": ("gender", "smile", "yaw"),  # not eyeglasses: it would halve what age does to some faces
    "smile": ("gender", "yaw", "age"),
    "gender": ("yaw", "smile", "age"),
    "yaw": (),
    "eyeglasses": ("gender", "smile", "yaw", "age"),
}
LAYERS = {"age": (0, 16), "smile": (2, 8), "gender": (0, 16), "yaw": (0, 4), "eyeglasses": (0, 8)}
BLEND = "replace"  # of all: residual blending ghosts wherever geometry moves
LEARN = {"age": learn.ridge, "yaw": learn.ridge, "smile": learn.boundary, "gender": learn.boundary}
UNITS = {
    **{"age": "years", "smile": "mouth_width_ratio", "gender": "p_female", "yaw": "degrees"},
    **{"eyeglasses": "share_that_wear_them"},
}
LICENCE = "Apache-2.0 (vector); labels by networks with non-commercial terms, generator's teacher non-commercial"


def scores(meter: Meter, image: torch.Tensor) -> np.ndarray:
    """[N,5] in the order of NAMES."""
    found = meter.measure(image)
    return np.stack([found[name] for name in NAMES], 1)


def measure(generator: Generator, w: torch.Tensor, meter: Meter, batch: int = 4) -> np.ndarray:
    """Attributes of G(w): [N,5] in the order of NAMES."""
    rows = []
    for part in track(w.split(batch), description="measuring"):
        with torch.inference_mode():
            image = generator.synthesize(generator.broadcast(part), size=512).clamp(-1, 1)
            rows.append(scores(meter, image))
    return np.concatenate(rows)


def measure_pool(folder: Path, meter: Meter, batch: int = 4) -> tuple[torch.Tensor, np.ndarray]:
    """w [N,D] and attributes [N,5] of a pool's samples of one w, with nothing pasted into their features."""
    pool = load_pool(folder)
    plain = (pool.ws == pool.ws[:, :1]).all(2).all(1) & (torch.arange(len(pool)) % 2 == 1)
    rows = []
    for part in track(plain.nonzero().flatten().split(batch), description="measuring the pool"):
        image = functional.interpolate(pool.image[part].float() / 127.5 - 1, 512, mode="bicubic").clamp(-1, 1)
        rows.append(scores(meter, image))
    return pool.ws[plain, 0].float(), np.concatenate(rows)


def calibrate(generator: Generator, direction: directions.Direction, w: torch.Tensor, meter: Meter) -> dict[str, float]:
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--calibration", type=int, default=24, help="fresh samples that the calibration is measured on")
    parser.add_argument("--pool", type=Path, metavar="FOLDER", help="also learn from this pool")
    parser.add_argument("--out", type=Path, default=directions.FOLDER)
    args = parser.parse_args()
    generator = registry.load("mobile-stylegan-ffhq-1024")
    meter = load_meter()
    w = generator.w_avg + 0.9 * (generator.sample(args.samples, seed=11) - generator.w_avg)
    measured = measure(generator, w, meter)
    pooled = "" if args.pool is None else ", those of a training pool among them"
    if args.pool is not None:
        more, known = measure_pool(args.pool, meter)
        w, measured = torch.cat([w, more]), np.concatenate([measured, known])
    good = np.isfinite(measured).all(1)
    w, target = w[torch.from_numpy(good)], torch.from_numpy(measured[good]).float()
    raw = {name: LEARN[name](w, target[:, k]) for k, name in enumerate(NAMES) if name in LEARN}
    raw["eyeglasses"] = learn.difference(w, target[:, NAMES.index("eyeglasses")] > 0.5)
    fresh = generator.sample(args.calibration, seed=12)
    spread = generator.sample(10_000, seed=13)
    for name in NAMES:
        vector = learn.condition(raw[name], [raw[other] for other in CONDITIONS[name]])
        direction = directions.Direction(
            name, vector, learn.deviation(vector, spread), LAYERS[name], generator.space, BLEND,
            origin=f"scripts/learn_directions.py, {int(good.sum())} samples of {generator.name}{pooled}",
            licence=LICENCE,
        )  # fmt: skip
        calibration = calibrate(generator, direction, fresh, meter)
        done = directions.Direction(**{**direction.__dict__, "calibration": calibration})
        print(directions.write(done, args.out), direction.deviation, calibration)


if __name__ == "__main__":
    main()
