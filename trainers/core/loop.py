"""Run a training: ordered steps over named networks, on Lightning Fabric for devices, precision and processes.

A trainer names the networks, and for each step its loss and the networks that it trains. The loop does the rest:
gradients for those networks only, clipping, averaged weights, learning rates by images seen, logs, sample grids,
checkpoints and resume. The batch and random numbers of a turn depend on the turn alone
(`trainers/data/step_sampler.py`, `trainers/core/step_random.py`), so that an interrupted
training resumes exactly, and several processes share one global batch (`trainers/core/distributed.py`).
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
# networks, this process's rows of the batch (a tensor or a TensorBatch), random numbers -> loss to minimise, its parts
Loss = Callable[[Networks, Any, StepRandom], tuple[Tensor, dict[str, Tensor]]]
Samples = Callable[[Networks], Tensor]  # averaged networks -> a picture [3,H,W] in [-1,1]


@dataclass(frozen=True)
class Step:
    """One optimiser step, run every `every`-th turn of the loop; only the networks `nets` get gradients.

    With `shares` the step uses the optimiser of the step of that name, which trains the same networks, and ignores
    `optimiser`: a lazy penalty (R1) then moves the weights as a part of one loss would.
    """

    name: str
    nets: tuple[str, ...]
    optimiser: Callable[[Sequence[nn.Parameter]], torch.optim.Optimizer]
    loss: Loss
    every: int = 1
    shares: str = ""

    @property
    def owner(self) -> str:
        """Name of the step whose optimiser this step uses."""
        return self.shares or self.name


@dataclass(frozen=True)
class Plan:
    """Length and settings of a training.

    `images` and `batch` count over all processes; `rate` maps images seen to a factor of the learning rates.
    """

    images: int
    batch: int
    rate: Callable[[int], float] = lambda images: 1.0
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = "32-true"
    accelerator: str = "auto"
    devices: int = 1  # processes on all machines together
    machines: int = 1
    seed: int = 0
    clip: float | None = None  # maximal norm of each network's gradients
    ema: float = 0.999
    save_every: int = 2000  # images between checkpoints
    log_every: int = 10  # turns between lines of the log; the last turn is always logged
    sample_every: int = 5000  # images between sample grids
    workers: int = 0  # processes that decode the dataset's samples; -1: automatic (`step_loader.worker_count`)


@dataclass
class State:
    """State of a training: turns done, and the averaged weights of every trained network."""

    turn: int = 0
    average: dict[str, Tensor] = field(default_factory=dict)


def train(
    networks: Networks,
    steps: Sequence[Step],
    dataset: KeyedDataset,
    plan: Plan,
    folder: Path,
    samples: Samples | None = None,
    progress: Progress | None = None,
) -> dict[str, Tensor]:
    """Train to `plan.images`, resuming from `folder`; returns the averaged weights, `NETWORK.KEY` -> tensor.

    Every process reads its own rows of each batch of `dataset`, from the step of the checkpoint on. Progress goes to
    `progress`; with None a bar shows it.

    Raises UsageError for an invalid plan, VidinvError when a loss is not finite (the last checkpoint stays).
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
    launch.leave_group_at_exit()
    trained = {name for step in steps for name in step.nets}
    ready = {
        name: fabric.setup_module(net, _reapply_compile=False) if name in trained else fabric.to_device(net)
        for name, net in networks.items()
    }
    distributed.broadcast_weights(networks.values())
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
    latest: dict[str, Tensor] = {}  # loss parts since the last log line: not every step runs in every turn
    seen = state.turn * plan.batch
    log = Log(folder, plan.images, seen, progress, enabled=fabric.is_global_zero)
    with log, closing(batches):
        pace = Throughput()
        while state.turn * plan.batch < plan.images:
            latest |= _turn(fabric, ready, steps, optimisers, rates, batches, plan, state, pace)
            _average(state, networks, trained, plan.ema)
            pace.record("average")
            state.turn, pace.turns = state.turn + 1, pace.turns + 1
            seen = state.turn * plan.batch
            log.advance(plan.batch)
            if state.turn % plan.log_every == 0 or seen >= plan.images:
                log.write(state.turn, seen, _mean(fabric, latest), pace.report(plan.batch))
                latest = {}
            pace.record("log")
            if samples is not None and fabric.is_global_zero and _due(seen, plan.batch, plan.sample_every):
                log.picture(seen, _with_average(networks, state.average, samples))
            if fabric.is_global_zero and (_due(seen, plan.batch, plan.save_every) or seen >= plan.images):
                checkpoint.save_checkpoint(folder, state.turn, networks, optimisers, state.average)
            pace.record("keep")
    fabric.barrier()
    return state.average


def _batches(fabric: Fabric, dataset: KeyedDataset, plan: Plan, turn: int) -> Generator[Any, None, None]:
    """Return this process's rows of every batch from `turn` on."""
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
    """Raise UsageError unless all processes resume at the same turn: their machines must share the folder."""
    if fabric.world_size == 1:
        return
    turns = fabric.all_gather(torch.tensor(turn, device=fabric.device))
    assert isinstance(turns, Tensor)
    if len(turns.unique()) > 1:
        raise UsageError(
            f"the processes read checkpoints of different turns {sorted(set(turns.tolist()))} in {folder}",
            remedy="use a folder on a file system that all machines share",
        )


def check_plan(networks: Networks, steps: Sequence[Step], plan: Plan) -> None:
    """Raise UsageError for an empty plan, a batch that the processes cannot share, or an invalid step.

    A step is invalid if it names no network, an unknown network, or an optimiser of other networks.
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
        raise UsageError(f"images={plan.images} or batch={plan.batch} is below 1", remedy="set both to at least 1")
    if plan.batch % plan.devices:
        raise UsageError(
            f"batch={plan.batch} cannot be divided among {plan.devices} processes",
            remedy=f"set batch to a multiple of {plan.devices}",
        )


def describe(networks: Networks, steps: Sequence[Step], plan: Plan) -> str:
    """Return the resolved plan as text, which `--dry-run` prints."""
    sizes = {name: sum(p.numel() for p in net.parameters()) for name, net in networks.items()}
    turns = -(-plan.images // plan.batch)
    shared = f", shared by {plan.devices} processes" if plan.devices > 1 else ""
    lines = [f"{plan.images} images in {turns} turns of {plan.batch}{shared}, {plan.precision}"]
    lines += [f"network {name}: {size / 1e6:.2f} M parameters" for name, size in sizes.items()]
    lines += [f"step {s.name}: trains {', '.join(s.nets)}, every {s.every} turns" for s in steps]
    return "\n".join(lines)


def _set_up(fabric: Fabric, optimiser: torch.optim.Optimizer) -> torch.optim.Optimizer:
    ready = fabric.setup_optimizers(optimiser)
    assert isinstance(ready, torch.optim.Optimizer)  # the wrapper has the class of the optimiser that it wraps
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
    # Networks that draw from the global generator (an encoder's own noise) depend on this turn and process only.
    torch.manual_seed(seed_for(plan.seed, "networks", state.turn, fabric.global_rank))
    batch = next(batches).to(fabric.device)
    pace.record("data")
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
                remedy="set a lower rate and resume from the last checkpoint",
            )
        optimiser.zero_grad(set_to_none=True)
        pace.record("forward")
        fabric.backward(loss)
        distributed.average_gradients(p for name in step.nets for p in networks[name].parameters())
        try:
            for name in step.nets:
                longest = math.inf if plan.clip is None else plan.clip
                fabric.clip_gradients(networks[name], optimiser, max_norm=longest, error_if_nonfinite=True)
        except RuntimeError as error:
            raise VidinvError(
                f"step {step.name!r} has gradients that are not finite at turn {state.turn}",
                remedy="set a lower rate and resume from the last checkpoint",
            ) from error
        pace.record("backward")
        optimiser.step()
        pace.record("optimiser")
        parts |= {f"{step.name}/{key}": value.detach() for key, value in ({"loss": loss} | found).items()}
    return parts


def _due(seen: int, batch: int, every: int) -> bool:
    """Return whether the last batch passed a multiple of `every` images."""
    return seen // every > (seen - batch) // every


def _mean(fabric: Fabric, parts: dict[str, Tensor]) -> dict[str, float]:
    """Average the loss parts over the processes."""
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
    """Update the moving average of the weights, faster at the start; integer buffers are copied."""
    decay = min(ema, (1 + state.turn) / (10 + state.turn))
    with torch.no_grad():
        for name in trained:
            for key, value in networks[name].state_dict().items():
                kept = state.average[f"{name}.{key}"]
                kept.lerp_(value.to(kept), 1 - decay) if value.is_floating_point() else kept.copy_(value)


def _with_average(networks: Networks, average: dict[str, Tensor], samples: Samples) -> Tensor:
    """Render `samples` with the averaged weights in eval mode, and restore the networks afterwards."""
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
