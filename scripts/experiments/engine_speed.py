"""Measure the cost of the default backend's networks by engine and precision, and of refinement gradients in torch.

python -m scripts.experiments.engine_speed [--repeats 6] [--engines eager openvino onnx] [--json FILE]

Figures are CPU milliseconds per picture in one thread, the minimum of several rounds over all rows, so that all rows
run under the same machine load, and the PSNR to torch in float32, whose peak is the range of the reference.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vidinv.process import tune_process

tune_process()

import torch  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import track  # noqa: E402
from rich.table import Table  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from vidinv.encoders import registry as encoders  # noqa: E402
from vidinv.engines.export_modules import EncodingModule, PictureModule, SketchAndPicture, SketchModule  # noqa: E402
from vidinv.engines.runner import Runner, psnr_db, require  # noqa: E402
from vidinv.generators import proxy, registry  # noqa: E402

GENERATOR = "mobile-stylegan-ffhq-1024"
FACES = 6  # of a batch of the encoder
SIDE = 512  # of the generator's picture, in pixels
Call = Callable[[], tuple[Tensor, ...]]


@dataclass
class EngineRow:
    """One call of one engine: its least milliseconds so far, and the PSNR (dB) of its result to torch in float32."""

    network: str
    engine: str
    precision: str
    call: Call
    likeness: float
    least: float = math.inf

    def try_once(self) -> None:
        started = time.process_time()
        self.call()
        self.least = min(self.least, 1e3 * (time.process_time() - started))


def drawn_rows(engines: list[str]) -> list[EngineRow]:
    """Every graph of a job by every engine, in float32 and, but for ONNX Runtime, in bfloat16."""
    generator = registry.load_generator(GENERATOR)
    encoder = encoders.load_encoder("feature-style-light")
    head, at = proxy.load_proxy(generator, 256), encoder.at
    ws = generator.broadcast(generator.sample(1, seed=1)).detach()
    with torch.no_grad():
        feature = generator.synthesize(ws, stop=at)
        faces = generator.synthesize(ws, size=SIDE).repeat(FACES, 1, 1, 1)
    faces = nn.functional.interpolate(faces, size=(256, 256), mode="area")
    graphs: dict[str, tuple[nn.Module, tuple[Tensor, ...]]] = {
        "head, 256 pixels": (SketchModule(head, at), (ws, feature)),
        f"generator, {SIDE} pixels": (PictureModule(generator, at, SIDE), (ws, feature)),
        "both at once": (SketchAndPicture(head, at, SIDE), (ws, feature)),
        f"encoder, {FACES} faces": (EncodingModule(encoder), (faces,)),
    }
    rows = []
    for name, (graph, inputs) in graphs.items():
        with torch.no_grad():
            wanted = graph(*inputs)
        for engine in engines:
            for precision in ("float32",) if engine == "onnx" else ("float32", "bfloat16"):
                runner = Runner(engine, precision, threads=1)

                def call(
                    run: Runner = runner, of: nn.Module = graph, given: tuple[Tensor, ...] = inputs
                ) -> tuple[Tensor, ...]:
                    return run(of, *given)

                psnr = min(psnr_db(ours, true) for ours, true in zip(call(), wanted, strict=True))
                rows.append(EngineRow(name, engine, precision, call, psnr))
    return rows


def gradient_rows() -> list[EngineRow]:
    """Forth and back to w+ and F, as a refinement's step goes, by torch."""
    generator = registry.load_generator(GENERATOR)
    head, at = proxy.load_proxy(generator, 256), generator.layer_at(16)
    ws = generator.broadcast(generator.sample(1, seed=1)).detach().requires_grad_()
    with torch.no_grad():
        feature = generator.synthesize(ws, stop=at)
    feature.requires_grad_()
    draws: dict[str, Callable[[], Tensor]] = {
        "head, 256 pixels": lambda: head(ws, feature, at),
        f"generator, {SIDE} pixels": lambda: generator.synthesize(ws, feature=feature, at=at, size=SIDE),
    }

    def step(draw: Callable[[], Tensor], half: bool) -> tuple[Tensor, ...]:
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            picture = draw()
        return torch.autograd.grad(picture.float().square().mean(), (ws, feature))

    rows = []
    for name, draw in draws.items():
        wanted = step(draw, False)
        for precision in ("float32", "bfloat16"):
            call: Call = lambda draw=draw, half=precision == "bfloat16": step(draw, half)  # type: ignore[misc]  # noqa: E731
            psnr = min(psnr_db(ours, true) for ours, true in zip(call(), wanted, strict=True))
            rows.append(EngineRow(f"{name}, forth and back", "eager", precision, call, psnr))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=6)
    parser.add_argument("--engines", nargs="+", default=["eager", "openvino", "onnx"])
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    args = parser.parse_args()
    for engine in args.engines:
        require(engine)
    torch.set_num_threads(1)
    rows = drawn_rows(args.engines) + gradient_rows()
    for _ in track(range(args.repeats), description="measuring"):
        for row in rows:
            row.try_once()
    table = Table("network", "engine", "precision", "ms", "dB to float32")
    for row in rows:
        table.add_row(row.network, row.engine, row.precision, f"{row.least:.1f}", f"{row.likeness:.1f}")
    Console().print(table)
    if args.json:
        figures = [{key: value for key, value in vars(row).items() if key != "call"} for row in rows]
        for figure in figures:
            figure["likeness"] = figure["likeness"] if math.isfinite(figure["likeness"]) else None
        args.json.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
