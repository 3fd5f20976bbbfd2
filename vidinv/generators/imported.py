"""A published checkpoint into a network: every tensor in its place, and every one that has none named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.generators import generator_file, registry
from vidinv.generators.base import Generator
from vidinv.generators.generator_file import Facts
from vidinv.weights.archive import sha256_of
from vidinv.weights.importers import checkpoint
from vidinv.weights.importers.checkpoint import Checkpoint

CONSTANT = re.compile(r".*(blur|upsample)\.kernel")  # the filters, which some files repeat and others leave out
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
MOST = {"resolution": 4096, "mapping_layers": 64, "layers": 64}  # beyond them a key is wrong, and memory would be short
SHOWN = 6  # keys in an error's line
UNSTATED = "not stated; the terms of whoever published the file apply"


@dataclass(frozen=True)
class Fit:
    """How a file fits the network: names as they stand in the file."""

    missing: tuple[str, ...]
    unused: tuple[str, ...]
    wrong: tuple[str, ...]  # with what is wrong

    @property
    def whole(self) -> bool:
        """Whether nothing is missing, left over or wrong."""
        return not (self.missing or self.unused or self.wrong)

    def __str__(self) -> str:
        said = ((self.wrong, "wrong"), (self.missing, "missing"), (self.unused, "unused"))
        return "; ".join(f"{what} ({len(keys)}): {_some(keys)}" for keys, what in said if keys)


def bring(
    source: Path, name: str | None = None, *, licence: str = "", partial: bool = False, replace: bool = False
) -> tuple[Facts, Path]:
    """Import a generator from a file into the cache; `name` is the file's own if None.

    `partial`: take what fits and leave the rest as it was initialised. Raises WeightsUnavailable for a file that
    cannot be read, is in no known layout or does not fit, naming the keys; UsageError for a name that cannot be or
    is taken.
    """
    name = _checked_name(name or re.sub(r"[^a-z0-9._-]+", "-", source.stem.lower()).strip("-."), replace)
    found = checkpoint.read(source)
    space = f"{name}-{'z' if found.format.architecture in ('pggan', 'biggan') else 'w'}"
    settings = _settings(found)
    network = generator_file.build(found.format.architecture, name, space, settings)
    fit = filled(network, found)
    if not fit.whole and not partial:
        raise WeightsUnavailable(
            f"{source.name} does not fit {found.format.name}: {fit}", remedy="--partial takes what fits all the same"
        )
    facts = Facts(
        name=name,
        space=space,
        architecture=found.format.architecture,
        settings=settings,
        sizes=_sizes(network),
        latent_average=generator_file.set_average(network, _average(network, found)),
        format=found.format.name,
        source=source.name,
        source_sha256=sha256_of(source),
        licence=licence or UNSTATED,
        missing=(*fit.missing, *fit.wrong),
        unused=(*fit.unused, *found.left),
    )
    return facts, generator_file.write(network, facts)


def _settings(found: Checkpoint) -> dict[str, Any]:
    try:
        settings = found.format.settings(found.state)
    except (ValueError, IndexError, RuntimeError) as error:
        raise WeightsUnavailable(f"its keys do not give the sizes of a {found.format.name} ({error})") from error
    for key, most in MOST.items():
        if settings.get(key, 0) > most:
            raise WeightsUnavailable(f"by its keys its {key} is {settings[key]}, which cannot be (at most {most})")
    return settings


@torch.no_grad()
def filled(network: Generator, found: Checkpoint) -> Fit:
    """Copy every tensor of a checkpoint that fits into the network, and say what does not.

    Shapes may differ by axes of one. A tensor that holds what is no number does not fit.
    """
    rest, missing, wrong = dict(found.state), [], []
    if found.format.average is not None:
        rest.pop(found.format.average, None)
    for key, target in network.state_dict(keep_vars=True).items():
        name = found.format.source(key)
        value = rest.pop(name, None)
        if value is None:
            if not CONSTANT.fullmatch(key):
                missing.append(found.prefix + name)
        elif _squeezed(value) != _squeezed(target):
            wrong.append(f"{found.prefix}{name} is {_shape(value)}, not {_shape(target)}")
        elif not value.isfinite().all():
            wrong.append(f"{found.prefix}{name} is not finite")
        else:
            target.copy_(value.reshape(target.shape))
    unused = [found.prefix + name for name, value in rest.items() if not found.format.idle(name, value)]
    return Fit(tuple(missing), (*unused, *found.others), tuple(wrong))


def _average(network: Generator, found: Checkpoint) -> Tensor | None:
    if found.average is None:
        return None
    if found.average.shape != network.w_avg.shape or not found.average.isfinite().all():
        key = found.format.average or "latent_avg"
        raise WeightsUnavailable(
            f"{key} is {_shape(found.average)}, not {_shape(network.w_avg)} finite numbers",
            remedy="take it out of the file: it is estimated then",
        )
    return found.average


def _checked_name(name: str, replace: bool) -> str:
    if not NAME.fullmatch(name):
        raise UsageError(
            f"a generator cannot be called {name!r}", remedy="give --as NAME: small letters, digits, . _ -"
        )
    if name in registry.GENERATORS or (generator_file.path(name).exists() and not replace):
        raise UsageError(f"there is a generator called {name!r}", remedy="give another name with --as, or --overwrite")
    return name


def _sizes(network: Generator) -> dict[str, object]:
    return {
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "resolution": network.resolution,
        "num_ws": network.num_ws,
        "w_dim": network.w_dim,
        "layers": [[spec.name, spec.channels, spec.resolution] for spec in network.layers],
    }


def _squeezed(value: Tensor) -> tuple[int, ...]:
    return tuple(side for side in value.shape if side != 1)


def _shape(value: Tensor) -> str:
    return "x".join(map(str, value.shape)) or "a number"


def _some(keys: tuple[str, ...]) -> str:
    return ", ".join(keys[:SHOWN]) + (" ..." if len(keys) > SHOWN else "")
