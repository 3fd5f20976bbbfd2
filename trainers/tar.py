"""A WebDataset: the pictures of one tar, found once and read in place; unreadable ones are named and passed over."""

from __future__ import annotations

import tarfile
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from vidinv.errors import InputUnreadable
from vidinv.faces import pictures
from vidinv.generators.ops import resize


@dataclass
class Tar:
    """`members` are name, first byte and length of every picture in `path`; `bad` the names of what is none."""

    path: Path
    members: list[tuple[str, int, int]]
    size: int
    bad: set[str] = field(default_factory=set)

    def draw(self, count: int, seed: int) -> Tensor:
        """`count` pictures [count,3,size,size] in [-1,1], chosen by `seed`, half of them mirrored."""
        random = torch.Generator().manual_seed(seed)
        found: list[Tensor] = []
        while len(found) < count:
            if len(self.bad) == len(self.members):
                raise InputUnreadable(f"none of the {len(self.members)} pictures in {self.path} can be read")
            place = int(torch.randint(len(self.members), (1,), generator=random))
            mirrored = bool(torch.rand(1, generator=random) < 0.5)
            picture = self.picture(place)
            if picture is not None:
                found.append(picture.flip(3) if mirrored else picture)
        return torch.cat(found)

    def picture(self, place: int) -> Tensor | None:
        """One of the pictures [1,3,size,size] in [-1,1]; None where it cannot be used, which is said once."""
        name, first, length = self.members[place]
        if name in self.bad:
            return None
        with self.path.open("rb") as stream:
            stream.seek(first)
            raw = np.frombuffer(stream.read(length), np.uint8)
        bgr = cv2.imdecode(raw, cv2.IMREAD_COLOR) if len(raw) else None
        if bgr is None or bgr.shape[0] != bgr.shape[1]:
            self.bad.add(name)
            why = "not a readable picture" if bgr is None else f"{bgr.shape[1]}x{bgr.shape[0]} is not square"
            warnings.warn(f"{name} in {self.path} is passed over: {why}", stacklevel=3)
            return None
        rgb = torch.from_numpy(np.ascontiguousarray(bgr[:, :, ::-1])).permute(2, 0, 1)  # HWC -> CHW
        return resize(rgb[None].float() / 127.5 - 1, self.size)


def open_tar(path: Path, size: int) -> Tar:
    """The pictures of a tar. Raises InputUnreadable for what is none, and where there are no pictures in it."""
    try:
        with tarfile.open(path, "r:") as archive:
            members = [
                (member.name, member.offset_data, member.size)
                for member in archive
                if member.isfile() and Path(member.name).suffix.lower() in pictures.PICTURES
            ]
    except (OSError, tarfile.TarError) as error:
        raise InputUnreadable(f"{path} is no tar: {error}", remedy="give one that is not compressed") from error
    if not members:
        raise InputUnreadable(f"no picture in {path}", remedy="give a tar of square pictures, .jpg or .png")
    return Tar(path, members, size)
