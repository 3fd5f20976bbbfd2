"""Distil the proxy head: regress the true image, averaged to 128x128, from the generator's 64x64 feature.

Run as `python -m trainers.proxy_head -o head.safetensors`; a few minutes on two cores.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from trainers.samples import sample_ws
from vidinv.generators import registry
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.generators.proxy import ProxyHead


def collect(generator: Generator, count: int, batch: int = 4) -> tuple[Tensor, Tensor]:
    """ws [count,L,D] and their true images averaged to [count,3,128,128]."""
    codes, images = [], []
    for index in range(0, count, batch):
        ws = sample_ws(generator, batch, seed=index)
        image = generator.synthesize(ws, size=512)
        codes.append(ws)
        images.append(resize(image, 128))
    return torch.cat(codes), torch.cat(images)


def distil(generator: Generator, count: int, seconds: float, batch: int = 8) -> tuple[ProxyHead, float]:
    """Train on `count` samples for `seconds`; returns the head and its PSNR (dB, peak 2) on 32 held-out samples."""
    with torch.no_grad():
        codes, images = collect(generator, count)
    head, layer = ProxyHead(w_dim=generator.w_dim), generator.layer_at(64)
    with torch.no_grad():
        feature = generator.synthesize(codes[:16], stop=layer)
        head.mean.copy_(feature.mean((0, 2, 3), keepdim=True))
        head.std.copy_(feature.std((0, 2, 3), keepdim=True))
    styles = [p for name, p in head.named_parameters() if name.startswith("styles")]
    convolutions = [p for name, p in head.named_parameters() if not name.startswith("styles")]
    groups = [{"params": convolutions, "rate": 2e-3}, {"params": styles, "rate": 1e-4}]
    optimiser = torch.optim.Adam(groups, lr=2e-3, betas=(0.9, 0.99))
    begun, step = time.monotonic(), 0
    while (spent := time.monotonic() - begun) < seconds:
        for group in optimiser.param_groups:
            group["lr"] = group["rate"] * max(1 - spent / seconds, 0.02)
        pick = torch.randint(32, count, (batch,))
        with torch.no_grad():
            feature = generator.synthesize(codes[pick], stop=layer)
        loss = functional.mse_loss(head(feature, codes[pick]), images[pick])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        step += 1
        if step % 20 == 0:
            print(f"step {step} {spent:.0f}s psnr {10 * torch.log10(4 / loss).item():.2f}", flush=True)
    with torch.no_grad():
        made = torch.cat([head(generator.synthesize(ws, stop=layer), ws) for ws in codes[:32].split(8)])
    error = (made - images[:32]).square().mean((1, 2, 3))
    return head, (10 * torch.log10(4 / error)).mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--samples", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=240)
    args = parser.parse_args()
    head, fidelity = distil(registry.load("mobile-stylegan-ffhq-1024"), args.samples, args.seconds)
    print(f"held-out PSNR {fidelity:.2f} dB")
    state = {key: value.half().contiguous() for key, value in head.state_dict().items()}
    save_file(state, args.output, metadata={"fidelity": f"{fidelity:.2f}", "layer": "64", "size": "128"})


if __name__ == "__main__":
    main()
