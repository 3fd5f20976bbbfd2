"""Train the light Feature-Style encoder on the generator's own samples (paper Sec. 3.2, the recipe for few cores).

Every step draws codes, renders them through the proxy head, encodes the picture and asks two inversions to look like
it: x1 = G(w) and x2 = G(w, F). Half of each batch has a feature code off the generator's manifold (cells of another
sample's F pasted in), so that F must carry what w cannot. Runs for a time budget, saves every minute, and resumes:
the batch of step n depends on n only. The learning rate follows the time spent, so two whole runs are not equal.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from trainers.samples import sample_ws
from vidinv.encoders import feature_style_light
from vidinv.faces.embedder import IdentityNetwork, load_arcface
from vidinv.generators import registry
from vidinv.generators.base import Generator
from vidinv.generators.proxy import Proxy, load_head


@dataclass(frozen=True)
class Recipe:
    """Weights of the losses and the schedule; `w` and `f` are normalised by the code's own variance."""

    batch: int = 8
    rate: float = 6e-4
    w: float = 0.3
    w_variance: float = 0.178  # of the default generator's w, mean over its dimensions
    f: float = 0.1
    pixel: float = 4.0
    identity: float = 0.4
    w_image: float = 0.7  # weight of x1 beside x2
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


def draw(proxy: Proxy, at: int, count: int, seed: int) -> Batch:
    """The batch of step `seed`: half with pasted feature cells, half with a photometric change."""
    generator = proxy.generator
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        ws = sample_ws(generator, count, seed=seed)
        feature = generator.synthesize(ws, stop=at)
        feature = paste_cells(feature, random)
        image = proxy(ws, feature, at).clamp(-1.1, 1.1)
    exact = torch.rand(count, generator=random) < 0.5
    image = torch.where(exact[:, None, None, None], image, photometric(image, random))
    return Batch(ws, feature, image, degrade(image, random), exact)


def paste_cells(feature: Tensor, random: torch.Generator) -> Tensor:
    """Replace a rectangle of every second F [N,C,h,w] by its neighbour's: off the manifold, its image exactly known."""
    other, mixed = feature.roll(1, 0), feature.clone()
    side = feature.shape[-1]
    for n in range(0, len(feature), 2):
        x, y = torch.randint(0, side - 2, (2,), generator=random).tolist()
        w, h = torch.randint(2, side // 2 + 1, (2,), generator=random).tolist()
        mixed[n, :, y : y + h, x : x + w] = other[n, :, y : y + h, x : x + w]
    return mixed


def photometric(image: Tensor, random: torch.Generator) -> Tensor:
    """Gain, offset and per-channel tint of [N,3,S,S], as cameras differ."""
    n = len(image)
    gain = 1 + 0.25 * torch.randn(n, 1, 1, 1, generator=random)
    tint = 0.06 * torch.randn(n, 3, 1, 1, generator=random)
    return (image * gain + 0.1 * torch.randn(n, 1, 1, 1, generator=random) + tint).clamp(-1.1, 1.1)


def degrade(image: Tensor, random: torch.Generator) -> Tensor:
    """Blur (half of the images) and noise on what the encoder sees, never on the target."""
    small = functional.interpolate(image, scale_factor=0.6, mode="bilinear", antialias=True)
    blurred = functional.interpolate(small, image.shape[-2:], mode="bilinear")
    pick = torch.rand(len(image), 1, 1, 1, generator=random) < 0.5
    return torch.where(pick, blurred, image) + 0.03 * torch.randn(image.shape, generator=random)


def losses(
    encoder: nn.Module, proxy: Proxy, face: IdentityNetwork, batch: Batch, recipe: Recipe, at: int
) -> tuple[Tensor, dict[str, float]]:
    """The sum that is minimised, and its parts for the log."""
    with torch.autocast(batch.seen.device.type, torch.bfloat16):
        code = encoder(batch.seen.contiguous(memory_format=torch.channels_last))
    scale = encoder.f_std
    known = batch.exact.float()
    w_error = ((code.ws - batch.ws).square().mean((1, 2)) / recipe.w_variance * known).sum() / known.sum().clamp(min=1)
    f_each = ((code.feature - batch.feature) / scale).square().mean((1, 2, 3))
    f_error = (f_each * known).sum() / known.sum().clamp(min=1)
    x1, x2 = proxy(code.ws), proxy(code.ws, code.feature, at)
    pixel1, pixel2 = functional.mse_loss(x1, batch.image), functional.mse_loss(x2, batch.image)
    with torch.no_grad():
        wanted = face.embed(batch.image)
    made = face.embed(torch.cat([x1, x2]))
    id1, id2 = (1 - (made.view(2, len(wanted), -1) * wanted).sum(2).mean(1)).unbind(0)
    total = recipe.w * w_error + recipe.f * f_error
    total = total + recipe.pixel * (pixel2 + recipe.w_image * pixel1) + recipe.identity * (id2 + recipe.w_image * id1)
    parts = {"w": w_error, "f": f_error, "pixel1": pixel1, "pixel2": pixel2, "id1": 1 - id1, "id2": 1 - id2}
    return total, {name: float(value.detach()) for name, value in parts.items()}


def train(generator: Generator, head: Path, folder: Path, seconds: float, recipe: Recipe) -> Path:
    """Train until `seconds` of compute are spent in all (earlier runs counted); returns the encoder's file."""
    folder.mkdir(parents=True, exist_ok=True)
    proxy, face = Proxy(generator, load_head(head)), load_arcface().requires_grad_(False)
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
        total, parts = losses(encoder, proxy, face, draw(proxy, encoder.at, recipe.batch, step), recipe, encoder.at)
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
    parser.add_argument("--head", type=Path, required=True, help="proxy head from `python -m trainers.proxy_head`")
    parser.add_argument("--seconds", type=float, default=3600)
    args = parser.parse_args()
    print(train(registry.load("mobile-stylegan-ffhq-1024"), args.head, args.folder, args.seconds, Recipe()))


if __name__ == "__main__":
    main()
