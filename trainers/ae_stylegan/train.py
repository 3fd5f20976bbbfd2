"""Train an AE-StyleGAN (Han et al.): mapping F, synthesis G, encoder E, and the discriminators, as ordered steps.

Decoupled (algorithm 1): D1 classifies samples and D2 reconstructions; E inverts a G that only D1 trains.
Joint (algorithm 2): one D classifies both, and E and G minimise the reconstruction loss together. All steps of a turn
use the same batch of real pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidinv.encoders import stylegan_ae
from vidinv.encoders.stylegan_ae import TrunkEncoder
from vidinv.generators import generator_file
from vidinv.generators.base import Noise
from vidinv.generators.stylegan2 import StyleGAN2
from vidinv.generators.stylegan2_discriminator import Discriminator, deviations
from vidinv.losses import adversarial
from vidinv.losses.balance import PathLength, adaptive_weight, path_lengths
from vidinv.losses.lpips import LPIPS
from vidinv.media.image_grid import image_grid
from vidinv.progress import Progress
from vidinv.trainers.ae_stylegan.config import AeRecipe
from vidinv.trainers.augment.adaptive import Augment
from vidinv.trainers.core import distributed, launch, loop
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.data.keyed_dataset import ImageDataset
from vidinv.trainers.gan_encoder.train import TensorLatents

Parts = dict[str, Tensor]
# networks, images, random numbers, name of the discriminator -> loss, its parts
DiscriminatorLoss = Callable[[loop.Networks, Tensor, StepRandom, str], tuple[Tensor, Parts]]
Features = Callable[[Tensor], Tensor]  # images [N,3,S,S] -> phi [N,C,h,w]
SHOWN = 8  # pictures per row of a sample grid


class SynthesisForward(nn.Module):
    """G as one forward: ws [N,L,D] -> image [N,3,S,S], with fixed noise by default, without the mapping F."""

    def __init__(self, generator: StyleGAN2) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, ws: Tensor, noise: Noise = "const") -> Tensor:
        return self.generator.synthesize(ws, noise=noise).float()


@dataclass(frozen=True)
class AeStyleganSetup:
    """A training before its first turn. `networks`: F, G, E, the discriminators, and the penalties' state."""

    recipe: AeRecipe
    networks: dict[str, nn.Module]
    steps: list[loop.Step]
    plan: loop.Plan
    generator: StyleGAN2  # its mapping F is in `networks`
    encoder: TrunkEncoder


def build_ae_generator(recipe: AeRecipe) -> StyleGAN2:
    """Return the recipe's untrained generator, with mapping F and synthesis G."""
    return StyleGAN2(
        recipe.name,
        f"{recipe.name}-w",
        recipe.size,
        channel_multiplier=recipe.channel_multiplier,
        channel_max=recipe.channel_max,
        w_dim=recipe.w_dim,
        mapping_layers=recipe.mapping_layers,
    )


def perceptual_features(network: LPIPS) -> Features:
    """Return phi of eq. 2: VGG16's block4_conv3 after its ReLU, or AlexNet's fourth convolution."""
    return lambda image: network.features(image)[3]


def generator_settings(recipe: AeRecipe) -> dict[str, int | float]:
    """Return the generator's constructor settings, which its file stores."""
    keys = ("channel_multiplier", "channel_max", "w_dim", "mapping_layers")
    return {"resolution": recipe.size} | {key: getattr(recipe, key) for key in keys}


def set_up(recipe: AeRecipe, phi: Features | None, device: str = "cpu") -> AeStyleganSetup:
    """Build the untrained networks and their steps; `phi` gives perceptual features or is None."""
    here = launch.process_rank()
    recipe.check(here.count)
    torch.manual_seed(recipe.seed)
    generator = build_ae_generator(recipe)
    encoder = stylegan_ae.for_generator(generator, tied=recipe.space == "w")
    mapping = generator.style
    generator.style = nn.Sequential()  # F is a separate network: E's step trains G without it
    networks: dict[str, nn.Module] = {"F": mapping, "G": SynthesisForward(generator), "E": TensorLatents(encoder)}
    for name in ("D",) if recipe.is_joint else ("D1", "D2"):
        networks[name] = Discriminator(
            recipe.size,
            channel_multiplier=recipe.channel_multiplier,
            channel_max=recipe.channel_max,
            deviation=distributed.over_all_processes(deviations),
        )
    networks |= {"path": PathLength(), "ada": Augment(recipe.ada_target) if recipe.ada else nn.Identity()}
    for network in networks.values():
        network.to(device)
    plan = loop.Plan(
        recipe.images,
        recipe.batch,
        accelerator=device,
        devices=here.count,
        machines=here.machines,
        seed=recipe.seed,
        ema=recipe.ema,
        save_every=recipe.save_every,
        sample_every=max(recipe.images // 20, recipe.batch),
        workers=recipe.workers,
    )
    losses = AeStyleganLosses(recipe, phi)
    return AeStyleganSetup(recipe, networks, losses.steps(), plan, generator, encoder)


def mix_styles(first: Tensor, second: Tensor, slots: int, probability: float, random: StepRandom) -> Tensor:
    """Style mixing: ws [N,L,D] from two w [N,D]; with `probability` the second fills the rows from a random one on."""
    split = random.integers(1, slots, len(first))
    split[random.uniform(len(first)) >= probability] = slots
    is_first = torch.arange(slots, device=first.device)[None] < split[:, None]  # [N,L]
    return torch.where(is_first[..., None], first[:, None], second[:, None])


@dataclass(frozen=True)
class AeStyleganLosses:
    """The loss of every step; the step itself names the networks that it trains."""

    recipe: AeRecipe
    phi: Features | None

    def steps(self) -> list[loop.Step]:
        """Return the steps of a turn in order. A lazy penalty, run every c turns, shares its network's optimiser."""
        recipe = self.recipe
        first, second = ("D", "D") if recipe.is_joint else ("D1", "D2")
        found = [*self._discriminator_steps(first, self.prior_discriminator_loss)]
        if not recipe.is_joint:
            found += self._discriminator_steps(second, self.inversion_discriminator_loss)
        inverts = ("E", "G") if recipe.is_joint else ("E",)
        found.append(loop.Step("E", inverts, self._adam(1), self._with(self.inversion_loss, second)))
        lazy = recipe.path_every if recipe.path else 1
        found.append(loop.Step("G", ("F", "G"), self._adam(lazy), self._with(self.generator_loss, first)))
        if recipe.path:
            found.append(
                loop.Step(
                    "path", ("F", "G"), self._adam(lazy), self.path_length_loss, every=recipe.path_every, shares="G"
                )
            )
        return found

    def _discriminator_steps(self, name: str, loss: DiscriminatorLoss) -> list[loop.Step]:
        """Return a discriminator's step and its R1 step."""
        every, adam = self.recipe.r1_every, self._adam(self.recipe.r1_every if self.recipe.r1 else 1)
        found = [loop.Step(name, (name,), adam, self._with(loss, name))]
        if self.recipe.r1:
            r1 = self._with(self.r1_loss, name)
            found.append(loop.Step(f"{name}-r1", (name,), adam, r1, every=every, shares=name))
        return found

    def _adam(self, lazy: int) -> Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer]:
        """Return Adam corrected for a lazy penalty every `lazy` turns: rate * c and 0.99^c, c = lazy / (lazy + 1)."""
        c = lazy / (lazy + 1) if lazy > 1 else 1.0
        return lambda parameters: torch.optim.Adam(parameters, lr=self.recipe.rate * c, betas=(0.0, 0.99**c))

    def _with(self, loss: DiscriminatorLoss, discriminator: str) -> loop.Loss:
        """Bind the loss to a discriminator's name and run it in the recipe's precision."""

        def minimised(networks: loop.Networks, image: Tensor, random: StepRandom) -> tuple[Tensor, Parts]:
            with torch.autocast(image.device.type, torch.bfloat16, enabled=self.recipe.half):
                return loss(networks, image, random, discriminator)

        return minimised

    def prior(self, networks: loop.Networks, count: int, random: StepRandom) -> Tensor:
        """Return ws [N,L,D] of new z with style mixing."""
        z = random.normal(count, 2, self.recipe.w_dim)
        slots = 2 * self.recipe.size.bit_length() - 4  # 2 log2(size) - 2
        first, second = networks["F"](z.flatten(0, 1)).float().unflatten(0, (count, 2)).unbind(1)
        return mix_styles(first, second, slots, self.recipe.mixing, random)

    def logits(self, networks: loop.Networks, discriminator: str, image: Tensor, random: StepRandom) -> Tensor:
        """Return a discriminator's logits [N,1] of pictures, augmented if the recipe says so."""
        augment = networks["ada"]
        return networks[discriminator](augment(image, random) if isinstance(augment, Augment) else image).float()

    def prior_discriminator_loss(
        self, networks: loop.Networks, image: Tensor, random: StepRandom, discriminator: str
    ) -> tuple[Tensor, Parts]:
        """sp(-D(x)) + (1 - share) sp(D(G(F(z)))) + share sp(D(G(E(x)))); without share D1's loss (eq. 1 and 5)."""
        share = self.recipe.fake_share
        with torch.no_grad():
            made = networks["G"](self.prior(networks, len(image), random), random.noise)
            again = self._reconstruction(networks, image, random) if share else None
        said = self.logits(networks, discriminator, image, random)
        real = adversarial.generator(said)  # sp(-D(x))
        fake = adversarial.generator(-self.logits(networks, discriminator, made, random))  # sp(D(G(F(z))))
        augment = networks["ada"]
        if isinstance(augment, Augment):
            augment.observe(distributed.gather_rows(said.detach()))
        inverted = torch.zeros_like(fake)
        if again is not None:
            inverted = adversarial.generator(-self.logits(networks, discriminator, again, random))
        return real + (1 - share) * fake + share * inverted, {"real": real, "fake": fake, "inverted": inverted}

    def inversion_discriminator_loss(
        self, networks: loop.Networks, image: Tensor, random: StepRandom, discriminator: str
    ) -> tuple[Tensor, Parts]:
        """sp(-D2(x)) + sp(D2(G(E(x)))), eq. 4."""
        with torch.no_grad():
            made = self._reconstruction(networks, image, random)
        real, fake = (self.logits(networks, discriminator, each, random) for each in (image, made))
        return adversarial.discriminator(real, fake), {}

    def r1_loss(
        self, networks: loop.Networks, image: Tensor, random: StepRandom, discriminator: str
    ) -> tuple[Tensor, Parts]:
        """r1 / 2 |grad D(x)|^2, times the interval in turns at which it runs."""
        image = image.detach().requires_grad_()
        with torch.autocast(image.device.type, enabled=False):
            penalty = adversarial.r1(image, self.logits(networks, discriminator, image, random))
        return self.recipe.r1 / 2 * self.recipe.r1_every * penalty, {"penalty": penalty}

    def inversion_loss(
        self, networks: loop.Networks, image: Tensor, random: StepRandom, discriminator: str
    ) -> tuple[Tensor, Parts]:
        """L_idinv, eq. 2: pixels, phi and the adversarial loss of reconstructions; trains E, and G if joint."""
        recipe = self.recipe
        made = self._reconstruction(networks, image, random)
        parts = {"pixel": functional.mse_loss(made, image)}
        likeness = recipe.pixel * parts["pixel"]
        if self.phi is not None and recipe.perceptual:
            parts["perceptual"] = (self.phi(made) - self.phi(image)).square().mean()
            likeness = likeness + recipe.perceptual * parts["perceptual"]
        parts["adversarial"] = adversarial.generator(self.logits(networks, discriminator, made, random))
        pull = recipe.adversarial * parts["adversarial"]
        if recipe.adaptive:
            parts["weight"] = adaptive_weight(likeness, pull, made, distributed.gradient_norm)
            pull = parts["weight"] * pull
        total = likeness + pull
        if recipe.latent:
            w = self.prior(networks, len(image), random)
            found = networks["E"](networks["G"](w, random.noise), _no_class(image))[0].float()
            parts["latent"] = functional.mse_loss(found, w)
            total = total + recipe.latent * parts["latent"]
        return total, parts

    def generator_loss(
        self, networks: loop.Networks, image: Tensor, random: StepRandom, discriminator: str
    ) -> tuple[Tensor, Parts]:
        """(1 - share) sp(-D(G(F(z)))), plus share sp(-D(G(E(x)))) with third_step=whole (eq. 5); trains F and G."""
        share = self.recipe.fake_share
        made = networks["G"](self.prior(networks, len(image), random), random.noise)
        fake = adversarial.generator(self.logits(networks, discriminator, made, random))
        total = (1 - share) * fake
        if share and self.recipe.third_step == "whole":
            again = self._reconstruction(networks, image, random)
            total = total + share * adversarial.generator(self.logits(networks, discriminator, again, random))
        return total, {"fake": fake}

    def path_length_loss(self, networks: loop.Networks, image: Tensor, random: StepRandom) -> tuple[Tensor, Parts]:
        """The path length penalty on half a batch, times its weight and the interval in turns at which it runs."""
        ws = self.prior(networks, max(1, len(image) // 2), random)
        made = networks["G"](ws, random.noise)
        lengths = distributed.gather_rows(path_lengths(made, ws, random.normal(*made.shape)))
        penalty = networks["path"](lengths)
        return self.recipe.path * self.recipe.path_every * penalty, {"length": lengths.mean()}

    def _reconstruction(self, networks: loop.Networks, image: Tensor, random: StepRandom) -> Tensor:
        """Return G(E(x)) [N,3,S,S] with new noise."""
        return networks["G"](networks["E"](image, _no_class(image))[0].float(), random.noise)


def _no_class(image: Tensor) -> Tensor:
    return image.new_zeros(len(image), 0)


def train(
    setup: AeStyleganSetup, pictures: ImageDataset, folder: Path, progress: Progress | None = None
) -> tuple[StyleGAN2, TrunkEncoder]:
    """Train to the plan's end, resuming from `folder`; returns the averaged generator (F and G) and encoder."""
    average = loop.train(setup.networks, setup.steps, pictures, setup.plan, folder, _grid(setup, pictures), progress)
    return averaged_networks(setup, average)


def averaged_networks(setup: AeStyleganSetup, average: Mapping[str, Tensor]) -> tuple[StyleGAN2, TrunkEncoder]:
    """Return generator (with F and an estimated average w) and encoder with averaged weights, frozen, in eval mode."""
    mapping = {f"style.{key}": value for key, value in _of(average, "F.").items()}
    generator = build_ae_generator(setup.recipe)
    generator.load_state_dict(_of(average, "G.generator.") | mapping)
    generator.eval().requires_grad_(False)
    generator_file.set_average(generator, None)
    encoder = setup.encoder.cpu()
    encoder.load_state_dict(_of(average, "E.encoder."))
    return generator, encoder.eval().requires_grad_(False)


def _of(average: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in average.items() if key.startswith(prefix)}


def _grid(setup: AeStyleganSetup, pictures: ImageDataset) -> loop.Samples:
    """Return the sample grid: rows of real pictures, their reconstructions, and samples."""

    def samples(networks: loop.Networks) -> Tensor:
        device = next(networks["G"].parameters()).device
        image = pictures.draw(SHOWN, 7).to(device)
        z = torch.randn(SHOWN, setup.recipe.w_dim, generator=torch.Generator().manual_seed(7)).to(device)
        prior = networks["G"](setup.generator.broadcast(networks["F"](z).float()))
        again = networks["G"](networks["E"](image, _no_class(image))[0].float())
        return image_grid([image, again, prior])

    return samples
