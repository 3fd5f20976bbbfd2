"""AE-StyleGAN: who learns from which step, what is judged by whom, resume, and that the joint training learns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.helpers.ae_recipes import recipe
from tests.helpers.keyed_data import Stop
from tests.helpers.quiet_training import Quiet
from vidinv.errors import UsageError
from vidinv.losses import adversarial
from vidinv.trainers.ae_stylegan import train as ae_stylegan
from vidinv.trainers.core import loop
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.data.step_sampler import SampleKey
from vidinv.trainers.data.toy_images import Blobs


def backward(setup: ae_stylegan.AeStyleganSetup, name: str) -> dict[str, list[Tensor]]:
    """Gradients of every network after one backward pass of a step, as the engine has it; None is left out."""
    (step,) = (step for step in setup.steps if step.name == name)
    for key, network in setup.networks.items():
        network.requires_grad_(key in step.nets)
        network.zero_grad(set_to_none=True)
    loss, _ = step.loss(setup.networks, Blobs().draw(8, 0), StepRandom(3))
    loss.backward()
    return {
        key: [p.grad for p in network.parameters() if p.grad is not None] for key, network in setup.networks.items()
    }


def learns(grads: list[Tensor]) -> bool:
    return any(bool(grad.abs().max() > 0) for grad in grads)


def state(setup: ae_stylegan.AeStyleganSetup) -> dict[str, Tensor]:
    return {f"{n}.{k}": v.clone() for n, net in setup.networks.items() for k, v in net.state_dict().items()}


def changed(setup: ae_stylegan.AeStyleganSetup, steps: list[str], tmp_path: Path) -> set[str]:
    """The networks whose parameters a turn of these steps alone moves."""
    before = state(setup)
    chosen = [step for step in setup.steps if step.name in steps]
    plan = replace(setup.plan, images=setup.plan.batch, save_every=10**9)
    loop.train(setup.networks, chosen, Blobs(), plan, tmp_path, progress=Quiet())
    return {key.split(".")[0] for key, value in state(setup).items() if not torch.equal(value, before[key])}


def test_in_the_decoupled_training_the_encoders_step_teaches_the_encoder_alone(tmp_path: Path) -> None:
    setup = ae_stylegan.set_up(recipe(scheme="decoupled"), None)
    grads = backward(setup, "E")
    assert learns(grads["E"]) and not any(learns(grads[name]) for name in ("F", "G", "D1", "D2"))
    assert changed(setup, ["E"], tmp_path) == {"E"}


def test_in_the_joint_training_it_teaches_encoder_and_synthesis_but_not_the_mapping(tmp_path: Path) -> None:
    setup = ae_stylegan.set_up(recipe(), None)
    grads = backward(setup, "E")
    assert learns(grads["E"]) and learns(grads["G"]) and not learns(grads["F"]) and not learns(grads["D"])
    assert changed(setup, ["E"], tmp_path) == {"E", "G"}


@pytest.mark.parametrize("scheme", ["joint", "decoupled"])
def test_the_generators_step_teaches_mapping_and_synthesis(scheme: str, tmp_path: Path) -> None:
    setup = ae_stylegan.set_up(recipe(scheme=scheme), None)
    grads = backward(setup, "G")
    assert learns(grads["F"]) and learns(grads["G"]) and not learns(grads["E"])
    assert changed(setup, ["G"], tmp_path) == {"F", "G"}


def test_the_second_discriminators_loss_says_nothing_to_the_first() -> None:
    setup = ae_stylegan.set_up(recipe(scheme="decoupled"), None)
    for name, other in (("D2", "D1"), ("D1", "D2"), ("D2-r1", "D1")):
        grads = backward(setup, name)
        assert learns(grads[name[:2]]) and not learns(grads[other]) and not learns(grads["G"])


def test_an_untrained_discriminator_with_zero_logits_has_the_loss_of_two_coins() -> None:
    for scheme, name in (("joint", "D"), ("decoupled", "D1"), ("decoupled", "D2")):
        setup = ae_stylegan.set_up(recipe(scheme=scheme), None)
        last = setup.networks[name].final_linear[1]
        torch.nn.init.zeros_(last.weight)
        (step,) = (step for step in setup.steps if step.name == name)
        assert float(step.loss(setup.networks, Blobs().draw(8, 0), StepRandom(3))[0].detach()) == pytest.approx(
            1.3863, abs=1e-4
        )


def test_with_the_adaptive_weight_the_weight_of_the_adversarial_part_cancels_out() -> None:
    found = []
    for weight in (0.1, 10.0):
        setup = ae_stylegan.set_up(recipe(adaptive=True, adversarial=weight), None)
        found.append(torch.cat([grad.flatten() for grad in backward(setup, "E")["E"]]))
    torch.testing.assert_close(found[0] / found[0].norm(), found[1] / found[1].norm(), rtol=0.3, atol=0.02)


def test_r1_goes_on_with_its_discriminators_optimiser() -> None:
    setup = ae_stylegan.set_up(recipe(), None)
    judge, penalty = (step for step in setup.steps if step.nets == ("D",))
    assert penalty.shares == judge.name and penalty.every == 4
    (group,) = judge.optimiser(list(setup.networks["D"].parameters())).param_groups
    assert group["lr"] == pytest.approx(0.0025 * 4 / 5) and group["betas"] == pytest.approx((0.0, 0.99 ** (4 / 5)))


def test_r1_is_half_its_weight_times_the_squared_slope_for_all_turns_between() -> None:
    setup = ae_stylegan.set_up(recipe(r1=0.5), None)
    image = Blobs().draw(4, 0)
    (step,) = (step for step in setup.steps if step.name == "D-r1")
    loss, _ = step.loss(setup.networks, image, StepRandom(3))
    seen = image.clone().requires_grad_()
    wanted = 0.25 * 4 * adversarial.r1(seen, setup.networks["D"](seen))
    torch.testing.assert_close(loss, wanted)


def test_mixing_gives_the_second_w_the_rows_from_one_on() -> None:
    first, second = torch.zeros(500, 3), torch.ones(500, 3)
    never = ae_stylegan.mix_styles(first, second, 6, 0.0, StepRandom(0))
    assert never.shape == (500, 6, 3) and (never == 0).all()
    rows = ae_stylegan.mix_styles(first, second, 6, 0.9, StepRandom(0))[..., 0]  # [N,6]
    assert (rows.diff(dim=1) >= 0).all() and (rows[:, 0] == 0).all()
    assert rows[:, -1].mean() == pytest.approx(0.9, abs=0.05) and set(rows.sum(1).tolist()) == {0, 1, 2, 3, 4, 5}


@pytest.mark.parametrize("third_step", ["whole", "prior"])
def test_only_the_whole_of_the_third_step_judges_reconstructions(third_step: str) -> None:
    one, other = (ae_stylegan.set_up(recipe(third_step=third_step, share=share), None) for share in (0.1, 0.4))
    grads = [torch.cat([g.flatten() for g in backward(setup, "G")["G"]]) for setup in (one, other)]
    is_alike = torch.allclose(grads[0] / 0.9, grads[1] / 0.6, rtol=1e-4, atol=1e-7)
    assert is_alike == (third_step == "prior")


@pytest.mark.parametrize("changes", [{}, {"scheme": "decoupled", "space": "w_plus", "ada": True, "path": 2.0}])
def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(
    changes: dict[str, Any], tmp_path: Path
) -> None:
    class Stopping(Blobs):
        def batch(self, keys: Sequence[SampleKey]) -> Tensor:
            if keys[0].step == 5:  # a checkpoint comes every second step
                raise Stop
            return super().batch(keys)

    made = ae_stylegan.train(ae_stylegan.set_up(recipe(**changes), None), Blobs(), tmp_path / "whole", Quiet())
    with pytest.raises(Stop):
        ae_stylegan.train(ae_stylegan.set_up(recipe(**changes), None), Stopping(), tmp_path / "parts", Quiet())
    again = ae_stylegan.train(ae_stylegan.set_up(recipe(**changes), None), Blobs(), tmp_path / "parts", Quiet())
    for whole, parts in zip(made, again, strict=True):
        other = parts.state_dict()
        assert all(torch.equal(value, other[key]) for key, value in whole.state_dict().items())


@pytest.mark.slow
def test_the_joint_training_learns_to_reconstruct_what_it_never_saw(tmp_path: Path) -> None:
    trained = recipe(images=8 * 80, save_every=10**9, rate=0.005, ema_kimg=0.1)
    setup = ae_stylegan.set_up(trained, None)
    image = Blobs().draw(64, 10**9)
    generator, encoder = ae_stylegan.train(setup, Blobs(), tmp_path, Quiet())
    flat = image.mean((0, 2, 3), keepdim=True).expand_as(image)
    assert generator.space == encoder.space == "ae-stylegan-w"
    apart = (generator.synthesize(encoder(image).ws) - image).square().mean()
    assert apart < 0.6 * (flat - image).square().mean()


def test_what_cannot_be_is_refused() -> None:
    for changes, match in (
        ({"scheme": "both"}, "joint, decoupled"),
        ({"size": 48}, "48"),
        ({"share": 1.0}, "share"),
        ({"perceptual": 1.0}, "no perceptual loss"),
    ):
        with pytest.raises(UsageError, match=match):
            recipe(**changes).check()
