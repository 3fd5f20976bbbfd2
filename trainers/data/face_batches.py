"""The batches of a Feature-Style training: synthetic faces with known codes, and photos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.trainers.augment import degradations
from vidinv.trainers.data.generated_samples import SamplePool, paste_cells, sample_ws
from vidinv.trainers.data.keyed_dataset import ImageDataset, KeyedDataset
from vidinv.trainers.data.step_sampler import SampleKey
from vidinv.trainers.data.tensor_batch import TensorBatch
from vidinv.trainers.feature_style.config import FeatureStyleRecipe

BLOCK = 4  # rows that are drawn together, of one seed; a batch, and every process's share of it, is a multiple
Painter = Callable[..., Tensor]  # ws, feature=None, at=None -> image [N,3,S,S]


@dataclass(frozen=True)
class FaceTrainingBatch(TensorBatch):
    """One batch: `image` [N,3,S,S] is what the encoder must reproduce, `seen` what it is shown.

    `ws` [N,L,D] and `feature` [N,C,h,w] mean something only where `exact`.
    """

    ws: Tensor
    feature: Tensor
    image: Tensor
    seen: Tensor
    exact: Tensor  # [N] bool: ws and feature are what the encoder should say of the image
    whole: Tensor  # [N] bool: nothing was pasted into the feature or covers the face, so w alone could draw it
    synthetic: Tensor  # [N] bool
    done: Tensor  # [N] images that the training saw before


def join(batches: list[FaceTrainingBatch]) -> FaceTrainingBatch:
    """One batch of several."""
    return FaceTrainingBatch(
        **{f.name: torch.cat([getattr(batch, f.name) for batch in batches]) for f in fields(FaceTrainingBatch)}
    )


@dataclass(frozen=True, eq=False)
class FaceSource(KeyedDataset):
    """Where batches come from: the generator and what paints its codes, the layer `at` of F, a pool, photos.

    Where there are photos they are the last half of every block, or all of it; workers decode and degrade them, and the
    training's own process draws the synthetic rows.
    """

    generator: Generator
    paint: Painter
    at: int
    recipe: FeatureStyleRecipe
    pool: SamplePool | None = None
    photos: ImageDataset | None = None

    @property
    def decodes(self) -> bool:
        return self.photos is not None and self.photos.decodes

    @property
    def length(self) -> int | None:
        return None if self.photos is None else self.photos.length

    @property
    def _photos_per_block(self) -> int:
        if self.photos is None:
            return 0
        return BLOCK // 2 if self.recipe.synthetic else BLOCK

    def batch(self, keys: Sequence[SampleKey]) -> tuple[Tensor, Tensor] | None:
        """The photos [P,3,S,S] among the rows, and what is shown of them; None where there are none."""
        photos, first = self.photos, BLOCK - self._photos_per_block
        if photos is None:
            return None
        chosen = [key for key in keys if key.row % BLOCK >= first]
        image = photos.batch(chosen)
        seen = [self._shown(image[place : place + 1], key.generator()) for place, key in enumerate(chosen)]
        return image, torch.cat(seen)

    def finish(self, keys: Sequence[SampleKey], found: tuple[Tensor, Tensor] | None) -> FaceTrainingBatch:
        """The batch, block by block, with the photos that `batch` found."""
        done, each, parts = max(keys[0].step, 0) * self.recipe.batch, self._photos_per_block, []
        for number, key in enumerate(keys[::BLOCK]):
            if each < BLOCK:
                parts.append(self.synthetic(BLOCK - each, key.seed, done))
            if found is not None:
                image, seen = (value[number * each : (number + 1) * each] for value in found)
                parts.append(self._of_photos(image, seen, done))
        return join(parts)

    @torch.no_grad()
    def synthetic(self, count: int, seed: int, done: int = 0) -> FaceTrainingBatch:
        """`count` synthetic faces, which depend on `seed` alone.

        Half of a pool's true images (when there is one), the rest drawn now.

        Every second feature is pasted (off the manifold); half of the images get a photometric change.
        """
        recipe, random = self.recipe, torch.Generator().manual_seed(seed)
        fresh = count if self.pool is None else count // 2
        ws = sample_ws(self.generator, fresh, seed=seed)
        feature = own = self.generator.synthesize(ws, stop=self.at)
        if recipe.paste:
            feature = paste_cells(feature, random)
        whole = (feature == own).flatten(1).all(1).cpu()
        image = self._paint(ws, feature)
        seen = image
        if self.pool is not None:
            pick = torch.randint(len(self.pool) // 2, (count - fresh,), generator=random) * 2
            pick += torch.arange(fresh, count) % 2  # even samples of a pool are pasted, odd ones are not
            whole = torch.cat([whole, pick % 2 == 1])
            known = [part[pick].float().to(ws) for part in (self.pool.ws, self.pool.feature)]
            drawn = self._paint(*known)
            true = resize(self.pool.image[pick].float().to(ws) / 127.5 - 1, drawn.shape[-1])
            ws, feature = torch.cat([ws, known[0]]), torch.cat([feature, known[1]])
            image, seen = torch.cat([image, drawn]), torch.cat([seen, true])
        image, seen, exact, covered = self._changed(image, seen, random)
        seen, whole = self._shown(seen, random), whole & ~covered
        masks = (exact, whole, torch.ones(count, dtype=torch.bool), torch.full((count,), done))
        return FaceTrainingBatch(ws, feature, image, seen, *(mask.to(ws.device) for mask in masks))

    def _changed(self, image: Tensor, seen: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The faces to be reproduced and what will be shown of them, half of both changed.

        Then which [N] are as they were, and which have something in front of the face.
        """
        count, recipe = len(image), self.recipe
        exact = torch.rand(count, generator=random) < 0.5
        covered = torch.zeros(count, dtype=torch.bool)
        steps = []
        if recipe.photometry:
            steps.append((degradations.photometry(count, random), ~exact))
        if recipe.jitter:
            steps.append((degradations.jitter(count, random), ~exact & (torch.rand(count, generator=random) < 0.5)))
        if recipe.occlude:
            covered = ~exact & (torch.rand(count, generator=random) < 0.5)
            steps.append((degradations.occlude(count, image.shape[-1], random), covered))
        for change, pick in steps:
            where = pick[:, None, None, None].to(image.device)
            image, seen = (torch.where(where, change(x), x) for x in (image, seen))
        return image, seen, exact if steps else torch.ones_like(exact), covered

    def _shown(self, image: Tensor, random: torch.Generator) -> Tensor:
        """What the encoder is shown of the faces."""
        if self.recipe.degrade:
            image = degradations.degrade(image, random)
        return degradations.compress(image, random) if self.recipe.compress else image

    def _paint(self, ws: Tensor, feature: Tensor) -> Tensor:
        """Pictures in the precision that the losses' pictures have."""
        with torch.autocast(ws.device.type, torch.bfloat16):
            return self.paint(ws, feature, self.at).float().clamp(-1.1, 1.1)

    def _of_photos(self, image: Tensor, seen: Tensor, done: int) -> FaceTrainingBatch:
        """The batch of photos [P,3,S,S] and what is shown of them: their codes are not known."""
        spec, like, count = self.generator.layers[self.at], self.generator.w_avg, len(image)
        image, seen = image.to(like), seen.to(like)
        no, yes = (torch.full((count,), value, device=like.device) for value in (False, True))
        ws = like.new_zeros(count, self.generator.num_ws, self.generator.w_dim)
        feature = like.new_zeros(count, spec.channels, spec.resolution, spec.resolution)
        return FaceTrainingBatch(ws, feature, image, seen, no, yes, no, torch.full((count,), done, device=like.device))
