"""Speak to package indexes within bounds: what a server sends is limited in bytes and in time, whatever it declares.

Bodies are read as they are sent. A server that compresses them anyway gives bytes that no page and no archive is, so
that a few bytes cannot become many.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx2
from unearth.fetchers import PyPIClient

MOST_PAGE = 1 << 26  # bytes of a page or a file of metadata; the longest list of a project has a few million
SLOWEST = 4096  # bytes a second on average, after PATIENCE
PATIENCE = 60.0  # seconds


class ServerOverLimit(httpx2.RequestError):
    """A server sends more, or more slowly, than an archive or a page needs. It is not tried again."""


class BoundedClient(PyPIClient):
    """unearth's client, with bodies of at most MOST_PAGE bytes; the caller bounds those that it streams."""

    def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        """Send a request. Raises httpx2.HTTPError, of which ServerOverLimit is one, also while the body is read."""
        request.headers["Accept-Encoding"] = "identity"
        response = super().send(request, stream=True, **options)
        response.headers.pop("Content-Encoding", None)
        try:
            response.stream = _BoundedStream(response.stream, request, None if stream else MOST_PAGE)
            if not stream:
                response.read()
        except BaseException:
            response.close()
            raise
        return response


class _BoundedStream(httpx2.SyncByteStream):
    """The bytes of a body, up to `most` (None: any number), if they come faster than SLOWEST."""

    def __init__(self, stream: Any, request: httpx2.Request, most: int | None) -> None:
        self._stream, self._request, self._most = stream, request, most

    def __iter__(self) -> Iterator[bytes]:
        begin, received = time.monotonic(), 0
        for block in self._stream:
            received += len(block)
            if self._most is not None and received > self._most:
                raise ServerOverLimit(f"the page has more than {self._most >> 20} MB", request=self._request)
            if time.monotonic() - begin > PATIENCE + received / SLOWEST:
                raise ServerOverLimit("the server sends too slowly", request=self._request)
            yield block

    def close(self) -> None:
        self._stream.close()
