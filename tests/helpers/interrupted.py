"""Somebody who interrupts a training."""

from __future__ import annotations


class Stopped:
    """Somebody who presses Ctrl-C after so many images."""

    def __init__(self, after: int) -> None:
        self.left, self.begun_at = after, 0

    def say(self, line: str) -> None: ...

    def announce(self, line: str) -> None: ...

    def phase(self, name: str, total: int, done_before: int = 0) -> None:
        self.begun_at = done_before

    def advance(self, count: int) -> None:
        self.left -= count
        if self.left <= 0:
            raise KeyboardInterrupt
