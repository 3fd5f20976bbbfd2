"""A training that shows nothing."""

from __future__ import annotations


class Quiet:
    """Instead of a bar."""

    def begin(self, images: int, seen: int) -> None: ...

    def advance(self, images: int) -> None: ...

    def end(self) -> None: ...
