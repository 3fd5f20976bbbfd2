"""How much longer a generator takes than the convolutions in it: time of `synthesize` over the sum of theirs.

python scripts/generator_speed.py stylegan2-1024 [--repeats 5] [--json -]

Every convolution of one synthesis (batch 1, random weights) is recorded with its operands and timed alone, in both
memory layouts, of which the faster counts. Minima over the repeats; the threads are torch's (OMP_NUM_THREADS).
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from vidinv.cli.main import tune_process

tune_process()

import torch  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from vidinv.generators import stylegan2  # noqa: E402
from vidinv.generators.base import Generator  # noqa: E402

NETWORKS: dict[str, Callable[[], Generator]] = {
    f"stylegan2-{side}": lambda side=side: stylegan2.StyleGAN2(f"stylegan2-{side}", "none", side)  # type: ignore[misc]
    for side in (256, 512, 1024)
}
LAYOUTS = (torch.contiguous_format, torch.channels_last)


class Recorder(TorchDispatchMode):
    """Keeps the arguments of every convolution called below it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.convolution.default:
            self.calls.append(args)
        return func(*args, **(kwargs or {}))


def seconds(call: Callable[[], Any], repeats: int) -> float:
    """The shortest of `repeats` calls after one that is not counted."""
    call()
    found = []
    for _ in range(repeats):
        begin = time.perf_counter()
        call()
        found.append(time.perf_counter() - begin)
    return min(found)


def convolution_seconds(arguments: tuple[Any, ...], repeats: int) -> float:
    """The time of one convolution in the layout that suits it."""
    x, weight, *rest = arguments

    def lying(layout: torch.memory_format) -> tuple[Tensor, Tensor]:
        return x.contiguous(memory_format=layout), weight.contiguous(memory_format=layout)

    return min(
        seconds(lambda a=a, b=b: torch.ops.aten.convolution.default(a, b, *rest), repeats)  # type: ignore[misc]
        for a, b in map(lying, LAYOUTS)
    )


@torch.no_grad()
def measure(name: str, repeats: int) -> dict[str, Any]:
    """Milliseconds and their ratio; `filters_ms` is the depthwise convolutions' share (blur and upsampling)."""
    network = NETWORKS[name]().eval()
    ws = network.broadcast(network.sample(1))
    with Recorder() as recorder:
        network.synthesize(ws)
    whole = seconds(lambda: network.synthesize(ws), repeats)
    each = [(arguments[8] > 1, convolution_seconds(arguments, repeats)) for arguments in recorder.calls]
    total, filters = sum(s for _, s in each), sum(s for depthwise, s in each if depthwise)
    return {
        "generator": name,
        "parameters": sum(p.numel() for p in network.parameters()),
        "threads": torch.get_num_threads(),
        "synthesis_ms": round(whole * 1e3, 1),
        "convolutions_ms": round(total * 1e3, 1),
        "filters_ms": round(filters * 1e3, 1),
        "ratio_to_convolutions": round(whole / total, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("generator", choices=NETWORKS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", metavar="FILE", help="also write the figures there; - is standard output")
    args = parser.parse_args()
    figures = measure(args.generator, args.repeats)
    if args.json == "-":
        json.dump(figures, sys.stdout, indent=1)
        return
    if args.json:
        Path(args.json).write_text(json.dumps(figures, indent=1) + "\n")
    print(f"{figures['generator']}: {figures['parameters']:,} parameters, {figures['threads']} threads")
    print(f"synthesis {figures['synthesis_ms']} ms, its convolutions {figures['convolutions_ms']} ms")
    print(f"(of which filters {figures['filters_ms']} ms): ratio {figures['ratio_to_convolutions']}")


if __name__ == "__main__":
    main()
