"""Train the light Feature-Style encoder on the generator's own samples (paper Sec. 3.2, the recipe for few cores).

Every step takes codes, half of them with their true images from a pool and half drawn through the proxy head, encodes
the pictures and asks two inversions to look like them: x1 = G(w) and x2 = G(w, F), both through the proxy head. Half of
each batch has a feature code off the generator's manifold (cells of another sample's F pasted in), so that F must
carry what w cannot; w answers for the other half. Runs for a time budget, saves every minute, and resumes:
the batch of step n depends on n only. The learning rate follows the time spent, so two whole runs are not equal.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from trainers.samples import Pool, load_pool, paste_cells, sample_ws
from vidinv.editing.refine import Guides
from vidinv.encoders import feature_style_light
from vidinv.faces.embedder import load_arcface
from vidinv.generators import proxy as proxies
from vidinv.generators import registry
from vidinv.generators.base import Generator
from vidinv.generators.proxy import Proxy
from vidinv.losses.lpips import LPIPS


@dataclass(frozen=True)
class Recipe:
    """Weights of the losses and the schedule; `w` and `f` are normalised by the code's own variance."""

    batch: int = 8
    rate: float = 6e-4
    w: float = 1.0
    w_variance: float = 0.178  # of the default generator's w, mean over its dimensions
    f: float = 0.1
    pixel: float = 4.0
    perceptual: float = 0.4
    identity: float = 0.4
    w_image: float = 1.0  # weight of x1 beside x2
    ema: float = 0.995
    clip: float = 2.0
    warmup: int = 50


@dataclass(frozen=True)
class Batch:
    """One synthetic batch: `image` [N,3,128,128] is what the encoder must reproduce, `seen` what it is shown."""

    ws: Tensor
    feature: Tensor
    image: Tensor
    seen: Tensor
    exact: Tensor  # [N] bool: the image is G(ws, feature) itself, no photometric change
    whole: Tensor  # [N] bool: nothing was pasted into the feature, so w alone could draw the face


def draw(proxy: Proxy, at: int, count: int, seed: int, pool: Pool | None = None) -> Batch:
    """The batch of step `seed`: half of a pool's true images (when there is one), the rest drawn now by the proxy.

    Every second feature is pasted (off the manifold); half of the images get a photometric change.
    """
    generator = proxy.generator
    random = torch.Generator().manual_seed(seed)
    fresh = count if pool is None else count // 2
    with torch.no_grad():
        ws = sample_ws(generator, fresh, seed=seed)
        feature = paste_cells(generator.synthesize(ws, stop=at), random)
        image = proxy(ws, feature, at).clamp(-1.1, 1.1)
        seen = image
        if pool is not None:
            pick = torch.randint(len(pool) // 2, (count - fresh,), generator=random) * 2
            pick += torch.arange(count - fresh) % 2  # even samples of a pool are pasted, odd ones are not
            ws = torch.cat([ws, pool.ws[pick].float()])
            feature = torch.cat([feature, pool.feature[pick].float()])
            image = torch.cat([image, proxy(ws[fresh:], feature[fresh:], at).clamp(-1.1, 1.1)])
            seen = torch.cat([seen, pool.image[pick].float() / 127.5 - 1])
    exact = torch.rand(count, generator=random) < 0.5
    change = photometry(count, random)
    image, seen = (torch.where(exact[:, None, None, None], x, change(x)) for x in (image, seen))
    return Batch(ws, feature, image, degrade(seen, random), exact, torch.arange(count) % 2 == 1)


def photometry(count: int, random: torch.Generator) -> Callable[[Tensor], Tensor]:
    """A change of gain, offset and per-channel tint for [N,3,S,S], one per image, as cameras differ."""
    gain = 1 + 0.25 * torch.randn(count, 1, 1, 1, generator=random)
    shift = 0.06 * torch.randn(count, 3, 1, 1, generator=random) + 0.1 * torch.randn(count, 1, 1, 1, generator=random)
    return lambda image: (image * gain + shift).clamp(-1.1, 1.1)


def degrade(image: Tensor, random: torch.Generator) -> Tensor:
    """Blur (half of the images) and noise on what the encoder sees, never on the target."""
    small = functional.interpolate(image, scale_factor=0.6, mode="bilinear", antialias=True)
    blurred = functional.interpolate(small, image.shape[-2:], mode="bilinear")
    pick = torch.rand(len(image), 1, 1, 1, generator=random) < 0.5
    return torch.where(pick, blurred, image) + 0.03 * torch.randn(image.shape, generator=random)


def losses(
    encoder: nn.Module, proxy: Proxy, guides: Guides, batch: Batch, recipe: Recipe, at: int
) -> tuple[Tensor, dict[str, float]]:
    """The sum that is minimised, and its parts for the log. x1 = G(w) is asked of whole faces only."""
    half = torch.autocast(batch.seen.device.type, torch.bfloat16)
    with half:
        code = encoder(batch.seen.contiguous(memory_format=torch.channels_last))
    known, whole = batch.exact.float(), batch.whole
    clean = known * whole
    w_error = ((code.ws - batch.ws).square().mean((1, 2)) / recipe.w_variance * clean).sum() / clean.sum().clamp(min=1)
    f_each = ((code.feature - batch.feature) / encoder.f_std).square().mean((1, 2, 3))
    f_error = (f_each * known).sum() / known.sum().clamp(min=1)
    with half:
        x1, x2 = proxy(code.ws[whole]), proxy(code.ws, code.feature, at)
    made, wanted = torch.cat([x1, x2]), torch.cat([batch.image[whole], batch.image])
    with torch.no_grad():
        person = guides.identity.embed(batch.image)
    alike = (guides.identity.embed(made) * torch.cat([person[whole], person])).sum(1)
    with half:
        apart = guides.perceptual(made, wanted)
    pixel = (made - wanted).square().mean((1, 2, 3))
    each = recipe.pixel * pixel + recipe.perceptual * apart + recipe.identity * (1 - alike)
    count = len(x1)
    total = recipe.w * w_error + recipe.f * f_error + recipe.w_image * each[:count].mean() + each[count:].mean()
    parts = {"w": w_error, "f": f_error}
    for name, value in (("pixel", pixel), ("lpips", apart), ("id", alike)):
        parts |= {f"{name}1": value[:count].mean(), f"{name}2": value[count:].mean()}
    return total, {name: float(value.detach()) for name, value in parts.items()}


def train(generator: Generator, proxy: Proxy, pool: Pool, folder: Path, seconds: float, recipe: Recipe) -> Path:
    """Train until `seconds` of compute are spent in all (earlier runs counted); returns the encoder's file."""
    folder.mkdir(parents=True, exist_ok=True)
    guides = Guides(load_arcface().requires_grad_(False), LPIPS.load("alexnet"))
    torch.manual_seed(0)
    encoder = feature_style_light.for_generator(generator).to(memory_format=torch.channels_last)
    average = {key: value.detach().clone() for key, value in encoder.state_dict().items()}
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=recipe.rate, betas=(0.9, 0.99), weight_decay=1e-4)
    step, spent = restore(folder, encoder, average, optimiser)
    saved = time.monotonic()
    while spent < seconds:
        begun = time.monotonic()
        for group in optimiser.param_groups:
            group["lr"] = recipe.rate * min(1, (step + 1) / recipe.warmup) * max(0.03, 1 - (spent / seconds) ** 2)
        batch = draw(proxy, encoder.at, recipe.batch, step, pool)
        total, parts = losses(encoder, proxy, guides, batch, recipe, encoder.at)
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), recipe.clip)
        optimiser.step()
        step += 1
        decay = min(recipe.ema, (1 + step) / (10 + step))
        for key, value in encoder.state_dict().items():
            average[key].lerp_(value, 1 - decay) if value.is_floating_point() else average[key].copy_(value)
        spent += time.monotonic() - begun
        if step % 10 == 0:
            line = {"step": step, "seconds": round(spent), **{k: round(v, 4) for k, v in parts.items()}}
            with (folder / "log.jsonl").open("a") as log:
                log.write(json.dumps(line) + "\n")
        if time.monotonic() - saved > 60 or spent >= seconds:
            save(folder, encoder, average, optimiser, step, spent)
            saved = time.monotonic()
    return folder / "encoder.safetensors"


def save(
    folder: Path,
    encoder: nn.Module,
    average: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
    step: int,
    spent: float,
) -> None:
    """Write the averaged encoder (fp16, what is shipped) and the resumable state, each under its name at once."""
    shipped = {k: v.half() if v.is_floating_point() else v for k, v in average.items()}
    save_file({k: v.contiguous() for k, v in shipped.items()}, folder / "encoder.new")
    os.replace(folder / "encoder.new", folder / "encoder.safetensors")
    state = {"net": encoder.state_dict(), "average": average, "optimiser": optimiser.state_dict()}
    torch.save({**state, "step": step, "spent": spent}, folder / "state.new")
    os.replace(folder / "state.new", folder / "state.pt")


def restore(
    folder: Path, encoder: nn.Module, average: dict[str, Tensor], optimiser: torch.optim.Optimizer
) -> tuple[int, float]:
    """(step, seconds spent) of the state in `folder`, loaded into its arguments; (0, 0.0) when there is none."""
    path = folder / "state.pt"
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, weights_only=True)
    encoder.load_state_dict(state["net"])
    average.update(state["average"])
    optimiser.load_state_dict(state["optimiser"])
    return state["step"], state["spent"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="checkpoints, log and the trained encoder")
    parser.add_argument("--pool", type=Path, required=True, help="true images from `python -m trainers.samples`")
    parser.add_argument("--seconds", type=float, default=3600)
    args = parser.parse_args()
    generator = registry.load("mobile-stylegan-ffhq-1024")
    print(train(generator, proxies.load(generator, 128), load_pool(args.pool), args.folder, args.seconds, Recipe()))


if __name__ == "__main__":
    main()
