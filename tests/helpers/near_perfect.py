"""The shortest training of near-perfect inversion, and two photos for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vidinv.media import photo

SHORT = [
    f"--set={change}"
    for change in ("steps=4", "look=2", "levels=3", "widest=8", "started=2", "samples=2", "layers=0", "rate=0.01")
]


def two_photos(folder: Path) -> Path:
    """`folder` with the photos a.png and b.png, one dark and one bright, 64 pixels square."""
    folder.mkdir()
    for name, level in (("a", 40), ("b", 200)):
        rgb = np.full((64, 64, 3), level, np.uint8)
        photo.write_photo(folder / f"{name}.png", photo.Photo(rgb), {})
    return folder
