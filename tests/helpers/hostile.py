"""An object whose unpickling runs a command."""

from __future__ import annotations

import os
from pathlib import Path


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.command = f"touch {mark}"

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (self.command,)
