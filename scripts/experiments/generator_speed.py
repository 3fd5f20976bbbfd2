"""Compare the time of a generator's `synthesize` with the sum of its convolutions' times.

python scripts/experiments/generator_speed.py stylegan2-1024 [--repeats 5] [--json -]

Every convolution of one synthesis (batch 1, random weights) is recorded with its operands, laid out in memory as suits
it best. The synthesis and a sweep of all its convolutions are then timed in turn, so that both meet the same load of
the machine; the shortest of each count. The threads are torch's (OMP_NUM_THREADS); OMP_WAIT_POLICY=PASSIVE and
KMP_BLOCKTIME=0 keep waiting threads out of the processors' time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidinv.process import tune_process

tune_process()

import torch  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from vidinv.generators import stylegan2  # noqa: E402
from vidinv.generators.base import Generator  # noqa: E402

NETWORKS: dict[str, Callable[[], Generator]] = {
    f"stylegan2-{side}": lambda side=side: stylegan2.StyleGAN2(f"stylegan2-{side}", "none", side)  # type: ignore[misc]
    for side in (256, 512, 1024)
}
convolve = torch.ops.aten.convolution.default


class ConvolutionRecorder(TorchDispatchMode):
    """Keeps the arguments of every convolution called below it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is convolve:
            self.calls.append(args)
        return func(*args, **(kwargs or {}))


@dataclass(frozen=True)
class CallCost:
    """Seconds on the clock, and of all processors together: the second is what a busy machine does not change much."""

    wall: float
    cpu: float


def cost(call: Callable[[], Any]) -> CallCost:
    """What the second of two calls takes."""
    call()
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return CallCost(time.perf_counter() - wall, time.process_time() - cpu)


def laid_out(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of one convolution in the layout in which it is faster."""
    x, weight, *rest = arguments
    both = [
        (x.contiguous(memory_format=layout), weight.contiguous(memory_format=layout), *rest)
        for layout in (torch.contiguous_format, torch.channels_last)
    ]
    return min(both, key=lambda each: cost(lambda: convolve(*each)).cpu)


@torch.no_grad()
def measure(name: str, repeats: int) -> dict[str, Any]:
    """Milliseconds and their ratio; `filters_ms` is the depthwise convolutions' share (blur and upsampling)."""
    network = NETWORKS[name]().eval()
    ws = network.broadcast(network.sample(1))
    with ConvolutionRecorder() as recorder:
        network.synthesize(ws)
    calls = [laid_out(call) for call in recorder.calls]
    whole, sweeps = [], []
    for _ in range(repeats):
        whole.append(cost(lambda: network.synthesize(ws)))
        sweeps.append([cost(lambda call=call: convolve(*call)) for call in calls])  # type: ignore[misc]
    figures: dict[str, Any] = {
        "generator": name,
        "parameters": sum(p.numel() for p in network.parameters()),
        "threads": torch.get_num_threads(),
    }
    for kind in ("wall", "cpu"):
        one = min(getattr(each, kind) for each in whole)
        shortest = min(([getattr(each, kind) for each in sweep] for sweep in sweeps), key=sum)
        filters = sum(s for s, call in zip(shortest, calls, strict=True) if call[8] > 1)
        figures[kind] = {
            "synthesis_ms": round(one * 1e3, 1),
            "convolutions_ms": round(sum(shortest) * 1e3, 1),
            "filters_ms": round(filters * 1e3, 1),
            "ratio_to_convolutions": round(one / sum(shortest), 3),
        }
    return figures


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
    for kind in ("wall", "cpu"):
        print(f"{kind}: {', '.join(f'{key} {value}' for key, value in figures[kind].items())}")


if __name__ == "__main__":
    main()
