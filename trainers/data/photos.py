"""Read aligned photos from a folder as training data; unreadable files are skipped with a warning and a count."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from vidinv.errors import InputUnreadable
from vidinv.faces import pictures
from vidinv.frames import Array
from vidinv.generators.ops import resize
from vidinv.media.picture_file import read_rgb
from vidinv.trainers.data.keyed_dataset import ImageDataset
from vidinv.trainers.data.step_sampler import SampleKey


@dataclass(eq=False)
class Photos(ImageDataset):
    """Pictures, square and FFHQ-aligned (for faces), half of them mirrored.

    `read` returns the pixels [H,W,3] uint8 of one of `files`, or raises InputUnreadable. All worker processes share the
    flags of unusable files, so that each file is warned of once.
    """

    files: list[Path]
    size: int
    read: Callable[[Path], Array] = read_rgb
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
        """Return the picture [3,size,size] in [-1,1] of a key; a random other one if its file cannot be used.

        Raises InputUnreadable if no file can be used.
        """
        random, place = key.generator(), key.entry
        mirrored = bool(torch.rand((), generator=random) < 0.5)
        while (picture := self.picture(place)) is None:
            if bool(self.refused.all()):
                raise InputUnreadable(f"none of the {len(self.files)} photos can be read", remedy="see the warnings")
            place = int(torch.randint(len(self.files), (), generator=random))
        return picture[0].flip(2) if mirrored else picture[0]

    def picture(self, place: int) -> Tensor | None:
        """Return the picture [1,3,size,size] in [-1,1] of a file; None, with one warning, if it cannot be used."""
        path = self.files[place]
        if self.refused[place]:
            return None
        try:
            rgb = self.read(path)  # [H,W,3]
        except InputUnreadable:
            self._refuse(place, "not a readable picture")
            return None
        if rgb.shape[0] != rgb.shape[1]:
            self._refuse(place, f"{rgb.shape[1]}x{rgb.shape[0]} is not square, so it is not aligned")
            return None
        image = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 127.5 - 1  # HWC -> 1CHW
        return resize(image, self.size)

    def _refuse(self, place: int, why: str) -> None:
        self.refused[place] = True
        count = f"{int(self.refused.sum())} of {len(self.files)} so far"
        warnings.warn(f"{self.files[place]} is skipped: {why} ({count})", stacklevel=4)


def open_photos(folder: Path, size: int) -> Photos:
    """Open the pictures in `folder` and its subfolders. Raises InputUnreadable if there are none."""
    if not folder.is_dir():
        raise InputUnreadable(f"{folder} is not a folder", remedy="give photos=FOLDER of aligned faces")
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in pictures.PICTURES)
    if not files:
        raise InputUnreadable(f"no picture in {folder}", remedy="give a folder of aligned faces, .jpg or .png")
    return Photos(files, size)
