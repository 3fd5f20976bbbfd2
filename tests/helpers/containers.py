"""Run the command line as in a container: as a user that the system does not know, with folders of other users."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

USER = 54321
# The capability lets the user read this machine's Python, which may lie in a closed home; it permits no writing.
CAPABILITIES = (
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
    "--bounding-set=-all,+dac_read_search",
)
UNKNOWN = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *CAPABILITIES]


def needs_unknown_user() -> None:
    """Skip the test where this process cannot become another user."""
    if os.name != "posix" or os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv")
    if subprocess.run([*UNKNOWN, sys.executable, "-c", ""], capture_output=True).returncode:
        pytest.skip("this machine does not permit another user, or closes Python to it")


def vidinv(
    *arguments: object, folder: Path, environment: Mapping[str, str], prefix: list[str] = UNKNOWN
) -> subprocess.CompletedProcess[str]:
    """Run `vidinv` in `folder` with nothing in its environment but `environment`, threads and PATH."""
    plain = {"PATH": os.environ["PATH"], "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*prefix, sys.executable, "-m", "vidinv", *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, env=plain | dict(environment), capture_output=True, text=True, timeout=300
    )
