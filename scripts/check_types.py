"""Check the types of the whole package with mypy: python scripts/check_types.py [mypy's options]

In a checkout `stages/`, `trainers/` and `configs/` are next to `vidinv/`; only an installed copy has them inside it.
mypy follows imports over real folders only, so it reads a temporary tree of links with the installed layout.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAPPED = ("stages", "trainers", "configs")  # as `package_dir` of setup.py has it


def lay_out(root: Path, place: Path) -> None:
    """Fill the folder `place` with links to the checkout `root`, its packages where an installation has them."""
    (place / "vidinv").mkdir()
    for entry in (root / "vidinv").iterdir():
        (place / "vidinv" / entry.name).symlink_to(entry)
    for name in MAPPED:
        (place / "vidinv" / name).symlink_to(root / name)
    (place / "scripts").symlink_to(root / "scripts")
    (place / "pyproject.toml").symlink_to(root / "pyproject.toml")


def main(root: Path, options: list[str]) -> int:
    """The exit code of mypy over the tree of `root`, as `pyproject.toml` configures it."""
    with tempfile.TemporaryDirectory() as place:
        lay_out(root, Path(place))
        command = [sys.executable, "-m", "mypy", "--cache-dir", str(root / ".mypy_cache"), *options]
        return subprocess.run(command, cwd=place, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(ROOT, sys.argv[1:]))
