"""A training that shows nothing."""

from __future__ import annotations

from vidinv.progress import SilentProgress


class Quiet(SilentProgress):
    """Instead of a bar."""
