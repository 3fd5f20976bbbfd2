"""A folder of aligned photos as training data: read when drawn; unreadable files are named, counted and passed over."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vidinv.errors import InputUnreadable
from vidinv.faces import pictures
from vidinv.frames import Array
from vidinv.generators.ops import resize


@dataclass
class Photos:
    """Pictures, square and FFHQ-aligned (for faces); `bad` collects what could not be read.

    `read` gives the pixels [H,W,3] uint8 of one of `files`, or raises InputUnreadable.
    """

    files: list[Path]
    size: int
    read: Callable[[Path], Array] = pictures.read_rgb
    bad: set[Path] = field(default_factory=set)

    def draw(self, count: int, seed: int) -> Tensor:
        """`count` pictures [count,3,size,size] in [-1,1], chosen by `seed`, half of them mirrored."""
        random = torch.Generator().manual_seed(seed)
        found: list[Tensor] = []
        while len(found) < count:
            if len(self.bad) == len(self.files):
                raise InputUnreadable(f"none of the {len(self.files)} photos can be read", remedy="see the warnings")
            path = self.files[int(torch.randint(len(self.files), (1,), generator=random))]
            mirrored = bool(torch.rand(1, generator=random) < 0.5)
            picture = self.picture(path)
            if picture is not None:
                found.append(picture.flip(3) if mirrored else picture)
        return torch.cat(found)

    def picture(self, path: Path) -> Tensor | None:
        """One of the pictures [1,3,size,size] in [-1,1]; None where it cannot be used, which is said once."""
        if path in self.bad:
            return None
        try:
            rgb = self.read(path)  # [H,W,3]
        except InputUnreadable:
            self._refuse(path, "not a readable picture")
            return None
        if rgb.shape[0] != rgb.shape[1]:
            self._refuse(path, f"{rgb.shape[1]}x{rgb.shape[0]} is not square, so not aligned")
            return None
        image = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 127.5 - 1  # HWC -> 1CHW
        return resize(image, self.size)

    def _refuse(self, path: Path, why: str) -> None:
        self.bad.add(path)
        warnings.warn(f"{path} is passed over: {why} ({len(self.bad)} of {len(self.files)} so far)", stacklevel=4)


def open_photos(folder: Path, size: int) -> Photos:
    """The pictures in `folder` and the folders inside it. Raises InputUnreadable where there are none."""
    if not folder.is_dir():
        raise InputUnreadable(f"{folder} is not a folder", remedy="give photos=FOLDER of aligned faces")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in pictures.PICTURES)
    if not files:
        raise InputUnreadable(f"no picture in {folder}", remedy="give a folder of aligned faces, .jpg or .png")
    return Photos(files, size)


def decoded(raw: bytes, name: Path) -> Array:
    """The pixels [H,W,3] uint8, RGB, of an encoded picture; InputUnreadable, which names it, where it is none."""
    bgr = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_COLOR) if raw else None
    if bgr is None:
        raise InputUnreadable(f"{name} is no readable picture")
    return np.ascontiguousarray(bgr[:, :, ::-1])
