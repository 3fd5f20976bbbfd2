"""Somebody who interrupts a training."""

from __future__ import annotations


class Stopped:
    """Somebody who presses Ctrl-C after so many images."""

    def __init__(self, after: int) -> None:
        self.left, self.begun_at = after, 0

    def begin(self, images: int, seen: int) -> None:
        self.begun_at = seen

    def advance(self, images: int) -> None:
        self.left -= images
        if self.left <= 0:
            raise KeyboardInterrupt

    def end(self) -> None: ...
