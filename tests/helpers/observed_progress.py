"""A progress that calls functions of a test."""

from __future__ import annotations

from collections.abc import Callable

from vidinv.progress import SilentProgress


class ObservedProgress(SilentProgress):
    """Calls `on_phase(name)` when a phase starts and `on_advance(name, count)` when steps of a phase are done."""

    def __init__(
        self,
        on_phase: Callable[[str], None] = lambda name: None,
        on_advance: Callable[[str, int], None] = lambda name, count: None,
    ) -> None:
        self._on_phase, self._on_advance = on_phase, on_advance
        self._name = ""

    def phase(self, name: str, total: int, done_before: int = 0) -> None:
        self._name = name
        self._on_phase(name)

    def advance(self, count: int) -> None:
        self._on_advance(self._name, count)
