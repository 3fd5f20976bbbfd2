"""Generate synthetic training samples: latent codes, pasted feature codes, and pools of codes with true images.

Run `python -m vidinv.trainers.data.generated_samples -o pool --count 4000` to generate a pool. It can be resumed and
depends on its seeds only.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import track
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from vidinv import fileio
from vidinv.errors import UsageError
from vidinv.generators import registry
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize

SHARD = 64
ROUGHNESS = 0.25  # standard deviation of the noise on a feature, relative to the feature's own


def sample_ws(generator: Generator, count: int, *, seed: int, mixing: float = 0.4) -> Tensor:
    """Draw ws [count,L,D] with psi in [0.6, 1] per sample; with probability `mixing` a second w fills the last rows."""
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(2 * count, generator.z_dim, generator=random).to(generator.w_avg.device)
    w = generator.map(z)
    psi = torch.rand(2 * count, 1, generator=random).to(w) * 0.4 + 0.6
    first, second = generator.w_avg.lerp(w, psi).split(count)
    split = torch.randint(1, generator.num_ws, (count,), generator=random)
    split[torch.rand(count, generator=random) >= mixing] = generator.num_ws
    rows = torch.arange(generator.num_ws)[None] < split[:, None]  # [N,L]
    return torch.where(rows[..., None].to(w.device), first[:, None], second[:, None])


def paste_cells(feature: Tensor, random: torch.Generator) -> Tensor:
    """Paste a rectangle of another row into every second F [N,C,h,w]: off the manifold, but with a known image."""
    other, mixed = feature.roll(1, 0), feature.clone()
    side = feature.shape[-1]
    for n in range(0, len(feature), 2):
        x, y = torch.randint(0, side - 2, (2,), generator=random).tolist()
        w, h = torch.randint(2, side // 2 + 1, (2,), generator=random).tolist()
        mixed[n, :, y : y + h, x : x + w] = other[n, :, y : y + h, x : x + w]
    return mixed


@dataclass(frozen=True)
class SamplePool:
    """Codes with their true images: `ws` [M,L,D], `feature` [M,C,h,w] at layer `at`, `image` [M,3,S,S] uint8.

    Every even sample's feature is pasted (`paste_cells`), and every second of these gets noise, similar to features
    found by refinement: their images are off the generator's manifold.
    """

    ws: Tensor
    feature: Tensor
    image: Tensor

    def __len__(self) -> int:
        return len(self.ws)


@torch.no_grad()
def draw_shard(generator: Generator, at: int, seed: int, size: int, batch: int = 4) -> dict[str, Tensor]:
    """Generate `SHARD` samples with the full synthesis at its smallest exact size, resized to `size` pixels."""
    parts = []
    for index in range(SHARD // batch):
        number = 1_000_000 + seed * SHARD + index
        ws = sample_ws(generator, batch, seed=number)  # [batch,L,D]
        random = torch.Generator().manual_seed(number)
        feature = paste_cells(generator.synthesize(ws, stop=at), random)
        feature[2::4] += ROUGHNESS * feature.std() * torch.randn(feature[2::4].shape, generator=random).to(feature)
        image = resize(generator.synthesize(ws, feature=feature, at=at, size=generator.sizes[0]), size)
        parts.append((ws.half(), feature.half(), ((image.clamp(-1, 1) + 1) * 127.5).round().byte()))
    ws, feature, image = (torch.cat(rows) for rows in zip(*parts, strict=True))
    return {"ws": ws.cpu(), "feature": feature.cpu(), "image": image.cpu()}


def draw_pool(generator: Generator, at: int, folder: Path, count: int, size: int) -> None:
    """Write the shards of a pool of at least `count` samples; existing shards are kept.

    Raises UsageError if existing shards are for another generator, layer or size.
    """
    folder.mkdir(parents=True, exist_ok=True)
    check_pool(folder, generator, at, size)
    for seed in track(range(-(-count // SHARD)), description=f"generating {count} samples"):
        path = folder / f"{seed:05d}.safetensors"
        if not path.exists():
            fileio.write_tensors(path, draw_shard(generator, at, seed, size))


def check_pool(folder: Path, generator: Generator, at: int, size: int) -> None:
    """Raise UsageError if a shard in `folder` has the shapes of another generator, layer or size."""
    spec = generator.layers[at]
    wanted = {
        "ws": [SHARD, generator.num_ws, generator.w_dim],
        "feature": [SHARD, spec.channels, spec.resolution, spec.resolution],
        "image": [SHARD, 3, size, size],
    }
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as shard:
            for name, shape in wanted.items():
                found = shard.get_slice(name).get_shape()
                if found != shape:
                    raise UsageError(
                        f"{path} has {name} of shape {found}, but this training needs {shape}",
                        remedy="use another folder for the pool",
                    )


def check_drawn(folder: Path, generator: Generator, at: int, count: int, size: int) -> None:
    """Raise UsageError unless `folder` holds a pool of at least `count` samples that passes `check_pool`."""
    check_pool(folder, generator, at, size)
    held = SHARD * len(list(folder.glob("*.safetensors")))
    if held < count:
        raise UsageError(
            f"{folder} holds {held} of {count} samples, and several processes need a complete pool",
            remedy=f"run python -m vidinv.trainers.data.generated_samples -o DIR --count {count} --size {size} and "
            "give --pool DIR, or give --set pool=0",
        )


def load_pool(folder: Path) -> SamplePool:
    """Read all shards of `folder`. Raises FileNotFoundError without any."""
    shards = [load_file(path) for path in sorted(folder.glob("*.safetensors"))]
    if not shards:
        raise FileNotFoundError(
            f"no pool in {folder} (generate one: python -m vidinv.trainers.data.generated_samples -o {folder})"
        )
    return SamplePool(*(torch.cat([shard[name] for shard in shards]) for name in ("ws", "feature", "image")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=4000)
    parser.add_argument("--size", type=int, default=256, help="side of the images in pixels")
    parser.add_argument("--generator", default="mobile-stylegan-ffhq-1024", help="registered or imported generator")
    args = parser.parse_args()
    generator = registry.load_generator(args.generator)
    draw_pool(generator, generator.layer_at(16), args.output, args.count, args.size)


if __name__ == "__main__":
    main()
