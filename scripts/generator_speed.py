"""How much longer a generator takes than the convolutions in it: time of `synthesize` over the sum of theirs.

python scripts/generator_speed.py stylegan2-1024 [--repeats 5] [--json -]

Every convolution of one synthesis (batch 1, random weights) is recorded with its operands, laid out in memory as suits
it best. The synthesis and a sweep of all its convolutions are then timed in turn, so that both meet the same load of
the machine; the shortest of each count. The threads are torch's (OMP_NUM_THREADS).
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
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from vidinv.generators import stylegan2  # noqa: E402
from vidinv.generators.base import Generator  # noqa: E402

NETWORKS: dict[str, Callable[[], Generator]] = {
    f"stylegan2-{side}": lambda side=side: stylegan2.StyleGAN2(f"stylegan2-{side}", "none", side)  # type: ignore[misc]
    for side in (256, 512, 1024)
}
convolve = torch.ops.aten.convolution.default


class Recorder(TorchDispatchMode):
    """Keeps the arguments of every convolution called below it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is convolve:
            self.calls.append(args)
        return func(*args, **(kwargs or {}))


def seconds(call: Callable[[], Any]) -> float:
    """How long the second of two calls takes."""
    call()
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def laid_out(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of one convolution in the layout in which it is faster."""
    x, weight, *rest = arguments
    both = [
        (x.contiguous(memory_format=layout), weight.contiguous(memory_format=layout), *rest)
        for layout in (torch.contiguous_format, torch.channels_last)
    ]
    return min(both, key=lambda each: seconds(lambda: convolve(*each)))


@torch.no_grad()
def measure(name: str, repeats: int) -> dict[str, Any]:
    """Milliseconds and their ratio; `filters_ms` is the depthwise convolutions' share (blur and upsampling)."""
    network = NETWORKS[name]().eval()
    ws = network.broadcast(network.sample(1))
    with Recorder() as recorder:
        network.synthesize(ws)
    calls = [laid_out(call) for call in recorder.calls]
    whole, sweeps = [], []
    for _ in range(repeats):
        whole.append(seconds(lambda: network.synthesize(ws)))
        sweeps.append([seconds(lambda call=call: convolve(*call)) for call in calls])  # type: ignore[misc]
    shortest = min(sweeps, key=sum)
    filters = sum(s for s, call in zip(shortest, calls, strict=True) if call[8] > 1)
    return {
        "generator": name,
        "parameters": sum(p.numel() for p in network.parameters()),
        "threads": torch.get_num_threads(),
        "synthesis_ms": round(min(whole) * 1e3, 1),
        "convolutions_ms": round(sum(shortest) * 1e3, 1),
        "filters_ms": round(filters * 1e3, 1),
        "ratio_to_convolutions": round(min(whole) / sum(shortest), 3),
        "ratios": [round(w / sum(sweep), 3) for w, sweep in zip(whole, sweeps, strict=True)],
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
    filters = f"of which filters {figures['filters_ms']} ms"
    print(f"synthesis {figures['synthesis_ms']} ms, its convolutions {figures['convolutions_ms']} ms ({filters})")
    print(f"ratio {figures['ratio_to_convolutions']}, by repeats {figures['ratios']}")


if __name__ == "__main__":
    main()
