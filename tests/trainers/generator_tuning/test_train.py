"""A generator tuned to a picture: what it learns, what it leaves alone, what each term is there for, and resuming."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.helpers.interrupted import Stopped
from tests.helpers.tuning_recipes import AT, PERCEPTUAL, SIZE, SMALL, pivots_of, tuned
from vidinv.errors import UsageError
from vidinv.generators import delta, mobile_stylegan, proxy, stylegan2
from vidinv.generators.base import Generator
from vidinv.generators.stylegan2_discriminator import Discriminator
from vidinv.trainers.core import loop
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.data.step_sampler import StepBatchSampler
from vidinv.trainers.generator_tuning import losses as tuning_losses
from vidinv.trainers.generator_tuning import train as generator_tuning
from vidinv.trainers.generator_tuning.config import GeneratorTuningRecipe
from vidinv.trainers.generator_tuning.context import (
    Layers,
    PivotData,
    PivotFaces,
    TuningBatch,
    TuningContext,
    trained_names,
    tuning_context,
)
from vidinv.trainers.generator_tuning.train import build_steps

ALONE = replace(SMALL, local=0.0, cohesion=0.0, anchor=0.0, movement=0.0, gate=1.0)


@pytest.fixture(scope="module")
def generator() -> Generator:
    return mobile_stylegan.tiny()


def error(network: Generator, pivots: PivotFaces) -> float:
    code = pivots.code
    made = network.synthesize(code.ws, feature=code.feature, at=code.at, size=SIZE)
    return float((made.clamp(-1, 1) - pivots.image).square().mean().detach())


def test_the_picture_comes_nearer_while_codes_and_base_stay(generator: Generator, tmp_path: Path) -> None:
    before, pivots = delta.fingerprint(generator), pivots_of(generator)
    made = tuned(generator, ALONE, tmp_path)
    other = delta.added(generator, delta.between(generator, made.state))
    assert error(other, pivots) < 0.4 * error(generator, pivots)
    assert delta.fingerprint(generator) == before and not any(p.requires_grad for p in generator.parameters())
    assert [check.step for check in made.curve] == [0, 10, 20, 30, 40]
    assert made.best is not None and made.best.psnr > made.curve[0].psnr + 3
    ws = pivots.code.ws
    assert all(
        torch.equal(a, b) for a, b in zip(other.styles(ws), generator.styles(ws), strict=True)
    )  # s means the same
    assert torch.equal(other.synthesize(ws, stop=AT), generator.synthesize(ws, stop=AT))  # and so does Eq. 1


def test_what_lies_below_f_and_what_w_says_is_not_trained(generator: Generator) -> None:
    names = trained_names(generator, SMALL, AT)
    assert {name.split(".")[1] for name in names} == {"1", "2", "weight", "bias"}  # blocks of 16 and 32, the picture
    assert not any(".style." in name or ".up." in name for name in names)
    more = trained_names(generator, replace(SMALL, what="all"), AT)
    assert set(names) < set(more) and "blocks.1.conv1.style.weight" in more
    fewer = trained_names(generator, replace(SMALL, layers=1), AT)
    assert fewer and all(name.startswith("blocks.1.") for name in fewer)
    other = stylegan2.tiny()
    found = trained_names(other, SMALL, 2)
    assert found and not any("modulation" in name or name.startswith("style") for name in found)


def test_it_ends_when_the_target_is_reached(generator: Generator, tmp_path: Path) -> None:
    made = tuned(generator, replace(ALONE, target=0.5), tmp_path)
    assert [check.step for check in made.curve] == [0]
    assert all(torch.equal(value, dict(generator.named_parameters())[name]) for name, value in made.state.items())


def test_held_out_faces_are_what_is_looked_at(generator: Generator, tmp_path: Path) -> None:
    held = pivots_of(generator, 3)
    held = PivotFaces(held.image[2:], held.code[2:])
    made = tuned(generator, ALONE, tmp_path, held=held)
    other = delta.added(generator, delta.between(generator, made.state))
    assert made.best is not None
    assert made.best.psnr == pytest.approx(float(10 * torch.log10(torch.tensor(4 / error(other, held)))), abs=0.3)


def test_an_interrupted_tuning_goes_on_as_if_it_had_not_been(generator: Generator, tmp_path: Path) -> None:
    recipe = replace(SMALL, steps=30)
    whole = tuned(generator, recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        tuned(generator, recipe, tmp_path / "stopped", progress=Stopped(17))
    later = Stopped(10_000)
    resumed = tuned(generator, recipe, tmp_path / "stopped", progress=later)
    assert later.begun_at == 10 and resumed.curve == whole.curve
    assert all(torch.equal(resumed.state[name], value) for name, value in whole.state.items())


def tuning_networks(
    generator: Generator, recipe: GeneratorTuningRecipe
) -> tuple[TuningContext, loop.Networks, PivotData]:
    context = tuning_context(generator, proxy.WholeSynthesis(generator), PERCEPTUAL, recipe, AT)
    torch.manual_seed(0)
    judge = Discriminator(recipe.side, channel_max=8)
    layers = Layers(context.tuned, trained_names(generator, recipe, AT))
    return (
        context,
        {"layers": layers.requires_grad_(True), "discriminator": judge},
        PivotData(context, pivots_of(generator)),
    )


def batch_of(data: PivotData, turn: int, count: int = 1) -> TuningBatch:
    return data.batch(StepBatchSampler(0, count, length=data.length).keys(turn))


def parts(generator: Generator, recipe: GeneratorTuningRecipe, turn: int = 0) -> dict[str, Tensor]:
    context, networks, data = tuning_networks(generator, recipe)
    batch = batch_of(data, turn, recipe.batch)
    return tuning_losses.generator_loss(context, networks["discriminator"], batch, StepRandom(turn))[1]


def test_each_part_of_the_loss_is_there_when_it_is_due_and_asked_for(generator: Generator) -> None:
    full = replace(SMALL, gate=1.0)
    always = {"none", "pixel", "pyramid", "lpips", "local"}
    assert set(parts(generator, full)) == always | {"cohesion", "anchor", "movement"}
    assert set(parts(generator, full, turn=1)) == always
    assert set(parts(generator, replace(full, ball=1.0, movement=0.0, local=0.0))) >= {"ball", "cohesion"}
    assert set(parts(generator, replace(full, gate=0.0))) == {"none", "cohesion", "anchor", "movement"}
    assert float(parts(generator, full)["movement"].detach()) < 1e-6, "nothing has moved yet"


def test_the_gate_is_open_as_often_as_it_says(generator: Generator) -> None:
    half = replace(SMALL, gate=0.5, local=0.0, cohesion=0.0, movement=0.0)
    context, _, data = tuning_networks(generator, half)
    batch, opened = batch_of(data, 1), 0
    for seed in range(60):
        opened += "pixel" in tuning_losses.generator_loss(context, None, batch, StepRandom(seed))[1]
    assert 20 <= opened <= 40


def test_the_generators_loss_leaves_the_discriminator_alone_and_the_other_way_round(generator: Generator) -> None:
    context, networks, data = tuning_networks(generator, replace(SMALL, gate=1.0))
    batch = batch_of(data, 0)
    for step in build_steps(context, generator_tuning.adam(1e-3, 0.9)):
        for network in networks.values():
            network.requires_grad_(False).zero_grad(set_to_none=True)
        networks[step.nets[0]].requires_grad_(True)
        step.loss(networks, batch, StepRandom(0))[0].backward()
        slopes = {name: [p.grad for p in network.parameters()] for name, network in networks.items()}
        (mine,) = step.nets
        (other,) = set(networks) - {mine}
        assert any(slope is not None and slope.abs().max() > 0 for slope in slopes[mine]), step.name
        assert all(slope is None for slope in slopes[other]), step.name


def test_r1_is_part_of_the_discriminators_own_step(generator: Generator) -> None:
    context, networks, data = tuning_networks(generator, replace(SMALL, r1_every=2))
    judge = networks["discriminator"]
    parts = [
        tuning_losses.discriminator_loss(context, judge, batch_of(data, turn), StepRandom(turn))[1]
        for turn in (0, SMALL.cohesion_every, 2 * SMALL.cohesion_every)
    ]
    assert [set(each) for each in parts] == [{"cohesion", "local", "r1"}, {"cohesion", "local"}, set(parts[0])]


def test_a_discriminator_tells_a_disturbed_generator_after_its_start(generator: Generator, tmp_path: Path) -> None:
    recipe = replace(SMALL, started=60, disturbed=1.0, samples=4)
    context, networks, _ = tuning_networks(generator, recipe)
    layers = networks["layers"]
    assert isinstance(layers, Layers)
    judge = generator_tuning.pretrained_discriminator(context, layers.named(), tmp_path)
    torch.manual_seed(5)
    with torch.no_grad():
        real = judge(context.sample(16, StepRandom(0), tuned=True)).mean()
        for weight in layers.named().values():
            weight.add_(weight.std(correction=0) * torch.randn_like(weight))
        fake = judge(context.sample(16, StepRandom(0), tuned=True)).mean()
    assert real > fake + 0.5


def test_a_guarded_tuning_that_was_interrupted_goes_on_as_if_it_had_not_been(
    generator: Generator, tmp_path: Path
) -> None:
    recipe = replace(ALONE, steps=20, guard=0.01, guarding=2, rate=1e-4)
    whole = tuned(generator, recipe, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        tuned(generator, recipe, tmp_path / "stopped", progress=Stopped(13))
    resumed = tuned(generator, recipe, tmp_path / "stopped")
    assert all(torch.equal(resumed.state[name], value) for name, value in whole.state.items())
    assert not any(p.requires_grad for p in generator.parameters())


def test_cohesion_is_what_keeps_other_samples(generator: Generator, tmp_path: Path) -> None:
    """Samples held to what they were; PTI's ball as well."""
    ws = generator.broadcast(generator.sample(32, seed=77))
    ends = {}
    held = {
        "none": ALONE,
        "ball": replace(ALONE, ball=20.0, ball_every=1),
        "anchor": replace(ALONE, anchor=20.0, cohesion_every=1),
    }
    for name, recipe in held.items():
        made = tuned(generator, replace(recipe, steps=30), tmp_path / name, count=1)
        other = delta.added(generator, delta.between(generator, made.state))
        ends[name] = float((other.synthesize(ws) - generator.synthesize(ws)).square().mean())
    assert ends["ball"] < 0.7 * ends["none"] and ends["anchor"] < 0.7 * ends["none"]


def test_the_head_draws_where_only_layers_below_it_are_trained(generator: Generator) -> None:
    head = proxy.load_proxy(generator, 64)
    few, all_of_them = replace(SMALL, layers=1), SMALL
    assert (
        not tuning_context(generator, head, None, few, AT).is_whole
        and tuning_context(generator, head, None, all_of_them, AT).is_whole
    )
    exact = tuning_context(generator, head, None, all_of_them, AT)
    assert not batch_of(PivotData(exact, pivots_of(generator)), 0).gap.any()
    context = tuning_context(generator, head, None, few, AT)
    batch = batch_of(PivotData(context, pivots_of(generator)), 0)
    seen = context.draw(context.code(batch.ws, batch.feature)) + batch.gap
    true = context.draw(context.code(batch.ws, batch.feature), whole=True)
    assert torch.allclose(seen, true, atol=1e-5) and batch.gap.abs().max() > 0.01


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"what": "biases"}, "choose one of"),
        ({"steps": 0}, "at least 1"),
        ({"gate": 1.5}, "gate <= 1"),
        ({"levels": 7}, "halved"),
        ({"guard": 0.0, "rate": 9e-6}, "too low for guard=0"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replace(SMALL, **changes).check()  # type: ignore[arg-type]
