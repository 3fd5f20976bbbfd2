"""An index that sends too much, too slowly or in circles: the download stops, exit 5, and nothing stays on the disk."""

from __future__ import annotations

import gzip
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from vidinv import weights
from vidinv.errors import WeightsUnavailable
from vidinv.weights import bounded_client

ARCHIVE = "fake_source-2.0.tar.gz"
Answer = Callable[[BaseHTTPRequestHandler], None]


class Index:
    """A package index on this machine: `page` and `archive` answer its two kinds of requests; `sent` counts bytes."""

    def __init__(self, archive: bytes) -> None:
        self.page: Answer = lambda handler: send(handler, f'<a href="/files/{ARCHIVE}">{ARCHIVE}</a>'.encode())
        self.archive: Answer = lambda handler: send(handler, archive)
        self.sent = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with suppress(OSError):
                    (outer.archive if self.path.startswith("/files/") else outer.page)(self)

            def log_message(self, *_: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/simple"

    def endless(self, handler: BaseHTTPRequestHandler, block: bytes = b"x" * (1 << 16), pause: float = 0.0) -> None:
        """Send blocks until the other side closes the connection, without saying how many."""
        head(handler)
        while True:
            handler.wfile.write(block)
            self.sent += len(block)
            time.sleep(pause)


def head(handler: BaseHTTPRequestHandler, **fields: str) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html")
    for name, value in fields.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()


def send(handler: BaseHTTPRequestHandler, content: bytes, **fields: str) -> None:
    head(handler, Content_Length=str(len(content)), **fields)
    handler.wfile.write(content)


@pytest.fixture
def index(shelf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    for name in [name for name in os.environ if name.startswith("PIP_") or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    made = Index((shelf.folder / ARCHIVE).read_bytes())
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nindex-url = {made.url}\nextra-index-url =\ntimeout = 5\nretries = 1\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
    yield made
    made.server.shutdown()
    made.server.server_close()


def refused(cache: Path, said: str) -> None:
    begin = time.monotonic()
    with pytest.raises(WeightsUnavailable, match=said) as raised:
        weights.pull(["other/three"])
    assert raised.value.exit_code == 5 and time.monotonic() - begin < 30
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_an_honest_index_is_read(index: Index) -> None:
    (pulled,) = weights.pull(["other/three"])
    assert pulled.converted


def test_an_endless_archive_stops_at_the_size_of_the_catalogue(index: Index, shelf: Any) -> None:
    index.archive = index.endless
    refused(shelf.cache, f"not the pinned file: it has more than {shelf.entries['other/three'].archive_bytes} bytes")
    assert index.sent < 32 << 20


def test_a_longer_archive_of_a_false_length_is_refused(index: Index, shelf: Any) -> None:
    content = (shelf.folder / ARCHIVE).read_bytes()
    index.archive = lambda handler: send(handler, content + b"more")
    refused(shelf.cache, "it has more than")


def test_a_shorter_archive_is_refused(index: Index, shelf: Any) -> None:
    content = (shelf.folder / ARCHIVE).read_bytes()
    index.archive = lambda handler: send(handler, content[:-7])
    refused(shelf.cache, "sha256 is")


def test_a_compressed_body_is_not_expanded(index: Index, shelf: Any) -> None:
    packed = gzip.compress(bytes(1 << 28))
    index.archive = lambda handler: send(handler, packed, Content_Encoding="gzip")
    refused(shelf.cache, "not the pinned file")
    index.page = lambda handler: send(handler, packed, Content_Encoding="gzip")
    refused(shelf.cache, "cannot fetch")


def test_an_endless_page_is_refused(index: Index, shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_client, "MOST_PAGE", 1 << 20)
    index.page = index.endless
    refused(shelf.cache, "the page has more than 1 MB")


def test_a_server_that_drips_is_left(index: Index, shelf: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_client, "PATIENCE", 0.5)
    index.archive = lambda handler: index.endless(handler, b"x", 0.05)
    refused(shelf.cache, "too slowly")
    index.page = lambda handler: index.endless(handler, b"x", 0.05)
    refused(shelf.cache, "too slowly")


@pytest.mark.parametrize("at", ["page", "archive"])
def test_redirections_without_end_are_refused(index: Index, shelf: Any, at: str) -> None:
    def redirect(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", handler.path + "x")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    setattr(index, at, redirect)
    refused(shelf.cache, "redirect")


def test_headers_without_end_are_refused(index: Index, shelf: Any) -> None:
    def many(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        while True:
            handler.send_header("X-More", "x" * 1000)
            handler.flush_headers()

    index.archive = many
    refused(shelf.cache, "cannot fetch")


def test_a_larger_file_in_the_folder_of_archives_is_not_even_hashed(
    shelf: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "own" / ARCHIVE
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(WeightsUnavailable, match="it is no file of"):
        weights.pull(["other/three"], source=path.parent)
