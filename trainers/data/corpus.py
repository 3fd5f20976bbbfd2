"""Read and generate corpora for autoencoder trainings: uint8 pictures [N,3,S,S] in one memory-mapped .npy file.

Run `python -m vidinv.trainers.data.corpus -o corpus.npy --count 10000 --size 64` to generate one with the default
generator: it needs no photos of persons, and picture n depends on n alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from rich.progress import track
from torch import Tensor

from vidinv import fileio
from vidinv.errors import InputUnreadable, UsageError
from vidinv.frames import Array
from vidinv.generators import proxy, registry
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.trainers.data.face_batches import RenderFunction
from vidinv.trainers.data.generated_samples import sample_ws
from vidinv.trainers.data.keyed_dataset import ImageDataset
from vidinv.trainers.data.step_sampler import SampleKey
from vidinv.weights import catalog

BATCH = 16


@dataclass(frozen=True, eq=False)
class Corpus(ImageDataset):
    """Pictures `stored` uint8 [N,3,s,s], resized to `size` pixels, half of them mirrored."""

    stored: Array
    size: int

    def __len__(self) -> int:
        return len(self.stored)

    def without_last(self, count: int) -> Corpus:
        """Return all but the last `count` pictures. Raises UsageError if none are left."""
        if count >= len(self):
            raise UsageError(
                f"held_out={count} leaves none of the {len(self)} pictures of the corpus", remedy="set a lower held_out"
            )
        return Corpus(self.stored[: len(self) - count], self.size)

    def last(self, count: int) -> Corpus:
        """Return the last `count` pictures, which `without_last` leaves out."""
        return Corpus(self.stored[len(self) - count :], self.size)

    def at(self, places: list[int]) -> Tensor:
        """Return the pictures at these indices [n,3,size,size] in [-1,1]."""
        found = torch.from_numpy(self.stored[places].astype(np.float32))
        return resize(found / 127.5 - 1, self.size)

    @property
    def decodes(self) -> bool:
        return True

    @property
    def length(self) -> int:
        return len(self)

    def batch(self, keys: Sequence[SampleKey]) -> Tensor:
        """Return the pictures of the keys [n,3,size,size] in [-1,1]."""
        mirrored = torch.stack([torch.rand((), generator=key.generator()) < 0.5 for key in keys])
        found = self.at([key.entry for key in keys])
        return torch.where(mirrored[:, None, None, None], found.flip(3), found)


def open_corpus(path: Path, size: int) -> Corpus:
    """Open a corpus file. Raises InputUnreadable if it is not one."""
    try:
        stored = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise InputUnreadable(
            f"{path} is not a corpus (.npy): {error}",
            remedy="generate one: python -m vidinv.trainers.data.corpus -o FILE.npy",
        ) from error
    if stored.dtype != np.uint8 or stored.ndim != 4 or stored.shape[1] != 3 or not len(stored):
        raise InputUnreadable(f"{path} holds {stored.dtype} {stored.shape}, not uint8 pictures [N,3,S,S]")
    return Corpus(stored, size)


@torch.no_grad()
def draw_samples(generator: Generator, render: RenderFunction, count: int, seed: int, size: int) -> Tensor:
    """Render `count` samples of the generator [count,3,size,size] in [-1,1]; they depend on the seed alone."""
    ws = sample_ws(generator, count, seed=seed, mixing=0.0)
    return resize(render(ws), size).clamp(-1, 1)


@dataclass(frozen=True)
class DataOrigin:
    """Description and terms of use of training pictures, for a model card."""

    what: str
    terms: str


def data_origin(data: str, generator: str) -> DataOrigin:
    """Return the origin of a training's `data`: "" means generated samples; DATA.json, if present, states others."""
    if not data:
        return _of_samples(generator)
    sidecar = Path(data).with_suffix(".json")
    if sidecar.exists():
        return _read_origin(sidecar)
    name = Path(data).name
    return DataOrigin(name, f"The terms of the pictures in {name}, which are not recorded.")


def _read_origin(path: Path) -> DataOrigin:
    try:
        return fileio.record_of(DataOrigin, fileio.read_json(path))
    except (OSError, fileio.BadJson) as error:
        raise UsageError(
            f"{path} does not say where the pictures are from ({error})", remedy="make it again"
        ) from error


def _of_samples(generator: str, count: int = 0, size: int = 0) -> DataOrigin:
    """Return the origin of generated samples: assume that the terms of their generator apply."""
    number = f"{count:,} samples of {generator} at {size} pixels" if count else f"samples of {generator}"
    entry = catalog.CATALOG.get(f"generator/{generator.rsplit('-', 1)[0]}")
    known = f" ({entry.licence})" if entry is not None else ""
    return DataOrigin(number, f"Trained on pictures of {generator}: assume that its terms{known} apply.")


def draw_corpus(generator: Generator, render: RenderFunction, path: Path, count: int, size: int) -> None:
    """Write a corpus of `count` samples atomically."""
    with fileio.replacing(path) as draft:
        stored = open_memmap(draft, mode="w+", dtype=np.uint8, shape=(count, 3, size, size))
        for start in track(range(0, count, BATCH), description=f"generating {count} samples"):
            some = min(BATCH, count - start)
            image = draw_samples(generator, render, some, 2_000_000 + start // BATCH, size)
            stored[start : start + some] = ((image + 1) * 127.5).round().byte().cpu().numpy()
        stored.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=64, help="side of the pictures in pixels, at most 128")
    parser.add_argument(
        "--generator", default="mobile-stylegan-ffhq-1024", help="a generator with a proxy head of 128 pixels"
    )
    args = parser.parse_args()
    generator = registry.load_generator(args.generator)
    draw_corpus(generator, proxy.load_proxy(generator, 128), args.output, args.count, args.size)
    said = asdict(_of_samples(args.generator, args.count, args.size))
    fileio.write_atomically(args.output.with_suffix(".json"), json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
