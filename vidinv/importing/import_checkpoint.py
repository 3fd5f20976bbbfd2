"""Import every network of a published checkpoint into the cache, or refuse the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vidinv import fileio
from vidinv.encoders import published
from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.generators import generator_file
from vidinv.generators import registry as generators
from vidinv.generators.base import Generator
from vidinv.importing.kinds import KINDS
from vidinv.importing.match_state_dict import Fit, fill_network, shape
from vidinv.weights import imported, network_file
from vidinv.weights.catalog import CATALOG
from vidinv.weights.imported import ImportedFacts
from vidinv.weights.importers import checkpoint
from vidinv.weights.importers.checkpoint import Checkpoint, CheckpointNetworks

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)
# Upper limits of sizes: a larger value means a wrong key, and would exhaust the memory.
MOST = {"resolution": 4096, "mapping_layers": 64, "layers": 64, "slots": 64, "modules": 16, "depth": 8}
UNSTATED = "not stated; the terms of the file's publisher apply"


@dataclass(frozen=True)
class ImportOptions:
    """Import options: `licence` to store; `partial` imports what matches; `replace` overwrites an existing import."""

    licence: str = ""
    partial: bool = False
    replace: bool = False


@dataclass(frozen=True)
class Draft:
    """A network that is filled but not yet stored."""

    network: nn.Module
    facts: ImportedFacts
    fit: Fit


def import_networks(
    source: Path,
    name: str | None = None,
    terms: ImportOptions | None = None,
    *,
    generator: str = "",
    trunk: Path | None = None,
    asked: Mapping[str, str] | None = None,
) -> tuple[ImportedFacts, ...]:
    """Import the networks in a file into the cache, generators first; `name` is the file's own if None.

    `generator` is the name of the generator that an encoder belongs to, if the file does not hold it too; `trunk` is a
    second file of the same network; `asked` are settings by name that the keys do not determine.
    Raises WeightsUnavailable for a file that cannot be read, has no known layout or does not match, naming the keys;
    UsageError for a name that is invalid or taken, and for an encoder without its generator.
    """
    terms, asked = terms or ImportOptions(), dict(asked or {})
    name = name or re.sub(r"[^a-z0-9._-]+", "-", source.stem.lower()).strip("-.")
    if not NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} is not a valid name", remedy="give --as NAME: lower-case letters, digits, '.', '_' and '-'"
        )
    found = checkpoint.read_checkpoint(source, trunk)
    for each in (*found.networks, *([found.discriminator] if found.discriminator else ())):
        _check_free(each.format.kind, name, terms.replace)
    _check_asked(found, asked, generator)
    told = ImportedFacts(name, "", "", {}, "", source.name, fileio.sha256(source), terms.licence or UNSTATED)
    drafts = _drafts(found, told, generator, asked)
    fit = sum((draft.fit for draft in drafts), Fit((), found.others, ()))
    if not fit.whole and not terms.partial:
        layouts = " and ".join(each.format.name for each in found.networks)
        raise WeightsUnavailable(
            f"{source.name} does not match {layouts}: {fit}", remedy="import the matching tensors with --partial"
        )
    judges, left = _beside(found, told)
    return tuple(_kept([*drafts, *judges], (*found.others, *left)))


def _kept(drafts: list[Draft], left: tuple[str, ...]) -> Iterator[ImportedFacts]:
    """Write every draft; the unused entries `left` of the file are listed with the first."""
    for draft in drafts:
        missing, unused = (*draft.fit.missing, *draft.fit.wrong), (*draft.fit.unused, *left)
        network_file.write_network(draft.network, replace(draft.facts, missing=missing, unused=unused))
        left = ()
        yield imported.facts(draft.facts.kind, draft.facts.name)


def _drafts(found: CheckpointNetworks, told: ImportedFacts, generator: str, asked: Mapping[str, str]) -> list[Draft]:
    """Fill every network of the file; an encoder is bound to the file's own generator, or to the named one."""
    drafts: list[Draft] = []
    of = generators.load_generator(generator) if generator else None
    for each in found.networks:
        facts = _facts(each, found, told, asked)
        if facts.kind == generator_file.KIND:
            drafts.append(_generator(facts, each))
            assert isinstance(drafts[-1].network, Generator)
            of = drafts[-1].network
        elif facts.kind == published.KIND:
            drafts.append(_encoder(facts, each, of))
        else:
            drafts.append(_draft(facts, each))
    return drafts


def _beside(found: CheckpointNetworks, told: ImportedFacts) -> tuple[list[Draft], list[str]]:
    """Return the discriminator stored with a generator, if it matches, and the file's entries of no network.

    The generator is complete without it, so a mismatching discriminator is skipped and listed with the reason.
    """
    read = {name for each in found.networks for name in each.format.reads}
    left = {name: name for name in found.beside if name not in read}
    judge = found.discriminator
    if judge is None:
        return [], list(left)
    key = judge.prefix.removesuffix(".")
    try:
        checkpoint.check_plain(judge.state, judge.prefix)
        draft = _draft(replace(_facts(judge, found, told, {}), generator=told.name), judge)
        wrong = str(draft.fit)
    except WeightsUnavailable as error:
        wrong = error.what
    if wrong:
        return [], list((left | {key: f"{key} ({wrong})"}).values())
    return [draft], [name for name in left if name != key]


def _facts(found: Checkpoint, file: CheckpointNetworks, told: ImportedFacts, asked: Mapping[str, str]) -> ImportedFacts:
    form, settings = found.format, _settings(found, file, asked)
    return replace(told, kind=form.kind, architecture=form.architecture, format=form.name, settings=settings)


def _draft(facts: ImportedFacts, found: Checkpoint) -> Draft:
    """Fill a network that is independent of others."""
    network = network_file.build_untrained(KINDS[facts.kind].build, facts)
    return Draft(network, replace(facts, sizes=_sizes(network)), fill_network(network, found))


def _generator(facts: ImportedFacts, found: Checkpoint) -> Draft:
    facts = replace(facts, space=f"{facts.name}-{'z' if facts.architecture in ('pggan', 'biggan') else 'w'}")
    network = network_file.build_untrained(generator_file.build_generator, facts)
    fit = fill_network(network, found)
    average = generator_file.set_average(network, _average(found, network.w_dim))
    layers = [[spec.name, spec.channels, spec.resolution] for spec in network.layers]
    sizes = {"resolution": network.resolution, "num_ws": network.num_ws, "w_dim": network.w_dim, "layers": layers}
    return Draft(network, replace(facts, latent_average=average, sizes=_sizes(network) | sizes), fit)


@torch.no_grad()
def _encoder(facts: ImportedFacts, found: Checkpoint, of: Generator | None) -> Draft:
    """Fill the encoder, bound to its generator `of`, with the file's average latent, else the generator's."""
    if of is None:
        here = ", ".join([*generator_file.names(), *generators.GENERATORS])
        raise UsageError(
            f"{facts.source} holds an encoder without its generator",
            remedy=f"name its generator with --for, one of {here}",
        )
    settings = published.bind_settings(facts.settings, of)
    averaged = settings.pop("average", True)
    facts = replace(facts, settings=settings, space=of.space, generator=of.name)
    network = network_file.build_untrained(published.build_published, facts)
    fit = fill_network(network, found)
    given = _average(found, of.w_dim)
    if averaged:
        network.get_buffer("w_avg").copy_(of.w_avg if given is None else given)
    said = f"that of {of.name}" if given is None else "from the file"
    sizes = {"rows": settings["slots"], "w_dim": settings["w_dim"], "input_size": network.input_size}
    sizes = _sizes(network) | sizes
    return Draft(network, replace(facts, sizes=sizes, latent_average=said if averaged else "none is added"), fit)


def _settings(found: Checkpoint, file: CheckpointNetworks, asked: Mapping[str, str]) -> dict[str, Any]:
    """Return the constructor settings from the keys, the rest of the file and the user's settings."""
    try:
        settings = found.format.settings(found.state)
    except (ValueError, IndexError, RuntimeError, ArithmeticError) as error:
        raise WeightsUnavailable(f"its keys do not give the sizes of a {found.format.name} ({error})") from error
    for key, most in MOST.items():
        if settings.get(key, 0) > most:
            raise WeightsUnavailable(f"by its keys its {key} is more than {most}, which is implausible")
    return settings | found.format.choices(file.beside, asked)


def _average(found: Checkpoint, w_dim: int) -> Tensor | None:
    if found.average is None:
        return None
    if found.average.shape != (w_dim,) or not found.average.isfinite().all():
        key = found.format.average or "latent_avg"
        raise WeightsUnavailable(
            f"{key} is {shape(found.average)}, not {w_dim} finite numbers",
            remedy="remove it from the file; it is then estimated",
        )
    return found.average


def _check_free(kind: str, name: str, replaces: bool) -> None:
    if (
        name in KINDS[kind].taken
        or f"{kind}/{name}" in CATALOG
        or (imported.path(kind, name).exists() and not replaces)
    ):
        raise UsageError(
            f"{_a(kind)} named {name!r} exists already", remedy="give another name with --as, or --overwrite"
        )


def _check_asked(found: CheckpointNetworks, asked: Mapping[str, str], generator: str) -> None:
    """Raise UsageError for a setting, or a generator, that none of the file's networks uses."""
    options = {option for each in found.networks for option in each.format.options}
    for key in asked.keys() - options:
        known = f"may be {', '.join(sorted(options))}" if options else "are all given by its keys"
        raise UsageError(f"--set {key} is not a setting of this file", remedy=f"its settings {known}")
    kinds = {each.format.kind for each in found.networks}
    if generator and (published.KIND not in kinds or generator_file.KIND in kinds):
        held = "its own generator" if generator_file.KIND in kinds else "no encoder"
        raise UsageError(f"--for names an encoder's generator, and this file holds {held}", remedy="remove --for")


def _sizes(network: nn.Module) -> dict[str, Any]:
    return {"parameters": sum(parameter.numel() for parameter in network.parameters())}


def _a(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
