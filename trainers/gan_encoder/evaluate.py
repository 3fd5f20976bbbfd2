"""Evaluate an adaptive encoder: PSNR, SSIM and LPIPS of whole inversions and of AT1 and AT2, with deviations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from vidinv.encoders.base import Encoder
from vidinv.losses import regions
from vidinv.metrics import image
from vidinv.trainers.gan_encoder.train import GanRenderContext, LatentBatch, TensorLatents, draw_samples

VIEWS = {"whole": lambda x: x, "at1": regions.at1, "at2": regions.at2}
Figures = dict[str, dict[str, float]]  # view -> figure -> value


def sample_batches(context: GanRenderContext, seeds: Sequence[int]) -> Iterable[LatentBatch]:
    """Yield the generator's samples of `seeds` in batches of the recipe's size."""
    at_once = context.recipe.batch
    return (draw_samples(context, seeds[start : start + at_once]) for start in range(0, len(seeds), at_once))


@torch.no_grad()
def evaluate_encoder(encoder: Encoder, context: GanRenderContext, data: Iterable[LatentBatch]) -> Figures:
    """Return {view: {psnr, ssim, lpips, their deviations, n}}; LPIPS uses the recipe's network."""
    network = TensorLatents(encoder).eval()
    rows: dict[str, dict[str, list[float]]] = {view: {} for view in VIEWS}
    for batch in data:
        made = context.picture(*network(batch.image, batch.c)).float().clamp(-1, 1)
        for view, crop in VIEWS.items():
            for name, values in _figures(crop(made), crop(batch.image.clamp(-1, 1)), context).items():
                rows[view].setdefault(name, []).extend(values.tolist())
    return {view: _summary(found) for view, found in rows.items()}


def _figures(made: Tensor, wanted: Tensor, context: GanRenderContext) -> dict[str, Tensor]:
    perceptual = context.evaluators.perceptual(made, wanted).float()
    return {"psnr": image.psnr(made, wanted), "ssim": image.ssim(made, wanted), "lpips": perceptual}


def _summary(found: dict[str, list[float]]) -> dict[str, float]:
    summary: dict[str, float] = {}
    for name, values in found.items():
        column = torch.tensor(values)
        summary[name] = round(float(column.mean()), 4)
        summary[f"{name}_deviation"] = round(float(column.std(correction=0)), 4)
    return summary | {"n": len(next(iter(found.values()), []))}


def mean_figures(of: Sequence[Figures]) -> Figures:
    """Return the mean over several evaluations, weighted by their numbers of pictures, without deviations."""
    total = sum(each["whole"]["n"] for each in of)
    names = ("psnr", "ssim", "lpips")
    means = {
        view: {name: round(sum(each[view][name] * each[view]["n"] for each in of) / total, 4) for name in names}
        for view in VIEWS
    }
    return {view: row | {"n": total} for view, row in means.items()}
