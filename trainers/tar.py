"""A WebDataset: the pictures of one tar, found once and read in place, as training data like a folder of photos."""

from __future__ import annotations

import tarfile
from pathlib import Path

import cv2
import numpy as np

from trainers.photos import Photos
from vidinv.errors import InputUnreadable
from vidinv.faces import pictures
from vidinv.frames import Array


def open_tar(path: Path, size: int) -> Photos:
    """The pictures of a tar, by their names in it.

    Raises InputUnreadable for what is no tar, and where there are no pictures in it.
    """
    try:
        with tarfile.open(path, "r:") as archive:
            places = {
                path / member.name: (member.offset_data, member.size)
                for member in archive
                if member.isfile() and Path(member.name).suffix.lower() in pictures.PICTURES
            }
    except (OSError, tarfile.TarError) as error:
        raise InputUnreadable(f"{path} is no tar: {error}", remedy="give one that is not compressed") from error
    if not places:
        raise InputUnreadable(f"no picture in {path}", remedy="give a tar of square pictures, .jpg or .png")

    def read(name: Path) -> Array:
        first, length = places[name]
        with path.open("rb") as stream:
            stream.seek(first)
            raw = np.frombuffer(stream.read(length), np.uint8)
        bgr = cv2.imdecode(raw, cv2.IMREAD_COLOR) if len(raw) else None
        if bgr is None:
            raise InputUnreadable(f"{name} is no readable picture")
        return np.ascontiguousarray(bgr[:, :, ::-1])

    return Photos(list(places), size, read)
