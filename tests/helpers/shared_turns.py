"""A few turns of the autoencoders' trainings, small, for one process or several to run: `... shared_turns FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from tests.helpers.ae_recipes import recipe as ae_recipe
from tests.helpers.automodulator_recipes import recipe as modulator_recipe
from tests.helpers.quiet_training import Quiet
from vidinv.trainers.ae_stylegan import train as ae_stylegan
from vidinv.trainers.augment.adaptive import Augment
from vidinv.trainers.automodulator import growing
from vidinv.trainers.automodulator import train as automodulator
from vidinv.trainers.automodulator.train import GrowingPictures
from vidinv.trainers.core import launch, loop
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.data.keyed_dataset import KeyedDataset
from vidinv.trainers.data.toy_images import Blobs

BATCH, TURNS = 8, 3
Case = tuple[dict[str, nn.Module], list[loop.Step], loop.Plan, KeyedDataset]


def joint() -> Case:
    """All that looks at the whole batch: deviation, R1, path length, adaptive weight, mixing, augmentation."""
    changes = {"adaptive": True, "ada": True, "latent": 1.0, "path": 2.0, "path_every": 2, "r1_every": 2, "r1": 20.0}
    setup = ae_stylegan.set_up(ae_recipe(**changes), None)
    augment = setup.networks["ada"]
    assert isinstance(augment, Augment)
    augment.p.fill_(0.5)
    return setup.networks, setup.steps, setup.plan, Blobs()


def decoupled() -> Case:
    setup = ae_stylegan.set_up(ae_recipe(scheme="decoupled", space="w_plus", r1_every=2), None)
    return setup.networks, setup.steps, setup.plan, Blobs()


def modulator() -> Case:
    """The divergences of a batch's codes, mixtures and L_j, L_inv on mirror pairs."""
    recipe = modulator_recipe(first=8, size=8, extra=True, mirror=1.0, margins=(50.0,))
    setup = automodulator.set_up(recipe, recipe.stages[0])
    return setup.networks, setup.steps, setup.plan, GrowingPictures(Blobs(8), setup.stage, 0.0)


def settling() -> Case:
    """A new block of either network alone, on codes and pictures."""
    recipe = modulator_recipe()
    setup = automodulator.set_up(recipe, recipe.stages[1], automodulator.set_up(recipe, recipe.stages[0]))
    step = loop.Step("block", ("G", "E"), torch.optim.SGD, growing.new_block_loss)
    networks = {name: setup.networks[name] for name in step.nets}
    return networks, [step], setup.plan, GrowingPictures(Blobs(8), setup.stage, 0.0)


def batch_norm() -> Case:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 4), nn.BatchNorm1d(4))
    wanted = torch.arange(4.0)

    def loss(networks: loop.Networks, image: Tensor, random: StepRandom) -> tuple[Tensor, dict[str, Tensor]]:
        return (networks["net"](image) - wanted).square().mean(), {}

    here = launch.process_rank()
    plan = loop.Plan(0, BATCH, accelerator="cpu", devices=here.count)
    return {"net": network}, [loop.Step("net", ("net",), torch.optim.SGD, loss)], plan, Blobs(8)


CASES: dict[str, Callable[[], Case]] = {
    "joint": joint,
    "decoupled": decoupled,
    "modulator": modulator,
    "settling": settling,
    "batch-norm": batch_norm,
}


def run(name: str, folder: Path) -> None:
    """The case's turns, by plain descent: Adam would blow up the last bit of a gradient that is 0."""
    networks, steps, plan, data = CASES[name]()
    for network in networks.values():
        for key, parameter in network.named_parameters():
            if "noise" in key:
                torch.nn.init.constant_(parameter, 0.1)
    plain = [replace(step, optimiser=lambda parameters: torch.optim.SGD(parameters, lr=0.02)) for step in steps]
    plan = replace(plan, images=TURNS * BATCH, log_every=1, save_every=10**9, sample_every=10**9)
    loop.train(networks, plain, data, plan, folder / name, progress=Quiet())


if __name__ == "__main__":
    for each in CASES:
        run(each, Path(sys.argv[1]))
