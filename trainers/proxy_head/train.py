"""Distil a proxy head: regress the true images of a pool from one of the generator's features.

Run `python -m vidinv.trainers.proxy_head.train --size 256 --pool pool -o head.safetensors`; it takes some minutes on
two cores.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from vidinv import fileio
from vidinv.generators import registry
from vidinv.generators.base import Generator
from vidinv.generators.proxy import FFHQ_HEADS, HeadSpec, ProxyHead, head_metadata, spec_for
from vidinv.trainers.data.generated_samples import SamplePool, load_pool

HELD_OUT = 64


def distil(
    generator: Generator, pool: SamplePool, at: int, spec: HeadSpec, seconds: float, batch: int = 4
) -> tuple[ProxyHead, float]:
    """Train on the pool for `seconds`; returns the head and its PSNR (dB, peak 2) on the pool's first 64 samples."""
    head, layer = ProxyHead(spec), generator.layer_at(spec.side)
    with torch.no_grad():  # computed once for all steps; in fp16, since there are many
        parts = [
            generator.synthesize(ws.float(), feature=feature.float(), at=at, stop=layer).half()
            for ws, feature in zip(pool.ws.split(4), pool.feature.split(4), strict=True)
        ]
    features = torch.cat(parts)

    def sample(pick: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return features[pick].float(), pool.ws[pick].float(), pool.image[pick].float() / 127.5 - 1

    first = features[:HELD_OUT].float()
    head.mean.copy_(first.mean((0, 2, 3), keepdim=True))
    head.std.copy_(first.std((0, 2, 3), keepdim=True))
    styles = [p for name, p in head.named_parameters() if "style." in name]
    convolutions = [p for name, p in head.named_parameters() if "style." not in name]
    groups = [{"params": convolutions, "rate": 2e-3}, {"params": styles, "rate": 1e-4}]
    optimiser = torch.optim.Adam(groups, lr=2e-3, betas=(0.9, 0.99))
    start, step = time.monotonic(), 0
    while (spent := time.monotonic() - start) < seconds:
        for group in optimiser.param_groups:
            group["lr"] = group["rate"] * max(1 - spent / seconds, 0.02)
        feature, ws, image = sample(torch.randint(HELD_OUT, len(pool), (batch,)))
        loss = functional.mse_loss(head(feature, ws), image)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        if step % 20 == 0:
            print(f"step {step} {spent:.0f}s psnr {10 * torch.log10(4 / loss).item():.2f}", flush=True)
    errors = []
    for pick in torch.arange(HELD_OUT).split(8):
        feature, ws, image = sample(pick)
        with torch.no_grad():
            errors.append((head(feature, ws) - image).square().mean((1, 2, 3)))
    return head, (10 * torch.log10(4 / torch.cat(errors))).mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        "--pool", type=Path, required=True, help="from `python -m vidinv.trainers.data.generated_samples`"
    )
    parser.add_argument("--size", type=int, default=128, choices=sorted(FFHQ_HEADS))
    parser.add_argument("--generator", default="mobile-stylegan-ffhq-1024", help="registered or imported generator")
    parser.add_argument("--seconds", type=float, default=240)
    args = parser.parse_args()
    generator = registry.load_generator(args.generator)
    spec = spec_for(generator, args.size)
    head, fidelity = distil(generator, load_pool(args.pool), generator.layer_at(16), spec, args.seconds)
    print(f"held-out PSNR {fidelity:.2f} dB")
    state = {key: value.half() for key, value in head.state_dict().items()}
    fileio.write_tensors(args.output, state, {"fidelity": f"{fidelity:.2f}", **head_metadata(generator, spec)})


if __name__ == "__main__":
    main()
