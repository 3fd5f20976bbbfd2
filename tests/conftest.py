"""For every test: one thread for each worker, and tests marked `weights` skip where the weights are missing."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

# Two workers share two cores, so that each has one thread. It must be said before numpy and torch are imported; the
# processes that a test starts inherit it.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# A shell that starts pytest in the background has it ignore SIGINT, which the runs that tests interrupt would inherit.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = str(Path(__file__).resolve().parent.parent)
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    marked = [item for item in items if item.get_closest_marker("weights")]
    lacking = _lacking() if marked else []
    if lacking:
        reason = f"not in the weights cache: {', '.join(lacking)} (run: vidinv weights pull)"
        for item in marked:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True, scope="session")
def time_to_clean_up() -> None:
    """Give a command that a test interrupts in this process a minute: the end of the process ends the tests' worker."""
    from vidinv.cli import interrupt

    interrupt.GRACE = 60.0


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that takes the place of the weights cache."""
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def _lacking() -> list[str]:
    """Core parts of the catalogue that the cache does not hold as this version converts them."""
    from vidinv.weights import catalog, converted

    core = [entry for entry in catalog.CATALOG.values() if entry.core]
    return [entry.name for entry in core if converted.state(entry) != "present"]
