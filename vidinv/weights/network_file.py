"""Write and read imported networks: safetensors with the state, plus an average latent if it is not in the state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from vidinv import fileio
from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.weights import imported, places
from vidinv.weights.imported import ImportedFacts

AVERAGE = "latent_avg"  # key in the file for `w_avg` of a network whose state does not contain it

Network = TypeVar("Network", bound=nn.Module)


def separate_average(network: nn.Module) -> Tensor | None:
    """Return the network's buffer `w_avg` [D] if it is not part of the state, else None."""
    own = dict(network.named_buffers(recurse=False))
    return own.get("w_avg") if "w_avg" not in network.state_dict() else None


def build_untrained(build: Callable[[ImportedFacts], Network], facts: ImportedFacts) -> Network:
    """Build the untrained network of an import's facts. Raises WeightsUnavailable if its settings are impossible."""
    try:
        return build(facts)
    except (ValueError, RuntimeError, TypeError, ArithmeticError) as error:
        raise WeightsUnavailable(f"{facts.architecture} cannot be built with these sizes: {error}") from error


def write_network(network: nn.Module, facts: ImportedFacts) -> Path:
    """Write a network and its JSON to the cache under its name, each atomically. Raises OutputUnwritable."""
    state = dict(network.state_dict())
    average = separate_average(network)
    if average is not None:
        state[AVERAGE] = average
    target = imported.path(facts.kind, facts.name)
    told = {"architecture": facts.architecture, "licence": facts.licence}
    fileio.write_tensors(target, state, told, parents=True, remedy=places.REMEDY)
    imported.write_facts(replace(facts, sha256=fileio.sha256(target), bytes=target.stat().st_size))
    return target


def read_network(kind: str, name: str, build: Callable[[ImportedFacts], Network]) -> Network:
    """Read the import of this name into the network that `build` makes of its facts; frozen, in eval mode.

    Raises WeightsUnavailable if it is missing or damaged.
    """
    facts = imported.facts(kind, name)
    try:
        state = load_file(imported.path(kind, name))
        network = build(facts)
        average = separate_average(network)
        if average is not None:
            average.copy_(state.pop(AVERAGE))
        network.load_state_dict(state)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise imported.damaged(kind, name) from error
    return network.eval().requires_grad_(False)


def load_network(
    kind: str,
    name: str,
    registered: Mapping[str, Callable[[], Network]],
    build: Callable[[ImportedFacts], Network],
    device: str = "cpu",
) -> Network:
    """Load the named network of a kind, `registered` or imported, on `device`.

    Raises UsageError, which lists the known names, for any other name.
    """
    if name in registered:
        return registered[name]().to(device)
    here = imported.names(kind)
    if name not in here:
        raise UsageError(f"unknown {kind} {name!r}", remedy=f"known: {', '.join([*registered, *here])}")
    return read_network(kind, name, build).to(device)
