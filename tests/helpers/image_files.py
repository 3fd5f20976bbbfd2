"""Pictures of one shade as files, and tars of files: what trainings in tests are given as data."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import cv2
import numpy as np


def tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, raw in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return path


def png(side: int, value: int, width: int | None = None) -> bytes:
    return cv2.imencode(".png", np.full((side, width or side, 3), (0, 0, value), np.uint8))[1].tobytes()
