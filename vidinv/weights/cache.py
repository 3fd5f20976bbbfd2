"""Fetch, convert and verify weights in the cache, and return their paths."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.weights import archive, catalog, converted, licences, places
from vidinv.weights.catalog import Entry

_trusted: dict[Path, tuple[int, int]] = {}  # (mtime ns, size) of each file when this process hashed it


@dataclass(frozen=True)
class Pulled:
    """Result of `pull` for one part; `converted` is False if it was already in the cache."""

    name: str
    path: Path
    converted: bool


def select(names: Iterable[str] = ()) -> list[Entry]:
    """Select catalogue entries by name or role, in catalogue order; no name = the core ones, `all` = every one.

    Raises UsageError for an unknown name, with similar names.
    """
    entries = list(catalog.CATALOG.values())
    wanted = list(names)
    if not wanted:
        return [entry for entry in entries if entry.core]
    known = {entry.name for entry in entries} | {entry.role for entry in entries} | {"all"}
    for name in wanted:
        if name not in known:
            raise _unknown(name, known)
    return [entry for entry in entries if {"all", entry.name, entry.role} & set(wanted)]


def path(name: str) -> Path:
    """Return the safetensors file of a part after checking its size, and its sha256 once per process.

    Raises WeightsUnavailable if it is missing, outdated or corrupted, UsageError for an unknown name.
    """
    entry = _entry(name)
    file = places.converted(entry.name)
    match converted.state(entry):
        case "missing":
            raise WeightsUnavailable(
                f"the weights {entry.name} are not in the cache ({places.root()})", remedy=places.HOW_TO_GET
            )
        case "outdated":
            raise WeightsUnavailable(
                f"the cached weights {file} were made by another version of vidinv", remedy=places.HOW_TO_GET
            )
        case "damaged":
            raise converted.damaged(file)
    _ensure_trusted(entry)
    return file


def verify(name: str) -> Path:
    """Return the file like `path`, but always hash it. Raises WeightsUnavailable, naming the file."""
    _trusted.pop(places.converted(name), None)
    return path(name)


def pull(
    names: Iterable[str] = (),
    *,
    source: Path | None = None,
    offline: bool = False,
    accept: bool = False,
    keep_archives: bool = False,
    console: Console | None = None,
) -> list[Pulled]:
    """Fetch missing parts into the cache: fetch each archive once, check it, convert its members.

    `names` as for `select`. `source`: a folder of archives, used instead of the network. `offline` forbids the network.
    `accept` accepts non-commercial terms. A part that is missing, outdated or corrupted is fetched; an intact part is
    hashed once per process and kept.
    Raises WeightsUnavailable (terms refused, no network, a wrong or missing archive), OutputUnwritable, UsageError.
    """
    console = console or Console(stderr=True)
    chosen = select(names)
    needed = [entry for entry in chosen if not _is_whole(entry)]
    if needed:
        licences.require_accepted(needed, accept=accept, console=console)
        _bring(needed, source=source, offline=offline, keep_archives=keep_archives, console=console)
    made = {entry.name for entry in needed}
    return [Pulled(entry.name, places.converted(entry.name), entry.name in made) for entry in chosen]


def need(names: Sequence[str], *, offline: bool, accept: bool) -> None:
    """Ensure that these parts are in the cache; an empty `names` needs none. Raises as `pull` does."""
    if names:
        pull(names, offline=offline, accept=accept)


def _bring(
    needed: Sequence[Entry], *, source: Path | None, offline: bool, keep_archives: bool, console: Console
) -> None:
    """Fetch each archive, read and convert the members of all its entries, and delete it."""
    from vidinv.weights import fetch  # the network libraries are imported only when something is fetched

    groups: dict[str, list[Entry]] = {}
    for entry in needed:
        groups.setdefault(entry.archive_file, []).append(entry)
    with ExitStack() as stack:
        index: fetch.Index | None = None
        for entries in groups.values():
            first = entries[0]
            file = fetch.from_folder(first, source) if source else fetch.from_cache(first)
            if file is None:
                if offline:
                    missing = ", ".join(entry.name for entry in needed)
                    raise WeightsUnavailable(
                        f"the weights {missing} are not in the cache and --offline forbids fetching them",
                        remedy=places.HOW_TO_GET,
                    )
                index = index or stack.enter_context(fetch.Index())
                _announce(entries, console)
                file = index.download(first, console)
            members = archive.read_members(file, [member for entry in entries for member in entry.members])
            for entry in entries:
                written = converted.write_converted(
                    entry, {member.path: members[member.path] for member in entry.members}
                )
                _trusted[written] = _stamp(written)
            if source is None and not keep_archives:
                file.unlink(missing_ok=True)


def _announce(entries: Sequence[Entry], console: Console) -> None:
    """Print what is about to be fetched: size, parts, licence and origin."""
    first = entries[0]
    console.print(f"fetching {first.archive} ({first.archive_bytes / 1e6:.0f} MB) for", highlight=False, markup=False)
    for entry in entries:
        text = f"  {entry.name}: {entry.origin}; {entry.licence}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)


def _entry(name: str) -> Entry:
    if name not in catalog.CATALOG:
        raise _unknown(name, catalog.CATALOG)
    return catalog.CATALOG[name]


def _unknown(name: str, known: Iterable[str]) -> UsageError:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or sorted(known)
    return UsageError(f"unknown weights {name!r}", remedy=f"did you mean: {', '.join(near)}")


def _is_whole(entry: Entry) -> bool:
    if converted.state(entry) != "present":
        return False
    try:
        _ensure_trusted(entry)
    except WeightsUnavailable:
        return False
    return True


def _ensure_trusted(entry: Entry) -> None:
    """Hash the file unless this process did and it has not changed since. Raises WeightsUnavailable."""
    file = places.converted(entry.name)
    stamp = _stamp(file)
    if _trusted.get(file) != stamp:
        converted.check_hash(entry)
        _trusted[file] = stamp


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_mtime_ns, status.st_size
