"""The guard of a generator's other pictures: its matrices, the steps through it, and what stays as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vidinv.backends import registry as backends
from vidinv.frames import Code
from vidinv.generators import delta
from vidinv.progress import SilentProgress
from vidinv.trainers.generator_tuning.config import GeneratorTuningRecipe
from vidinv.trainers.generator_tuning.context import PivotFaces
from vidinv.trainers.generator_tuning.train import tune
from vidinv.trainers.optim import preconditioned_adam
from vidinv.trainers.optim.preconditioned_adam import PreconditionedAdam, Preconditioner


def a_guard(*sides: int) -> Preconditioner:
    torch.manual_seed(sum(sides))
    found = [torch.randn(side, side) for side in sides]
    return Preconditioner(tuple(a @ a.T / len(a) + torch.eye(len(a)) for a in found), 0.7)


def test_every_axis_is_multiplied_by_its_own_matrix() -> None:
    of, value = a_guard(4, 3, 2), torch.randn(4, 3, 2)
    expected = 0.7 * torch.einsum("abc,ai,bj,ck->ijk", value, *of.axes)
    assert torch.allclose(of(value), expected, atol=1e-5)


def test_a_step_is_adams_own_in_other_coordinates() -> None:
    """Against Adam on V of W = W0 + guard(V), by autograd."""
    of, start = a_guard(4, 3), torch.randn(4, 3)
    wanted = torch.randn(4, 3)

    def loss(weight: Tensor) -> Tensor:
        return (weight - wanted).pow(4).sum()

    weight, v = nn.Parameter(start.clone()), nn.Parameter(torch.zeros(4, 3))
    guarded, plain = PreconditionedAdam([weight], [of], lr=0.05), torch.optim.Adam([v], lr=0.05)
    for _ in range(20):
        for optimiser, now in ((guarded, lambda: weight), (plain, lambda: start + of(v))):
            optimiser.zero_grad()
            loss(now()).backward()
            optimiser.step()
    assert torch.allclose(weight, start + of(v), atol=1e-4) and not torch.allclose(weight, start, atol=0.1)


def test_as_many_guards_as_parameters() -> None:
    with pytest.raises(ValueError, match="one preconditioner per parameter is needed, got 0 for 1"):
        PreconditionedAdam([nn.Parameter(torch.zeros(2))], [], lr=0.1)


class Linear(nn.Module):
    """A generator whose picture of 16 pixels is W times what w says, by colour: second moments that are known."""

    sizes = (16,)

    def __init__(self) -> None:
        super().__init__()
        self.weight, self.unused = nn.Parameter(torch.zeros(3, 2)), nn.Parameter(torch.zeros(5))

    def broadcast(self, w: Tensor) -> Tensor:
        return w

    def sample(self, count: int, seed: int) -> Tensor:
        return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed)) * torch.tensor([10.0, 1.0])

    def synthesize(self, ws: Tensor, size: int) -> Tensor:
        return (ws @ self.weight.T + 0 * self.unused.sum())[:, :, None, None].expand(-1, -1, size, size)


def test_matrices_are_inverse_roots_of_what_samples_say() -> None:
    of = preconditioned_adam.build_preconditioners(Linear(), ["weight", "unused"], 1e-4, 2000, 16)  # type: ignore[arg-type]
    rows, columns = of["weight"].axes
    assert torch.allclose(rows, torch.eye(3), atol=0.1), "colours are alike"
    ratio = columns[1, 1] / columns[0, 0]
    assert ratio == pytest.approx(10, rel=0.1) and columns[0, 1].abs() < 0.2 * columns[0, 0]
    assert torch.equal(of["unused"].axes[0], torch.eye(5)), "what nothing depends on"
    assert all(torch.isfinite(torch.tensor(each.scale)) for each in of.values())


def test_damping_bounds_how_far_a_step_goes_where_no_sample_looks() -> None:
    of = preconditioned_adam.build_preconditioners(Linear(), ["weight"], 0.1, 50, 16)  # type: ignore[arg-type]
    values = torch.linalg.eigvalsh(of["weight"].axes[1])
    assert float(values.max()) <= 0.1**-0.5 + 1e-4


@pytest.mark.slow
@pytest.mark.weights
def test_other_samples_stay_though_a_picture_is_reached(tmp_path: Path) -> None:
    """On the default generator, whose samples leave most directions alone; a random network's leave none."""
    models = backends.choose_backend("default").models("cpu", "")
    network = models.generator
    with torch.no_grad():
        image = network.picture(Code(network.broadcast(network.truncate(network.sample(1, 21), 0.7))), network.sizes[0])
        code = models.encoder(image)
        ws = network.broadcast(network.sample(3, seed=77))
        was = network.synthesize(ws, size=512)
    moved, left = {}, {}
    plain = GeneratorTuningRecipe(steps=30, perceptual=0.0, local=0.0, cohesion=0.0, anchor=0.0, guard=0.0, rate=1.5e-3)
    for name, recipe in {"plain": plain, "guarded": replace(plain, guard=0.01, rate=9e-6)}.items():
        made = tune(network, models.proxy, PivotFaces(image, code), None, recipe, tmp_path / name, SilentProgress())
        other = delta.added(network, delta.between(network, made.state))
        with torch.no_grad():
            moved[name] = float((other.synthesize(ws, size=512) - was).square().mean())
        left[name] = 10 ** (-made.curve[-1].psnr / 10) / 10 ** (-made.curve[0].psnr / 10)
    assert left["guarded"] < 0.5 and left["guarded"] < 1.1 * left["plain"], left
    assert moved["guarded"] < 0.3 * moved["plain"], moved
