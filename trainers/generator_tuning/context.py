"""Where a generator is fine-tuned: the frozen one, the one that is trained, what draws them, and the pictures.

While the layers that the proxy head stands for are not trained, it draws all; what it gets wrong on each picture is
then measured through the whole synthesis at every look, and added.
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
    """Faces `image` [N,3,S,S] in [-1,1] and their codes, which stay; w+ and F as an encoder gave them."""

    image: Tensor
    code: Code

    def __post_init__(self) -> None:
        if self.image.ndim != 4 or len(self.image) != len(self.code) or not len(self.image):
            raise ValueError(f"a code for every face [N,3,S,S], got {tuple(self.image.shape)} and {len(self.code)}")

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True)
class TuningBatch(TensorBatch):
    """What a turn sees: codes `ws` [N,L,D] and `feature` [N,C,h,w], their pictures and the proxy head's `gap` there.

    `image`, `gap`: [N,3,S,S]; S is the recipe's size. `turn` [] counts from 0.
    """

    ws: Tensor
    feature: Tensor
    image: Tensor
    gap: Tensor
    turn: Tensor

    def is_due(self, every: int) -> bool:
        """Whether it is the turn of what comes every so many."""
        return int(self.turn) % every == 0


class Layers(nn.Module):
    """Some weights of a generator by name, as a network of their own: the engine trains them and nothing else."""

    def __init__(self, generator: Generator, names: Sequence[str]) -> None:
        super().__init__()
        own = dict(generator.named_parameters())
        self.weights = nn.ParameterDict({name.replace(".", "/"): own[name] for name in names})

    def named(self) -> dict[str, nn.Parameter]:
        """The weights by the generator's own names."""
        return {name.replace("/", "."): value for name, value in self.weights.items()}


def weights_of(average: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights by the generator's own names out of those of {"layers": Layers(...)} as a training returns them."""
    prefix = "layers.weights."
    return {k[len(prefix) :].replace("/", "."): value for k, value in average.items() if k.startswith(prefix)}


def trained_names(generator: Generator, recipe: GeneratorTuningRecipe, at: int) -> list[str]:
    """The weights that the recipe trains: of `layers` layers above `at`, found by what a picture depends on.

    Modulations (what w becomes) are left as they are unless `what` is "all": they are how w speaks to the layers.
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
    """Names of the weights that the output of layer `stop` depends on, or a picture."""
    ws = generator.broadcast(generator.typical[None])
    return _depends(generator, lambda: generator.synthesize(ws, stop=stop, size=None).sum())


def _read_by_styles(generator: Generator) -> list[str]:
    """Names of the weights that turn w into styles."""
    ws = generator.broadcast(generator.typical[None])
    return _depends(generator, lambda: torch.stack([row.sum() for row in generator.styles(ws)]).sum())


def _depends(generator: Generator, value: Callable[[], Tensor]) -> list[str]:
    named = dict(generator.named_parameters())
    with differentiable(named.values()):
        slopes = torch.autograd.grad(value(), list(named.values()), allow_unused=True)
    return [name for name, slope in zip(named, slopes, strict=True) if slope is not None]


@contextmanager
def differentiable(weights: Collection[nn.Parameter]) -> Iterator[None]:
    """While it lasts the weights take gradients; then they do as before."""
    asked = [weight.requires_grad for weight in weights]
    try:
        for weight in weights:
            weight.requires_grad_(True)
        yield
    finally:
        for weight, was in zip(weights, asked, strict=True):
            weight.requires_grad_(was)


@dataclass(frozen=True)
class TuningContext:
    """The frozen generator and the one that is trained, and who looks at pictures; F replaces layer `at` of both.

    `heads` draw the frozen one and the trained one quickly; None where nothing does. `is_whole`: layers that the heads
    stand for are trained, so that pictures are drawn by the whole synthesis.
    """

    frozen: Generator
    tuned: Generator
    at: int
    heads: tuple[Proxy, Proxy] | None
    is_whole: bool
    perceptual: Distance | None
    recipe: GeneratorTuningRecipe

    def code(self, ws: Tensor, feature: Tensor | None = None) -> Code:
        """w+ [N,L,D], and F where there is one, as a code."""
        return Code(ws, feature, None if feature is None else self.at, space=self.frozen.space)

    def draw(self, code: Code, *, tuned: bool = True, whole: bool = False) -> Tensor:
        """The picture [N,3,S,S] of a code at the recipe's size, through the head where there is one unless `whole`."""
        generator = self.tuned if tuned else self.frozen
        with torch.autocast(code.ws.device.type, torch.bfloat16):
            if self.heads is not None and not whole:
                drawn = self.heads[tuned](code.ws, code.feature, code.at)
            else:
                drawn = generator.synthesize(code.ws, feature=code.feature, at=code.at, size=generator.sizes[0])
        return resize(drawn.float(), self.recipe.size)

    def sample(self, count: int, random: StepRandom, *, tuned: bool) -> Tensor:
        """What a discriminator sees of `count` new samples: [N,3,side,side]."""
        code = self.code(self.tuned.broadcast(self.latents(count, random)))
        drawn = self.draw(code, tuned=tuned, whole=self.is_whole)
        return resize(drawn, self.recipe.side)

    @torch.no_grad()
    def latents(self, count: int, random: StepRandom) -> Tensor:
        """New w [count,D]."""
        return self.frozen.sample(count, seed=int(torch.randint(2**31, (), generator=random.shared())))


def room(
    generator: Generator, paint: ImageDecoder, perceptual: Distance | None, recipe: GeneratorTuningRecipe, at: int
) -> TuningContext:
    """A room with a copy of the generator to be trained; the head of `paint` is the same for both."""
    tuned = deepcopy(generator).eval().requires_grad_(False)
    last = at + recipe.layers if recipe.layers else len(generator.layers)
    heads = (paint, Proxy(tuned, paint.head)) if isinstance(paint, Proxy) else None
    is_whole = not isinstance(paint, Proxy) or last > paint.layer
    return TuningContext(generator, tuned, at, heads, is_whole, perceptual, recipe)


class PivotData(KeyedDataset):
    """The pivots with what the proxy head gets wrong on each, measured once a look.

    A training continues from a look's beginning, so that a gap depends on nothing that is lost with a kill.
    """

    def __init__(self, here: TuningContext, pivots: PivotFaces) -> None:
        self.here, self.pivots = here, pivots
        self.wanted = resize(pivots.image, here.recipe.size)
        self.known: dict[int, tuple[int, Tensor]] = {}  # pivot -> (look, gap [1,3,S,S])

    @property
    def length(self) -> int:
        return len(self.pivots)

    def batch(self, keys: Sequence[SampleKey]) -> TuningBatch:
        """The pivots of a turn."""
        recipe, codes = self.here.recipe, self.pivots.code
        which, turn = [key.entry for key in keys], keys[0].step
        gaps = torch.cat([self._gap(k, turn // recipe.look) for k in which])
        assert codes.feature is not None
        return TuningBatch(codes.ws[which], codes.feature[which], self.wanted[which], gaps, torch.tensor(turn))

    @torch.no_grad()
    def _gap(self, which: int, look: int) -> Tensor:
        if self.known.get(which, (-1,))[0] != look:
            code, here = self.pivots.code[which : which + 1], self.here
            nothing = torch.zeros_like(self.wanted[which : which + 1])
            gap = nothing if here.is_whole else here.draw(code, whole=True) - here.draw(code)
            self.known[which] = look, gap
        return self.known[which][1]
