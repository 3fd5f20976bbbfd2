"""Train the light Feature-Style encoder on the generator's own samples (paper Sec. 3.2, the recipe for few cores).

Every turn takes codes, half of them with their true images from a pool and half drawn through the proxy head, encodes
the pictures and asks two inversions to look like them: x1 = G(w) and x2 = G(w, F), both through the proxy head. Half of
each batch has a feature code off the generator's manifold (cells of another sample's F pasted in), so that F must
carry what w cannot; w answers for the other half.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from trainers import engine
from trainers.samples import Pool, paste_cells, sample_ws
from vidinv.editing.refine import Guides, load_guides
from vidinv.encoders import feature_style_light
from vidinv.encoders.base import Encoder
from vidinv.generators.base import Generator
from vidinv.generators.proxy import Proxy

BLOCK = 4  # samples that are drawn together; a batch, and every process' share of it, is a multiple


@dataclass(frozen=True)
class Recipe:
    """Weights of the losses and the schedule; `w` and `f` are normalised by the code's own variance."""

    images: int = 480_000  # the paper's schedule
    batch: int = 8
    pool: int = 6000  # samples with true images, drawn before the training begins
    rate: float = 6e-4
    warmup: int = 400  # images
    w: float = 1.0
    w_variance: float = 0.178  # of the default generator's w, mean over its dimensions
    f: float = 0.1
    pixel: float = 4.0
    perceptual: float = 0.4
    identity: float = 0.4
    w_image: float = 1.0  # weight of x1 beside x2
    ema: float = 0.995
    clip: float = 2.0

    def schedule(self, images: int) -> float:
        """Share of `rate` after so many images: a linear start, then down to 3 % along a parabola."""
        return min(1, (images + self.batch) / self.warmup) * max(0.03, 1 - (images / self.images) ** 2)


@dataclass(frozen=True)
class Batch:
    """One synthetic batch: `image` [N,3,128,128] is what the encoder must reproduce, `seen` what it is shown."""

    ws: Tensor
    feature: Tensor
    image: Tensor
    seen: Tensor
    exact: Tensor  # [N] bool: the image is G(ws, feature) itself, no photometric change
    whole: Tensor  # [N] bool: nothing was pasted into the feature, so w alone could draw the face

    def to(self, device: torch.device) -> Batch:
        """The batch on `device`."""
        return Batch(**{f.name: getattr(self, f.name).to(device) for f in fields(Batch)})


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


class Codes(nn.Module):
    """An encoder that answers (ws, feature): Fabric passes tensors on, and no frozen dataclass."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        code = self.encoder(image)
        return code.ws, code.feature


def losses(
    encoder: nn.Module, proxy: Proxy, guides: Guides, batch: Batch, recipe: Recipe, at: int, spread: Tensor
) -> tuple[Tensor, dict[str, Tensor]]:
    """The sum that is minimised, and its parts. x1 = G(w) is asked of whole faces only; `spread` [1,C,1,1] is F's."""
    half = torch.autocast(batch.seen.device.type, torch.bfloat16)
    with half:
        ws, feature = encoder(batch.seen.contiguous(memory_format=torch.channels_last))
    known, whole = batch.exact.float(), batch.whole
    clean = known * whole
    w_error = ((ws - batch.ws).square().mean((1, 2)) / recipe.w_variance * clean).sum() / clean.sum().clamp(min=1)
    f_each = ((feature - batch.feature) / spread).square().mean((1, 2, 3))
    f_error = (f_each * known).sum() / known.sum().clamp(min=1)
    with half:
        x1, x2 = proxy(ws[whole]), proxy(ws, feature, at)
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
    return total, parts


@dataclass(frozen=True)
class Setup:
    """A training before its first turn: the network, its one step, and the plan."""

    codes: Codes
    step: engine.Step
    plan: engine.Plan

    @property
    def networks(self) -> dict[str, nn.Module]:
        return {"encoder": self.codes}


def set_up(generator: Generator, proxy: Proxy, recipe: Recipe) -> Setup:
    """The untrained encoder and how it will be trained; what `--dry-run` describes and `train` runs."""
    torch.manual_seed(0)
    guides = load_guides()
    encoder = feature_style_light.for_generator(generator).to(memory_format=torch.channels_last)
    at, spread = encoder.at, encoder.f_std.clone()

    def loss(networks: engine.Networks, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        return losses(networks["encoder"], proxy, guides, batch, recipe, at, spread)

    def adam(parameters: Sequence[nn.Parameter]) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=recipe.rate, betas=(0.9, 0.99), weight_decay=1e-4)

    plan = engine.Plan(
        recipe.images, recipe.batch, recipe.schedule, accelerator="cpu", clip=recipe.clip, ema=recipe.ema
    )
    return Setup(Codes(encoder), engine.Step("encoder", ("encoder",), adam, loss), plan)


def train(setup: Setup, proxy: Proxy, pool: Pool, folder: Path) -> Path:
    """Train to the plan's end, continuing what `folder` holds; returns the encoder's file (averaged, fp16)."""
    at, batch_size = setup.codes.encoder.at, setup.plan.batch
    assert at is not None

    def draw_rows(turn: int, rows: slice) -> Batch:
        blocks = range(rows.start // BLOCK, rows.stop // BLOCK)
        return join([draw(proxy, at, BLOCK, turn * batch_size // BLOCK + block, pool) for block in blocks])

    def samples(networks: engine.Networks) -> Tensor:
        batch = draw_rows(-1, slice(0, batch_size))
        ws, feature = networks["encoder"](batch.seen)
        shown = torch.cat([batch.seen, proxy(ws), proxy(ws, feature, at)], 2)  # three rows
        return torch.cat(list(shown), 2)

    average = engine.train(setup.networks, [setup.step], draw_rows, setup.plan, folder, samples)
    shipped = {key.removeprefix("encoder.encoder."): value for key, value in average.items()}
    path = folder / "encoder.safetensors"
    save_file({k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in shipped.items()}, path)
    return path


def join(batches: list[Batch]) -> Batch:
    """One batch of several."""
    return Batch(**{f.name: torch.cat([getattr(batch, f.name) for batch in batches]) for f in fields(Batch)})
