"""Train the network that segments occluders of faces, on the generator's samples with random occluders.

Run `python -m vidinv.trainers.data.generated_samples -o pool --count 3000 --size 128`, then
`python -m vidinv.trainers.occlusion.train --pool pool -o occlusion.safetensors`: about half an hour on one core.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vidinv import fileio
from vidinv.faces.occlusion import SIZE, OcclusionNetwork, load_network
from vidinv.trainers.augment import degradations, occluders
from vidinv.trainers.data.generated_samples import load_pool

HELD_OUT = 64
CLEAN = 0.35  # share of the faces without an occluder
RATE = 2e-3


@dataclass(frozen=True)
class OccludedSamples:
    """`image` [N,3,S,S] in [-1,1], `alpha` [N,S,S] of the occluder, `weight` [N,S,S] of each pixel in the loss."""

    image: Tensor
    alpha: Tensor
    weight: Tensor


def draw(faces: Tensor, others: Tensor, random: np.random.Generator) -> OccludedSamples:
    """Paste occluders over a part of faces uint8 [N,3,S,S], and degrade all as a camera and a codec do."""
    images, alphas = [], []
    for face, other in zip(faces, others, strict=True):
        plain, texture = (each.permute(1, 2, 0).numpy().astype(np.float32) / 255 for each in (face, other))
        shown, alpha = plain, np.zeros(plain.shape[:2], np.float32)
        if random.random() >= CLEAN:
            shown, alpha = occluders.paste_occluder(plain, texture, random)
        images.append(shown)
        alphas.append(alpha)
    seeded = torch.Generator().manual_seed(int(random.integers(2**31)))
    clear = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2) * 2 - 1
    both = torch.cat([clear, torch.from_numpy(np.stack(alphas))[:, None]], 1)
    both = degradations.jitter(len(both), seeded)(both)
    image, covered = degradations.photometry(len(both), seeded)(both[:, :3]), both[:, 3].clamp(0, 1)
    image = degradations.compress(degradations.degrade(image, seeded), seeded).clamp(-1, 1)
    return OccludedSamples(image, covered, _central(image.shape[-1]).expand_as(covered))


def _central(side: int) -> Tensor:
    """Return pixel weights [1,S,S], which are highest on the face."""
    place = torch.linspace(-1, 1, side)
    far = (place[None, :] / 0.6) ** 2 + ((place[:, None] - 0.15) / 0.75) ** 2
    return torch.where(far < 1, 1.0, 0.15)[None]


def loss(logits: Tensor, sample: OccludedSamples) -> Tensor:
    """Weighted binary cross entropy plus 1 - Dice (Milletari et al., 2016) over the weighted pixels."""
    entropy = functional.binary_cross_entropy_with_logits(logits, sample.alpha, weight=sample.weight)
    seen = logits.sigmoid() * sample.weight
    wanted = sample.alpha * sample.weight
    shared, total = 2 * (seen * wanted).sum((1, 2)) + 50, seen.sum((1, 2)) + wanted.sum((1, 2)) + 50
    return entropy + (1 - shared / total).mean()


def train(
    network: OcclusionNetwork, images: Tensor, others: Tensor, seconds: float, batch: int, seed: int
) -> OcclusionNetwork:
    """Train for `seconds` on `images` uint8 [M,3,S,S]; occluders take their texture from `others`."""
    random = np.random.default_rng(seed)
    network = network.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-4)
    start, step, mean = time.monotonic(), 0, 0.7
    while (spent := time.monotonic() - start) < seconds:
        for group in optimiser.param_groups:
            group["lr"] = RATE * max(min(1.0, (step + 1) / 100) * (1 - spent / seconds), 0.005)
        pick, picked_others = random.integers(len(images), size=batch), random.integers(len(others), size=batch)
        faces = images[pick]
        faces = torch.where(torch.from_numpy(random.random((batch, 1, 1, 1)) < 0.5), faces.flip(3), faces)
        sample = draw(faces, others[picked_others], random)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(sample.image.contiguous(memory_format=torch.channels_last))
        found = loss(logits.float(), sample)
        optimiser.zero_grad()
        found.backward()
        optimiser.step()
        mean, step = 0.98 * mean + 0.02 * found.item(), step + 1
        if step % 50 == 0:
            print(f"step {step} {spent:.0f}s loss {mean:.4f}", flush=True)
    return network.eval()


@torch.inference_mode()
def evaluate(network: OcclusionNetwork, images: Tensor, others: Tensor) -> dict[str, float]:
    """Return the rates of found occluder pixels and of falsely found pixels on faces (at 0.5)."""
    random = np.random.default_rng(1)
    sample = draw(images, others, random)
    found, thing, counted = network(sample.image) > 0, sample.alpha > 0.5, sample.weight == 1
    clean = (sample.alpha == 0).all(2).all(1)
    return {
        "found": round(float((found & thing & counted).sum() / (thing & counted).sum()), 4),
        "taken": round(float((found & ~thing & counted).sum() / (~thing & counted).sum()), 4),
        "taken_of_clean": round(float((found & counted)[clean].float().sum() / counted[clean].sum()), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument(
        "--pool", type=Path, required=True, help="from `python -m vidinv.trainers.data.generated_samples`"
    )
    parser.add_argument("--seconds", type=float, default=1500)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="network to start from")
    args = parser.parse_args()
    pool = load_pool(args.pool).image
    assert pool.shape[-1] == SIZE, f"the pool's pictures must be {SIZE} pixels, got {pool.shape[-1]}"
    whole, pasted = pool[1::2], pool[::2]  # every even sample has cells of another face
    torch.manual_seed(args.seed)
    network = load_network(args.start).requires_grad_(True) if args.start else OcclusionNetwork()
    network = train(network, whole[HELD_OUT:], pasted[HELD_OUT:], args.seconds, args.batch, args.seed)
    print(evaluate(network, whole[:HELD_OUT], pasted[:HELD_OUT]))
    state = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
    fileio.write_tensors(args.output, {key: value.half() for key, value in state.items()})


if __name__ == "__main__":
    main()
