"""Compute the losses of a deep automodulator (Heljakka et al., eq. 1, 4, 6, 9) for the encoder's and decoder's steps.

The decoder is frozen in the encoder's step and the encoder in the decoder's; the loop's steps see to that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from vidinv.losses.latent import gap, prior_divergence
from vidinv.losses.reconstruction import apart
from vidinv.trainers.automodulator.config import AutomodulatorRecipe
from vidinv.trainers.core import distributed, loop
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.data.tensor_batch import TensorBatch

Decode = Callable[..., Tensor]  # ws [N,L,D], stop=None -> image, or the canvas of layer `stop`
Encode = Callable[[Tensor], Tensor]  # image -> z [N,D]
Parts = dict[str, Tensor]


@dataclass(frozen=True)
class GrowingBatch(TensorBatch):
    """Real pictures `image` [N,3,S,S], and `share` [] in [0,1], the fade-in share of the newest blocks."""

    image: Tensor
    share: Tensor


def rows(z: Tensor, slots: int) -> Tensor:
    """Return ws [N,L,D] with one z [N,D] for all layers."""
    return z[:, None].expand(-1, slots, -1)


def mixture(a: Tensor, b: Tensor, slots: int, block: int) -> Tensor:
    """Return ws [N,L,D]: z_A in blocks 1 ... `block`, of two layers each, and z_B in the rest."""
    is_first = torch.arange(slots, device=a.device) < 2 * block
    return torch.where(is_first[None, :, None], a[:, None], b[:, None])


def mixed_rows(count: int, share: float) -> Tensor:
    """Return which rows of a batch are mixtures: [N] bool, int(share N) of them, evenly spread."""
    before = [int(share * k + 1e-9) for k in range(count + 1)]
    return torch.tensor(before).diff() > 0


def layer_loss(decode: Decode, encode: Encode, a: Tensor, mixed: Tensor, slots: int, block: int) -> Tensor:
    """L_j, eq. 4: the canvas after block j of E(x^_AB) against that of z_A, mean squared; -> scalar.

    `mixed` [N,3,S,S] is x^_AB, rendered from `mixture(a, b, slots, block)`. The loss is 0 when the encoder returns z_A.
    """
    last = 2 * block - 1  # the block's second layer
    return functional.mse_loss(decode(rows(encode(mixed), slots), stop=last), decode(rows(a, slots), stop=last))


def mirror_loss(decode: Decode, one: Tensor, two: Tensor, wanted: Tensor, slots: int, distance: Decode) -> Tensor:
    """L_inv, eq. 10: distance between x2 and the rendering of z2 in blocks 1 and 2, z1 in the rest; -> scalar.

    z1 and z2 [N,D] are codes of a picture and its mirror image, `wanted` [N,3,S,S] is x2.
    """
    return distance(wanted, decode(mixture(two, one, slots, 2)))


@dataclass(frozen=True)
class DecodedSamples:
    """Samples x^ [N,3,S,S] of `z` [N,D]; which are mixtures [N] (then z is z_A), and after which block they switch."""

    image: Tensor
    z: Tensor
    is_mixed: Tensor
    block: int


@dataclass(frozen=True)
class AutomodulatorLosses:
    """The losses of the two steps of one stage; `margin` is M of eq. 1, `slots` the decoder's number of w+ rows."""

    recipe: AutomodulatorRecipe
    margin: float
    slots: int

    def encoder(self, networks: loop.Networks, batch: GrowingBatch, random: StepRandom) -> tuple[Tensor, Parts]:
        """Eq. 1: max(-M, KL(E(x)) - KL(E(x^))) + l_x d(x, G(E(x))), plus L_inv if its weight is not 0."""
        recipe, image = self.recipe, batch.image
        decode, encode = self._of(networks, batch, random)
        with torch.no_grad():
            samples = self._samples(decode, len(image), random).image
        z = encode(image)
        real, fake = _divergence(z), _divergence(encode(samples))
        parts = {
            "real": real,
            "fake": fake,
            "reconstruction": self._apart(networks, image, decode(rows(z, self.slots))),
        }
        total = recipe.divergence * gap(real, fake, self.margin) + recipe.reconstruction * parts["reconstruction"]
        if recipe.mirror and self.slots > 4:

            def distance(a: Tensor, b: Tensor) -> Tensor:
                return self._apart(networks, a, b)

            other = encode(image.flip(3))
            parts["mirror"] = mirror_loss(decode, z, other, image.flip(3), self.slots, distance)
            parts["mirror"] = parts["mirror"] + mirror_loss(decode, other, z, image, self.slots, distance)
            total = total + recipe.mirror * parts["mirror"]
        return total, parts

    def decoder(self, networks: loop.Networks, batch: GrowingBatch, random: StepRandom) -> tuple[Tensor, Parts]:
        """Eq. 6: KL(E(x^)) + l_z d_cos(z, E(G(z))) + L_j; a share of the samples x^ are mixtures."""
        recipe, count = self.recipe, len(batch.image)
        decode, encode = self._of(networks, batch, random)
        made = self._samples(decode, count, random)
        codes, mixed = encode(made.image), made.is_mixed
        parts = {"fake": _divergence(codes), "code": apart(codes[~mixed], made.z[~mixed])}
        total = recipe.divergence * parts["fake"] + recipe.code * parts["code"]
        if recipe.layers and mixed.any():
            parts["layers"] = layer_loss(decode, encode, made.z[mixed], made.image[mixed], self.slots, made.block)
            total = total + recipe.layers * parts["layers"]
        return total, parts

    def _of(self, networks: loop.Networks, batch: GrowingBatch, random: StepRandom) -> tuple[Decode, Encode]:
        """Return decoder and encoder at the batch's share; pictures get new noise, canvases fixed noise."""
        share = float(batch.share)

        def decode(ws: Tensor, stop: int | None = None) -> Tensor:
            return networks["G"](ws, share, stop, random.noise if stop is None else "const")

        def encode(image: Tensor) -> Tensor:
            return networks["E"](image, share)

        return decode, encode

    def _samples(self, decode: Decode, count: int, random: StepRandom) -> DecodedSamples:
        """Draw new samples, a share of them mixtures."""
        a, b = (functional.normalize(random.normal(count, self.recipe.w_dim), dim=1) for _ in range(2))
        block = int(torch.randint(1, self.slots // 2 + 1, (), generator=random.shared()))  # j ~ U{1, N}
        is_mixed = mixed_rows(count, self.recipe.mixed).to(a.device)
        ws = torch.where(is_mixed[:, None, None], mixture(a, b, self.slots, block), rows(a, self.slots))
        return DecodedSamples(decode(ws), a, is_mixed, block)

    def _apart(self, networks: loop.Networks, a: Tensor, b: Tensor) -> Tensor:
        if self.recipe.distance == "robust":
            return networks["robust"](a, b)
        return functional.l1_loss(a, b) if self.recipe.distance == "l1" else functional.mse_loss(a, b)


def _divergence(z: Tensor) -> Tensor:
    """Return the divergence over the global batch, codes of other processes included."""
    return prior_divergence(distributed.gather_rows(z))
