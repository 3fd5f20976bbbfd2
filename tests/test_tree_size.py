"""The tracked files stay few megabytes, so that a clone is quick."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOTAL, SINGLE = 40_000_000, 5_000_000  # bytes: of all tracked files, and of one
ENCODER = "vidinv/assets/feature_style_light.safetensors"  # the only file that may be larger than SINGLE


@pytest.fixture(scope="module")
def sizes() -> dict[str, int]:
    """Bytes of every tracked file of the working tree by its path."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"git cannot list the tracked files: {error}")
    paths = [path for path in listed.split("\0") if path and (ROOT / path).is_file()]
    return {path: (ROOT / path).stat().st_size for path in paths}


def test_tracked_files_sum_to_at_most_40_megabytes(sizes: dict[str, int]) -> None:
    largest = sorted(sizes, key=lambda path: -sizes[path])[:10]
    assert sum(sizes.values()) <= TOTAL, [(path, sizes[path]) for path in largest]


def test_only_the_encoder_is_larger_than_5_megabytes(sizes: dict[str, int]) -> None:
    assert [path for path, size in sizes.items() if size > SINGLE and path != ENCODER] == []


def test_the_report_of_the_documentation_is_small(sizes: dict[str, int]) -> None:
    assert sizes["docs/report.html"] < 1_500_000
