"""Load a trained autoencoder from its training folder, and draw grids of its reconstructions, samples and edits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from vidinv.editing import style_mixing
from vidinv.encoders import encoder_file
from vidinv.encoders.base import Encoder
from vidinv.errors import InputUnreadable, UsageError
from vidinv.faces import pictures
from vidinv.generators import generator_file
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.media.image_grid import image_grid
from vidinv.media.picture import from_pixels
from vidinv.media.picture_file import read_rgb

BATCH = 16


@dataclass(frozen=True)
class Autoencoder:
    """A generator, and the encoder that was trained with it."""

    generator: Generator
    encoder: Encoder

    @torch.no_grad()
    def encode(self, image: Tensor) -> Tensor:
        """[N,3,S,S] in [-1,1] -> ws [N,L,D]."""
        return torch.cat([self.encoder(part).ws for part in image.split(BATCH)])

    @torch.no_grad()
    def draw(self, ws: Tensor) -> Tensor:
        """ws [N,L,D] -> [N,3,S,S] in [-1,1]."""
        return torch.cat([self.generator.synthesize(part).clamp(-1, 1) for part in ws.split(BATCH)])

    def sample(self, count: int, seed: int) -> Tensor:
        """ws [count,L,D] of the prior."""
        return self.generator.broadcast(self.generator.sample(count, seed=seed))


def load_autoencoder(folder: Path, device: str = "cpu") -> Autoencoder:
    """Load the autoencoder that a training wrote to `folder`. Raises UsageError if there is none."""
    path = folder / "generator.safetensors"
    if not path.exists():
        raise UsageError(f"{folder} holds no trained autoencoder", remedy="give the DIR of vidinv train ae-stylegan")
    generator = generator_file.read_generator(path, device)
    encoder = encoder_file.read_encoder(folder / "encoder.safetensors", generator)
    return Autoencoder(generator, encoder.encoder if isinstance(encoder, encoder_file.GeneratorFeature) else encoder)


def read_pictures(paths: list[Path], size: int) -> Tensor:
    """Read aligned, square pictures [N,3,size,size] in [-1,1] from files and folders. Raises InputUnreadable."""
    found = []
    for path in pictures.files(paths):
        rgb = read_rgb(path)
        if rgb.shape[0] != rgb.shape[1]:
            raise InputUnreadable(f"{path} is {rgb.shape[1]}x{rgb.shape[0]}, not square", remedy="align it first")
        found.append(resize(from_pixels(rgb)[None], size))
    return torch.cat(found)


def reconstructions(of: Autoencoder, image: Tensor) -> Tensor:
    """Two rows: pictures and their reconstructions."""
    return image_grid([image, of.draw(of.encode(image))])


def samples(of: Autoencoder, count: int, seed: int) -> Tensor:
    """Samples of the prior in a square grid."""
    side = max(1, round(count**0.5))
    return image_grid(list(of.draw(of.sample(count - count % side or count, seed)).split(side)))


def mixtures(of: Autoencoder, a: Tensor, b: Tensor, scale: str) -> Tensor:
    """A table: `b` at the top, `a` on the left, and each of `a` with the `scale` of each of `b`."""
    first, second, taken = of.encode(a), of.encode(b), style_mixing.rows(of.generator, scale)
    rows = [torch.cat([torch.ones_like(b[:1]), b])]
    for image, ws in zip(a, first, strict=True):
        mixed = style_mixing.mix(ws[None].repeat(len(second), 1, 1), second, taken)
        rows.append(torch.cat([image[None], of.draw(mixed)]))
    return image_grid(rows)


def variations(of: Autoencoder, image: Tensor, scale: str, count: int, seed: int) -> Tensor:
    """A row per picture: the picture, its reconstruction, and `count` samples that keep its `scale`."""
    kept = style_mixing.rows(of.generator, scale)
    codes = of.encode(image)
    rows = []
    for place in range(len(image)):
        own = codes[place : place + 1]
        drawn = of.draw(torch.cat([own, style_mixing.vary(of.generator, own, kept, count, seed + place)]))
        rows.append(torch.cat([image[place : place + 1], drawn]))
    return image_grid(rows)


def edits(
    of: Autoencoder, image: Tensor, having: Tensor, lacking: Tensor, scale: str, strengths: list[float]
) -> Tensor:
    """A row per picture: the picture, its reconstruction, and the exemplars' attribute at every strength."""
    along = style_mixing.attribute(of.encode(having), of.encode(lacking))
    codes, moved = of.encode(image), style_mixing.rows(of.generator, scale)
    columns = [style_mixing.shift(of.generator, codes, along, strength, moved) for strength in [0.0, *strengths]]
    return image_grid([torch.stack(row) for row in zip(image, *map(of.draw, columns), strict=True)])


def interpolations(of: Autoencoder, corners: Tensor, steps: int) -> Tensor:
    """A grid of `steps` by `steps` interpolations between four pictures in its corners."""
    drawn = of.draw(style_mixing.between_four(of.generator, of.encode(corners), steps))
    return image_grid(list(drawn.split(steps)))


def transfer(of: Autoencoder, content: Tensor, style: Tensor, scale: str) -> Tensor:
    """Three pictures: `content`, `style`, and `content` with every scale of `style` that is finer than `scale`."""
    own, other = of.encode(content), of.encode(style)
    last = style_mixing.rows(of.generator, scale)[1]
    if last >= of.generator.num_ws:
        raise UsageError(
            f"{scale!r} is the finest scale, so no style is left to transfer", remedy="choose a coarser scale"
        )
    return image_grid([torch.cat([content, style, of.draw(style_mixing.mix(own, other, (last, of.generator.num_ws)))])])
