"""The one training loop: ordered steps over named networks, on Lightning Fabric for devices, precision and processes.

A trainer says which networks there are, which of them each step trains and by which loss; the engine does the rest:
gradients for those networks alone, clipping, averaged weights, learning rates by images seen, logs, sample grids,
checkpoints and resume. Batch and random numbers of a turn depend on the turn alone (`trainers/data/step_sampler.py`,
`trainers/core/step_random.py`), so that an interrupted training continues as if it had not been interrupted, and
several processes share one global batch (`trainers/core/distributed.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from vidinv.errors import UsageError, VidinvError
from vidinv.progress import Progress
from vidinv.trainers.core import checkpoint, distributed, launch
from vidinv.trainers.core.logging import Log
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.core.throughput import Throughput
from vidinv.trainers.data.keyed_dataset import KeyedDataset
from vidinv.trainers.data.step_loader import step_batches, worker_count
from vidinv.trainers.data.step_sampler import StepBatchSampler, seed_for

Networks = Mapping[str, nn.Module]
# networks, this process's rows of the batch (a tensor or a TensorBatch), random numbers -> what is minimised, its parts
Loss = Callable[[Networks, Any, StepRandom], tuple[Tensor, dict[str, Tensor]]]
Samples = Callable[[Networks], Tensor]  # averaged networks -> a picture [3,H,W] in [-1,1]


@dataclass(frozen=True)
class Step:
    """One optimiser step: `nets` alone get gradients, every `every`-th turn of the loop.

    With `shares` it goes on with that step's optimiser, which trains the same networks, and `optimiser` is not asked: a
    penalty that is taken every so often (R1) then moves the weights as a part of one loss would.
    """

    name: str
    nets: tuple[str, ...]
    optimiser: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer]
    loss: Loss
    every: int = 1
    shares: str = ""

    @property
    def owner(self) -> str:
        """The step whose optimiser this is."""
        return self.shares or self.name


@dataclass(frozen=True)
class Plan:
    """How long and how: `images` and `batch` count over all processes. `rate` scales the learning rates by images."""

    images: int
    batch: int
    rate: Callable[[int], float] = lambda images: 1.0
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    accelerator: str = "auto"
    devices: int = 1  # processes, of all machines
    machines: int = 1
    seed: int = 0
    clip: float | None = None  # norm of each network's gradients
    ema: float = 0.999
    save_every: int = 2000  # images between checkpoints
    log_every: int = 10  # turns between lines of the log; the last turn has one
    sample_every: int = 5000  # images between sample grids
    workers: int = 0  # processes that decode the dataset's samples; -1: by the machine (`step_loader.worker_count`)


@dataclass
class State:
    """Where a training stands: turns of the loop done, and the averaged weights of every trained network."""

    turn: int = 0
    average: dict[str, Tensor] = field(default_factory=dict)


def train(
    networks: Networks,
    steps: Sequence[Step],
    dataset: KeyedDataset,
    plan: Plan,
    folder: Path,
    samples: Samples | None = None,
    shown: Progress | None = None,
) -> dict[str, Tensor]:
    """Train to `plan.images`, continuing what `folder` holds; returns the averaged weights, `NETWORK.KEY` -> tensor.

    Every process reads its own rows of each batch of `dataset`, from the step of the checkpoint on. A bar shows how far
    the training is, unless that is to be `shown` otherwise.

    Raises UsageError for a plan that cannot be, VidinvError when a loss is not finite (the last checkpoint stays).
    """
    check_plan(networks, steps, plan)
    fabric = Fabric(
        accelerator=plan.accelerator,
        devices=plan.devices // plan.machines,
        num_nodes=plan.machines,
        strategy=distributed.Strategy() if plan.devices > 1 else "auto",
        precision=plan.precision,
    )
    fabric.launch()
    launch.part_at_exit()
    trained = {name for step in steps for name in step.nets}
    ready = {
        name: fabric.setup_module(net, _reapply_compile=False) if name in trained else fabric.to_device(net)
        for name, net in networks.items()
    }
    distributed.agree(networks.values())
    optimisers = {
        step.name: _set_up(fabric, step.optimiser([p for n in step.nets for p in networks[n].parameters()]))
        for step in steps
        if not step.shares
    }
    rates = {name: [group["lr"] for group in of.param_groups] for name, of in optimisers.items()}
    state = State(average=_weights(networks, trained))
    if checkpoint.exists(folder):
        state.turn, state.average = checkpoint.load_checkpoint(folder, networks, optimisers, state.average)
    _check_together(fabric, state.turn, folder)
    batches = _batches(fabric, dataset, plan, state.turn)
    latest: dict[str, Tensor] = {}  # since the last line of the log: not every step runs on every turn
    seen = state.turn * plan.batch
    log = Log(folder, plan.images, seen, shown, enabled=fabric.is_global_zero)
    with log, closing(batches):
        pace = Throughput()
        while state.turn * plan.batch < plan.images:
            latest |= _turn(fabric, ready, steps, optimisers, rates, batches, plan, state, pace)
            _average(state, networks, trained, plan.ema)
            pace.was("average")
            state.turn, pace.turns = state.turn + 1, pace.turns + 1
            seen = state.turn * plan.batch
            log.advance(plan.batch)
            if state.turn % plan.log_every == 0 or seen >= plan.images:
                log.write(state.turn, seen, _mean(fabric, latest), pace.report(plan.batch))
                latest = {}
            pace.was("log")
            if samples is not None and fabric.is_global_zero and _due(seen, plan.batch, plan.sample_every):
                log.picture(seen, _with_average(networks, state.average, samples))
            if fabric.is_global_zero and (_due(seen, plan.batch, plan.save_every) or seen >= plan.images):
                checkpoint.save_checkpoint(folder, state.turn, networks, optimisers, state.average)
            pace.was("keep")
    fabric.barrier()
    return state.average


def _batches(fabric: Fabric, dataset: KeyedDataset, plan: Plan, turn: int) -> Generator[Any, None, None]:
    """This process's rows of every batch from a turn on."""
    sampler = StepBatchSampler(
        plan.seed,
        plan.batch,
        length=dataset.length,
        rank=fabric.global_rank,
        world_size=fabric.world_size,
        first=turn,
        last=-(-plan.images // plan.batch),
    )
    workers = worker_count(dataset, plan.workers, plan.devices // plan.machines)
    pin = dataset.decodes and fabric.device.type == "cuda"
    return step_batches(dataset, sampler, workers=workers, pin=pin)


def _check_together(fabric: Fabric, turn: int, folder: Path) -> None:
    """UsageError unless all processes go on from the same turn: their machines have to share the folder."""
    if fabric.world_size == 1:
        return
    turns = fabric.all_gather(torch.tensor(turn, device=fabric.device))
    assert isinstance(turns, Tensor)
    if len(turns.unique()) > 1:
        raise UsageError(
            f"the processes find turns {sorted(set(turns.tolist()))} in {folder}",
            remedy="put it where all machines see it",
        )


def check_plan(networks: Networks, steps: Sequence[Step], plan: Plan) -> None:
    """UsageError for a step that names no network, a network or an optimiser that is missing, or an empty plan.

    And for a batch that the processes cannot share.
    """
    own = {step.name: step.nets for step in steps if not step.shares}
    for step in steps:
        missing = set(step.nets) - set(networks)
        if missing or not step.nets:
            raise UsageError(
                f"step {step.name!r} trains {sorted(missing) or 'nothing'}", remedy=f"networks: {sorted(networks)}"
            )
        if own.get(step.owner) != step.nets:
            raise UsageError(
                f"step {step.name!r} shares the optimiser of {step.shares!r}, which trains {own.get(step.shares)}",
                remedy="name a step that trains the same networks",
            )
    if plan.images < 1 or plan.batch < 1:
        raise UsageError(f"a plan of {plan.images} images in batches of {plan.batch}", remedy="give both at least 1")
    if plan.batch % plan.devices:
        raise UsageError(
            f"a batch of {plan.batch} cannot be shared by {plan.devices} processes", remedy="make it a multiple"
        )


def describe(networks: Networks, steps: Sequence[Step], plan: Plan) -> str:
    """The resolved plan in words: what `--dry-run` prints."""
    sizes = {name: sum(p.numel() for p in net.parameters()) for name, net in networks.items()}
    turns = -(-plan.images // plan.batch)
    shared = f", shared by {plan.devices} processes" if plan.devices > 1 else ""
    lines = [f"{plan.images} images in {turns} turns of {plan.batch}{shared}, {plan.precision}"]
    lines += [f"network {name}: {size / 1e6:.2f} M parameters" for name, size in sizes.items()]
    lines += [f"step {s.name}: trains {', '.join(s.nets)}, every {s.every} turns" for s in steps]
    return "\n".join(lines)


def _set_up(fabric: Fabric, optimiser: torch.optim.Optimizer) -> torch.optim.Optimizer:
    ready = fabric.setup_optimizers(optimiser)
    assert isinstance(ready, torch.optim.Optimizer)  # the wrapper takes on the class of what it wraps
    return ready


def _turn(
    fabric: Fabric,
    networks: Networks,
    steps: Sequence[Step],
    optimisers: Mapping[str, torch.optim.Optimizer],
    rates: Mapping[str, list[float]],
    batches: Iterator[Any],
    plan: Plan,
    state: State,
    pace: Throughput,
) -> dict[str, Tensor]:
    # What a network draws without being handed a generator (an encoder's own noise) is of this turn and process.
    torch.manual_seed(seed_for(plan.seed, "networks", state.turn, fabric.global_rank))
    batch = next(batches).to(fabric.device)
    pace.was("data")
    parts: dict[str, Tensor] = {}
    for step in steps:
        if state.turn % step.every:
            continue
        for name, network in networks.items():
            network.requires_grad_(name in step.nets)
        optimiser = optimisers[step.owner]
        for group, rate in zip(optimiser.param_groups, rates[step.owner], strict=True):
            group["lr"] = rate * plan.rate(state.turn * plan.batch)
        random = StepRandom(plan.seed, state.turn, step.name, rank=fabric.global_rank, device=fabric.device)
        loss, found = step.loss(networks, batch, random)
        if not torch.isfinite(loss):
            where = ", ".join(f"{key} {float(value):.3g}" for key, value in found.items())
            raise VidinvError(
                f"step {step.name!r} has the loss {float(loss.detach())} at turn {state.turn} ({where})",
                remedy="lower the rate; the last checkpoint is whole",
            )
        optimiser.zero_grad(set_to_none=True)
        pace.was("forward")
        fabric.backward(loss)
        distributed.average_gradients(p for name in step.nets for p in networks[name].parameters())
        try:
            for name in step.nets:
                longest = math.inf if plan.clip is None else plan.clip
                fabric.clip_gradients(networks[name], optimiser, max_norm=longest, error_if_nonfinite=True)
        except RuntimeError as error:
            raise VidinvError(
                f"step {step.name!r} has gradients that are not finite at turn {state.turn}",
                remedy="lower the rate; the last checkpoint is whole",
            ) from error
        pace.was("backward")
        optimiser.step()
        pace.was("optimiser")
        parts |= {f"{step.name}/{key}": value.detach() for key, value in ({"loss": loss} | found).items()}
    return parts


def _due(seen: int, batch: int, every: int) -> bool:
    """Whether a multiple of `every` images was passed by the last batch."""
    return seen // every > (seen - batch) // every


def _mean(fabric: Fabric, parts: dict[str, Tensor]) -> dict[str, float]:
    """The parts averaged over the processes."""
    found: dict[str, float] = {}
    for key, value in parts.items():
        mean = fabric.all_reduce(value.float(), reduce_op="mean")
        assert isinstance(mean, Tensor)
        found[key] = float(mean)
    return found


def _weights(networks: Networks, trained: set[str]) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": value.detach().clone()
        for name in sorted(trained)
        for key, value in networks[name].state_dict().items()
    }


def _average(state: State, networks: Networks, trained: set[str], ema: float) -> None:
    """Exponential moving average of the weights, quicker at the start; counters and the like are copied."""
    decay = min(ema, (1 + state.turn) / (10 + state.turn))
    with torch.no_grad():
        for name in trained:
            for key, value in networks[name].state_dict().items():
                kept = state.average[f"{name}.{key}"]
                kept.lerp_(value.to(kept), 1 - decay) if value.is_floating_point() else kept.copy_(value)


def _with_average(networks: Networks, average: dict[str, Tensor], samples: Samples) -> Tensor:
    """The picture that `samples` draws with the averaged weights in eval mode; the networks are left as they were."""
    trained = {key.split(".", 1)[0] for key in average}
    own = _weights(networks, trained)
    modes = {name: networks[name].training for name in trained}
    _put(networks, average)
    for name in trained:
        networks[name].eval()
    try:
        with torch.no_grad():
            return samples(networks)
    finally:
        _put(networks, own)
        for name, mode in modes.items():
            networks[name].train(mode)


def _put(networks: Networks, weights: dict[str, Tensor]) -> None:
    for name in {key.split(".", 1)[0] for key in weights}:
        prefix = f"{name}."
        networks[name].load_state_dict({k[len(prefix) :]: v for k, v in weights.items() if k.startswith(prefix)})
