"""Define the interface of generators: map, synthesize (fully or in part), styles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidinv.frames import Code

Noise = str | Callable[[Tensor, int], Tensor]  # a mode, or fixed map [1,1,h,w], N -> maps [N,1,h,w]


@dataclass(frozen=True)
class LayerSpec:
    """One feature layer: its output is [N, channels, resolution, resolution]; `slots` are the W+ rows it reads."""

    name: str
    channels: int
    resolution: int
    slots: tuple[int, ...]


class Generator(nn.Module):
    """Generator whose synthesis can start and stop at any layer.

    `layers[k]` describes feature k, counted from 0. G^K(w) is `synthesize(ws, stop=K)`; injecting a feature code F
    in place of feature K is `synthesize(ws, feature=F, at=K)`; both together give Eq. 1 of the Feature-Style
    encoder paper. Images are RGB [N,3,S,S] around [-1, 1], not clamped.
    """

    name: str
    space: str
    z_dim: int
    c_dim: int = 0  # classes that `map` takes, 0 for none
    w_dim: int
    num_ws: int
    resolution: int
    layers: tuple[LayerSpec, ...]
    is_light: bool = False  # gradients through the whole synthesis cost little more than through a head
    w_avg: Tensor  # [D], a buffer

    def map(self, z: Tensor, c: Tensor | None = None) -> Tensor:
        """Map z [N,Z], and c [N,c_dim] (one-hot or a blend) if there are classes, to w [N,D]."""
        raise NotImplementedError("abstract: a generator family defines its own mapping network")

    def synthesize(
        self,
        ws: Tensor,
        *,
        feature: Tensor | None = None,
        at: int | None = None,
        styles: list[Tensor] | None = None,
        start: int = 0,
        stop: int | None = None,
        canvas: Tensor | None = None,
        noise: Noise = "const",
        size: int | None = None,
    ) -> Tensor:
        """Render ws [N,L,D] to an image [N,3,size,size], or to the feature [N,C,h,w] of layer `stop`.

        feature, at: the feature code and the layer whose output it replaces.
        start, canvas: begin at layer `start` from `canvas`, the output of layer start-1; at layer 0 it replaces
            `constant`. Where the image is a sum of pictures of all layers (StyleGAN2), the pictures of those below
            are still made from ws.
        stop: return the output of this layer (taken before any replacement at the same layer) instead of an image.
        styles: StyleSpace rows that override `styles(ws)`.
        noise: "const" uses the fixed maps, so a video does not flicker; "random" draws new ones for every image,
            "none" leaves them out, and a function of a layer's fixed map [1,1,h,w] and N gives the maps [N,1,h,w] that
            are used. A network without noise gives the same image for all of them.
        size: output side, one of `sizes`; None is the full resolution.
        """
        raise NotImplementedError("abstract: a generator family defines its own synthesis network")

    @torch.no_grad()
    def picture(self, code: Code, size: int | None = None) -> Tensor:
        """Render a code on any device to an image [N,3,size,size] in [-1,1], without gradients."""
        ws = code.ws.to(self.w_avg)
        feature = None if code.feature is None else code.feature.to(self.w_avg)
        styles = self.restyled(ws, code.styles)
        return self.synthesize(ws, feature=feature, at=code.at, styles=styles, size=size).clamp(-1, 1)

    def styles(self, ws: Tensor) -> list[Tensor]:
        """Return the modulation vectors of `ws` [N,L,D] (StyleSpace), one [N,C_i] per modulated layer."""
        raise NotImplementedError("abstract: a generator family defines its own modulation")

    @torch.no_grad()
    def first_weights(self, rows: tuple[int, int]) -> Tensor:
        """Return A [C,D], the linear part of the map from rows first <= l < last of w+, moved equally, to styles.

        It is computed from `styles`, which is affine in w.
        """
        at = torch.zeros(self.w_dim + 1, self.num_ws, self.w_dim, device=self.w_avg.device)
        at[1:, rows[0] : rows[1]] = torch.eye(self.w_dim, device=at.device)[:, None]
        made = torch.cat([part.flatten(1) for part in self.styles(at)], 1).double()  # [1+D,C]
        return (made[1:] - made[0]).T

    def restyled(self, ws: Tensor, offset: Tensor | None) -> list[Tensor] | None:
        """Return `styles(ws)` plus `offset` [N,S] or [1,S], S the number of all style channels; None without offset."""
        if offset is None:
            return None
        rows = self.styles(ws)
        widths = [row.shape[1] for row in rows]
        if offset.ndim != 2 or offset.shape[1] != sum(widths):
            raise ValueError(f"{self.name} has {sum(widths)} style channels, got an offset {tuple(offset.shape)}")
        return [row + part for row, part in zip(rows, offset.to(rows[0]).split(widths, 1), strict=True)]

    @property
    def constant(self) -> Tensor | None:
        """Return the learned input [1,C,4,4] of layer 0; None if the latent itself is the input."""
        return None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Return the output sides that `synthesize` supports."""
        return (self.resolution,)

    def broadcast(self, w: Tensor) -> Tensor:
        """Repeat w [N,D] to ws [N,L,D], the same row for every slot."""
        if w.ndim != 2 or w.shape[1] != self.w_dim:
            raise ValueError(f"w must be [N,{self.w_dim}], got {tuple(w.shape)}")
        return w[:, None].expand(-1, self.num_ws, -1)

    def sample(self, count: int, seed: int = 0) -> Tensor:
        """Sample `count` w [N,D] from the seeded `latents`."""
        return self.map(*self.latents(count, seed))

    def latents(self, count: int, seed: int = 0) -> tuple[Tensor, Tensor | None]:
        """Return `count` seeded normal z [N,Z], and uniform one-hot classes [N,c_dim], or None without classes."""
        random = torch.Generator().manual_seed(seed)
        z = torch.randn(count, self.z_dim, generator=random).to(self.w_avg)
        return z, self._classes(count, random)

    @property
    def typical(self) -> Tensor:
        """Return a start latent [D] for optimisation: the average latent, if it is a valid one."""
        return self.w_avg

    def truncate(self, w: Tensor, psi: float) -> Tensor:
        """Return w_avg + psi (w - w_avg), the truncation trick; w is [N,D] or [N,L,D]."""
        return self.w_avg.lerp(w, psi)

    def _check_latent(self, z: Tensor, c: Tensor | None) -> None:
        """Raise ValueError unless z is [N,Z] and c, if there are classes, [N,c_dim]."""
        if z.ndim != 2 or z.shape[1] != self.z_dim:
            raise ValueError(f"z must be [N,{self.z_dim}], got {tuple(z.shape)}")
        if self.c_dim and (c is None or c.shape != (len(z), self.c_dim)):
            raise ValueError(f"c must be [{len(z)},{self.c_dim}], got {None if c is None else tuple(c.shape)}")

    def _classes(self, count: int, random: torch.Generator) -> Tensor | None:
        """Return random one-hot classes [N,c_dim]; None if there are no classes."""
        if not self.c_dim:
            return None
        return torch.eye(self.c_dim)[torch.randint(self.c_dim, (count,), generator=random)].to(self.w_avg)

    def layer_at(self, resolution: int) -> int:
        """Return the index of the last feature layer at this resolution. Raises ValueError if there is none."""
        found = [k for k, spec in enumerate(self.layers) if spec.resolution == resolution]
        if not found:
            raise ValueError(f"{self.name} has no {resolution}x{resolution} feature")
        return found[-1]
