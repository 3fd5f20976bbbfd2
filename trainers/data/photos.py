"""A folder of aligned photos as training data: read when asked; unreadable files are named, counted and passed over."""

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
from vidinv.trainers.data.keyed_dataset import ImageDataset
from vidinv.trainers.data.step_sampler import SampleKey


@dataclass(eq=False)
class Photos(ImageDataset):
    """Pictures, square and FFHQ-aligned (for faces), half of them mirrored.

    `read` gives the pixels [H,W,3] uint8 of one of `files`, or raises InputUnreadable. Which files could not be used is
    known to all worker processes, so that each is named once.
    """

    files: list[Path]
    size: int
    read: Callable[[Path], Array] = pictures.read_rgb
    refused: Tensor = field(init=False)  # [files] of bool, in shared memory

    def __post_init__(self) -> None:
        self.refused = torch.zeros(len(self.files), dtype=torch.bool).share_memory_()

    @property
    def decodes(self) -> bool:
        return True

    @property
    def length(self) -> int:
        return len(self.files)

    @property
    def bad(self) -> set[Path]:
        """The files that could not be used so far."""
        return {self.files[place] for place in self.refused.nonzero()[:, 0].tolist()}

    def __getitem__(self, key: SampleKey) -> Tensor:
        """The picture [3,size,size] in [-1,1] of a key; where its file cannot be used, another one of its choosing.

        Raises InputUnreadable where no file can be used.
        """
        random, place = key.generator(), key.entry
        mirrored = bool(torch.rand((), generator=random) < 0.5)
        while (picture := self.picture(place)) is None:
            if bool(self.refused.all()):
                raise InputUnreadable(f"none of the {len(self.files)} photos can be read", remedy="see the warnings")
            place = int(torch.randint(len(self.files), (), generator=random))
        return picture[0].flip(2) if mirrored else picture[0]

    def picture(self, place: int) -> Tensor | None:
        """The picture [1,3,size,size] in [-1,1] of a file; None where it cannot be used, which is warned of once."""
        path = self.files[place]
        if self.refused[place]:
            return None
        try:
            rgb = self.read(path)  # [H,W,3]
        except InputUnreadable:
            self._refuse(place, "not a readable picture")
            return None
        if rgb.shape[0] != rgb.shape[1]:
            self._refuse(place, f"{rgb.shape[1]}x{rgb.shape[0]} is not square, so not aligned")
            return None
        image = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 127.5 - 1  # HWC -> 1CHW
        return resize(image, self.size)

    def _refuse(self, place: int, why: str) -> None:
        self.refused[place] = True
        count = f"{int(self.refused.sum())} of {len(self.files)} so far"
        warnings.warn(f"{self.files[place]} is passed over: {why} ({count})", stacklevel=4)


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
