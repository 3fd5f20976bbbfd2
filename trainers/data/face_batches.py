"""Build the batches of a Feature-Style training: synthetic faces with known codes, and photos."""

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

BLOCK = 4  # rows generated together from one seed; every process's share of a batch is a multiple of it
RenderFunction = Callable[..., Tensor]  # ws, feature=None, at=None -> image [N,3,S,S]


@dataclass(frozen=True)
class FaceTrainingBatch(TensorBatch):
    """One batch: `image` [N,3,S,S] is the encoder's target, `encoder_input` [N,3,S,S] its input.

    `ws` [N,L,D] and `feature` [N,C,h,w] are valid only for rows that are `exact`.
    """

    ws: Tensor
    feature: Tensor
    image: Tensor
    encoder_input: Tensor
    exact: Tensor  # [N] bool: ws and feature are the codes of the image
    w_suffices: Tensor  # [N] bool: no pasted feature and no occluder, so w alone could reproduce the image
    synthetic: Tensor  # [N] bool
    images_before: Tensor  # [N] images seen by the training before this step


def join_batches(batches: list[FaceTrainingBatch]) -> FaceTrainingBatch:
    """Concatenate batches."""
    return FaceTrainingBatch(
        **{f.name: torch.cat([getattr(batch, f.name) for batch in batches]) for f in fields(FaceTrainingBatch)}
    )


@dataclass(frozen=True, eq=False)
class FaceSource(KeyedDataset):
    """Dataset of face batches, from a generator, its render function, the layer `at` of F, a pool, and photos.

    Photos fill the last half of every block, or all of it. Workers decode and degrade them; the training process
    generates the synthetic rows.
    """

    generator: Generator
    render: RenderFunction
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
        """Return the photos [P,3,S,S] of the rows and the encoder's input for them; None without photos."""
        photos, first = self.photos, BLOCK - self._photos_per_block
        if photos is None:
            return None
        chosen = [key for key in keys if key.row % BLOCK >= first]
        image = photos.batch(chosen)
        encoder_input = [
            self._encoder_input(image[place : place + 1], key.generator()) for place, key in enumerate(chosen)
        ]
        return image, torch.cat(encoder_input)

    def finish(self, keys: Sequence[SampleKey], found: tuple[Tensor, Tensor] | None) -> FaceTrainingBatch:
        """Build the batch, block by block, with the photos that `batch` read."""
        images_before, each, parts = max(keys[0].step, 0) * self.recipe.batch, self._photos_per_block, []
        for number, key in enumerate(keys[::BLOCK]):
            if each < BLOCK:
                parts.append(self.synthetic(BLOCK - each, key.seed, images_before))
            if found is not None:
                image, encoder_input = (value[number * each : (number + 1) * each] for value in found)
                parts.append(self._of_photos(image, encoder_input, images_before))
        return join_batches(parts)

    @torch.no_grad()
    def synthetic(self, count: int, seed: int, images_before: int = 0) -> FaceTrainingBatch:
        """Generate `count` synthetic faces, which depend on `seed` alone.

        With a pool, half of them are its true images. Every second feature is pasted, off the generator's manifold;
        half of the images get a photometric change.
        """
        recipe, random = self.recipe, torch.Generator().manual_seed(seed)
        fresh = count if self.pool is None else count // 2
        ws = sample_ws(self.generator, fresh, seed=seed)
        feature = own = self.generator.synthesize(ws, stop=self.at)
        if recipe.paste:
            feature = paste_cells(feature, random)
        w_suffices = (feature == own).flatten(1).all(1).cpu()
        image = self._render(ws, feature)
        encoder_input = image
        if self.pool is not None:
            pick = torch.randint(len(self.pool) // 2, (count - fresh,), generator=random) * 2
            pick += torch.arange(fresh, count) % 2  # even samples of a pool are pasted, odd ones are not
            w_suffices = torch.cat([w_suffices, pick % 2 == 1])
            known = [part[pick].float().to(ws) for part in (self.pool.ws, self.pool.feature)]
            drawn = self._render(*known)
            true = resize(self.pool.image[pick].float().to(ws) / 127.5 - 1, drawn.shape[-1])
            ws, feature = torch.cat([ws, known[0]]), torch.cat([feature, known[1]])
            image, encoder_input = torch.cat([image, drawn]), torch.cat([encoder_input, true])
        image, encoder_input, exact, covered = self._changed(image, encoder_input, random)
        encoder_input, w_suffices = self._encoder_input(encoder_input, random), w_suffices & ~covered
        masks = (exact, w_suffices, torch.ones(count, dtype=torch.bool), torch.full((count,), images_before))
        return FaceTrainingBatch(ws, feature, image, encoder_input, *(mask.to(ws.device) for mask in masks))

    def _changed(
        self, image: Tensor, encoder_input: Tensor, random: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Change half of the targets and encoder inputs.

        Returns both, which rows [N] are unchanged, and which rows [N] have an occluder.
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
            image, encoder_input = (torch.where(where, change(x), x) for x in (image, encoder_input))
        return image, encoder_input, exact if steps else torch.ones_like(exact), covered

    def _encoder_input(self, image: Tensor, random: torch.Generator) -> Tensor:
        """Degrade faces as the encoder's input."""
        if self.recipe.degrade:
            image = degradations.degrade(image, random)
        return degradations.compress(image, random) if self.recipe.compress else image

    def _render(self, ws: Tensor, feature: Tensor) -> Tensor:
        """Render pictures in the precision that the losses use."""
        with torch.autocast(ws.device.type, torch.bfloat16):
            return self.render(ws, feature, self.at).float().clamp(-1.1, 1.1)

    def _of_photos(self, image: Tensor, encoder_input: Tensor, images_before: int) -> FaceTrainingBatch:
        """Return the batch of photos [P,3,S,S] and encoder inputs; their codes are unknown."""
        spec, like, count = self.generator.layers[self.at], self.generator.w_avg, len(image)
        image, encoder_input = image.to(like), encoder_input.to(like)
        no, yes = (torch.full((count,), value, device=like.device) for value in (False, True))
        ws = like.new_zeros(count, self.generator.num_ws, self.generator.w_dim)
        feature = like.new_zeros(count, spec.channels, spec.resolution, spec.resolution)
        return FaceTrainingBatch(
            ws, feature, image, encoder_input, no, yes, no, torch.full((count,), images_before, device=like.device)
        )
