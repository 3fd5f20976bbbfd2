"""Hold the state of fine-tuning a generator: frozen and trained generator, proxy heads, and target pictures.

The proxy head renders all pictures unless the layers that it replaces are trained; its error on each target picture is
measured against the full synthesis at intervals, and added.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vidinv.errors import UsageError
from vidinv.frames import Code
from vidinv.generators.base import Generator
from vidinv.generators.ops import resize
from vidinv.generators.proxy import ImageDecoder, Proxy
from vidinv.losses.reconstruction import Distance
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.data.keyed_dataset import KeyedDataset
from vidinv.trainers.data.step_sampler import SampleKey
from vidinv.trainers.data.tensor_batch import TensorBatch
from vidinv.trainers.generator_tuning.config import GeneratorTuningRecipe


@dataclass(frozen=True)
class PivotFaces:
    """Faces `image` [N,3,S,S] in [-1,1] and their fixed codes: w+ and F of an encoder."""

    image: Tensor
    code: Code

    def __post_init__(self) -> None:
        if self.image.ndim != 4 or len(self.image) != len(self.code) or not len(self.image):
            raise ValueError(
                f"one code per face [N,3,S,S] is needed, got {tuple(self.image.shape)} and {len(self.code)}"
            )

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True)
class TuningBatch(TensorBatch):
    """Input of a turn: codes `ws` [N,L,D] and `feature` [N,C,h,w], their pictures, and `gap`, the head's error.

    `image`, `gap`: [N,3,S,S]; S is the recipe's size. `turn` [] counts from 0.
    """

    ws: Tensor
    feature: Tensor
    image: Tensor
    gap: Tensor
    turn: Tensor

    def is_due(self, every: int) -> bool:
        """Return whether a loss with the interval `every` is due in this turn."""
        return int(self.turn) % every == 0


class Layers(nn.Module):
    """Some weights of a generator by name as a separate module, so that the loop trains only these."""

    def __init__(self, generator: Generator, names: Sequence[str]) -> None:
        super().__init__()
        own = dict(generator.named_parameters())
        self.weights = nn.ParameterDict({name.replace(".", "/"): own[name] for name in names})

    def named(self) -> dict[str, nn.Parameter]:
        """Return the weights by the generator's own names."""
        return {name.replace("/", "."): value for name, value in self.weights.items()}


def weights_of(average: dict[str, Tensor]) -> dict[str, Tensor]:
    """Extract the weights, by the generator's names, from those that a training of {"layers": Layers(...)} returns."""
    prefix = "layers.weights."
    return {k[len(prefix) :].replace("/", "."): value for k, value in average.items() if k.startswith(prefix)}


def trained_names(generator: Generator, recipe: GeneratorTuningRecipe, at: int) -> list[str]:
    """Return the names of the weights that the recipe trains: those of `layers` layers above `at`.

    They are found by the gradient of a picture. Modulations, which map w to styles, are left out unless `what` is
    "all". Raises UsageError if there are none.
    """
    last = len(generator.layers) - 1 if not recipe.layers else min(at + recipe.layers, len(generator.layers) - 1)
    below, above = _read_by(generator, at), _read_by(generator, last if recipe.layers else None)
    found = [name for name in above if name not in below and not name.startswith("mapping.")]
    if recipe.what == "convolutions":
        modulations = _read_by_styles(generator)
        found = [name for name in found if name not in modulations]
    if not found:
        raise UsageError(f"{generator.name} has no weights above its layer {at}", remedy="set layers=0")
    return found


def _read_by(generator: Generator, stop: int | None) -> list[str]:
    """Return the names of the weights on which the output of layer `stop` (None: the picture) depends."""
    ws = generator.broadcast(generator.typical[None])
    return _depends(generator, lambda: generator.synthesize(ws, stop=stop, size=None).sum())


def _read_by_styles(generator: Generator) -> list[str]:
    """Return the names of the weights that map w to styles."""
    ws = generator.broadcast(generator.typical[None])
    return _depends(generator, lambda: torch.stack([row.sum() for row in generator.styles(ws)]).sum())


def _depends(generator: Generator, value: Callable[[], Tensor]) -> list[str]:
    named = dict(generator.named_parameters())
    with differentiable(named.values()):
        slopes = torch.autograd.grad(value(), list(named.values()), allow_unused=True)
    return [name for name, slope in zip(named, slopes, strict=True) if slope is not None]


@contextmanager
def differentiable(weights: Collection[nn.Parameter]) -> Iterator[None]:
    """Context manager in which the weights require gradients; the previous setting is restored."""
    before = [weight.requires_grad for weight in weights]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        yield
    finally:
        for weight, was in zip(weights, before, strict=True):
            weight.requires_grad_(was)


@dataclass(frozen=True)
class TuningContext:
    """The frozen and the trained generator with the perceptual distance; F replaces layer `at` of both.

    `heads` are proxy heads of the frozen and the trained generator, or None. `is_whole`: layers that the heads replace
    are trained, so that the full synthesis renders all pictures.
    """

    frozen: Generator
    tuned: Generator
    at: int
    heads: tuple[Proxy, Proxy] | None
    is_whole: bool
    perceptual: Distance | None
    recipe: GeneratorTuningRecipe

    def code(self, ws: Tensor, feature: Tensor | None = None) -> Code:
        """Return w+ [N,L,D], and F if given, as a code."""
        return Code(ws, feature, None if feature is None else self.at, space=self.frozen.space)

    def draw(self, code: Code, *, tuned: bool = True, whole: bool = False) -> Tensor:
        """Render a code at the recipe's size: [N,3,S,S], by the proxy head if there is one, unless `whole`."""
        generator = self.tuned if tuned else self.frozen
        with torch.autocast(code.ws.device.type, torch.bfloat16):
            if self.heads is not None and not whole:
                drawn = self.heads[tuned](code.ws, code.feature, code.at)
            else:
                drawn = generator.synthesize(code.ws, feature=code.feature, at=code.at, size=generator.sizes[0])
        return resize(drawn.float(), self.recipe.size)

    def sample(self, count: int, random: StepRandom, *, tuned: bool) -> Tensor:
        """Render `count` new samples at the discriminator's side: [N,3,side,side]."""
        code = self.code(self.tuned.broadcast(self.latents(count, random)))
        drawn = self.draw(code, tuned=tuned, whole=self.is_whole)
        return resize(drawn, self.recipe.side)

    @torch.no_grad()
    def latents(self, count: int, random: StepRandom) -> Tensor:
        """Draw new w [count,D]."""
        return self.frozen.sample(count, seed=int(torch.randint(2**31, (), generator=random.shared())))


def tuning_context(
    generator: Generator, render: ImageDecoder, perceptual: Distance | None, recipe: GeneratorTuningRecipe, at: int
) -> TuningContext:
    """Build the context with a copy of the generator to train; both generators use the proxy head of `render`."""
    tuned = deepcopy(generator).eval().requires_grad_(False)
    last = at + recipe.layers if recipe.layers else len(generator.layers)
    heads = (render, Proxy(tuned, render.head)) if isinstance(render, Proxy) else None
    is_whole = not isinstance(render, Proxy) or last > render.layer
    return TuningContext(generator, tuned, at, heads, is_whole, perceptual, recipe)


class PivotData(KeyedDataset):
    """Dataset of the pivots with the proxy head's error on each, measured once per evaluation interval (`look`).

    A training resumes at the start of an interval, so that a gap does not depend on state lost by a kill.
    """

    def __init__(self, context: TuningContext, pivots: PivotFaces) -> None:
        self.context, self.pivots = context, pivots
        self.wanted = resize(pivots.image, context.recipe.size)
        self.known: dict[int, tuple[int, Tensor]] = {}  # pivot -> (look, gap [1,3,S,S])

    @property
    def length(self) -> int:
        return len(self.pivots)

    def batch(self, keys: Sequence[SampleKey]) -> TuningBatch:
        """Return the pivots of a turn."""
        recipe, codes = self.context.recipe, self.pivots.code
        which, turn = [key.entry for key in keys], keys[0].step
        gaps = torch.cat([self._gap(k, turn // recipe.look) for k in which])
        assert codes.feature is not None
        return TuningBatch(codes.ws[which], codes.feature[which], self.wanted[which], gaps, torch.tensor(turn))

    @torch.no_grad()
    def _gap(self, which: int, look: int) -> Tensor:
        if self.known.get(which, (-1,))[0] != look:
            code, context = self.pivots.code[which : which + 1], self.context
            nothing = torch.zeros_like(self.wanted[which : which + 1])
            gap = nothing if context.is_whole else context.draw(code, whole=True) - context.draw(code)
            self.known[which] = look, gap
        return self.known[which][1]
