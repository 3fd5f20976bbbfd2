"""Recognise the contents of a job folder, so that nothing else in it is ever used or removed."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from vidinv import fileio
from vidinv.jobs.request_files import kinds
from vidinv.media.writer import SEGMENT_SUFFIX

_FILES = (
    r"lock|published|job\.json|config\.yaml|report\.json|journal\.jsonl|aim\.json|codes\.safetensors",
    r"analysis-\d{7,}\.sealed|traces-\d+\.sealed|tuned\.(sealed|origin)",
    rf"(segment|preview)-\d{{5,}}{re.escape(SEGMENT_SUFFIX)}|evidence-\d{{5,}}\.npz",
    rf"made/({'|'.join(kinds())})/[^/]+",  # what is published
    rf"made/output/[^/]+/(\d{{6,}}\.png|frames\.json)|made/scratch/film{re.escape(SEGMENT_SUFFIX)}",
    r"made/scratch/unsigned(\.\w+)?",
    r"tuning/(\d+/)?(discriminator/)?((log\.jsonl|samples-\d+\.png|validation\.json|(best|gap)\.safetensors)"
    r"|checkpoint(\.new|\.old)?/(state\.json|(networks|average|optimisers)\.safetensors)"
    r"|tensorboard/events\.out\.[^/]+)",
)
_FOLDERS = (
    rf"made(/({'|'.join(kinds())}|scratch))?|made/output/[^/]+",
    r"tuning(/\d+)?(/discriminator)?(/checkpoint(\.new|\.old)?|/tensorboard)?",
)
_FILE, _FOLDER = (re.compile("|".join(each), re.DOTALL) for each in (_FILES, _FOLDERS))


@dataclass(frozen=True)
class FolderEntry:
    """A file or folder in a job folder: its path from there, whether a job makes such files, and its handle's folder.

    `folder` is the open folder that contains it, valid until the next entry is asked for.
    """

    path: str
    is_known: bool
    is_folder: bool
    folder: int

    @property
    def name(self) -> str:
        return os.path.basename(self.path)


def entries(handle: int) -> Iterator[FolderEntry]:
    """Yield everything in the open job folder `handle`, contents before their folder; links are not followed."""
    for root, folders, files, here in os.fwalk(".", topdown=False, dir_fd=handle):
        for name in (*files, *folders):
            try:
                mode = os.stat(name, dir_fd=here, follow_symlinks=False).st_mode
            except FileNotFoundError:  # the run that holds the folder has just removed it
                continue
            path = os.path.normpath(os.path.join(root, name))
            yield FolderEntry(path, _is_known(path, mode), stat.S_ISDIR(mode), here)


def _is_known(path: str, mode: int) -> bool:
    """Whether a job makes a file (or folder) of this path from its folder; links and devices are never known."""
    known = _FOLDER if stat.S_ISDIR(mode) else _FILE if stat.S_ISREG(mode) else None
    if known is None:
        return False
    folder, name = os.path.split(path)
    if fileio.is_draft(name):  # of any file or folder of the job
        return not folder or _FOLDER.fullmatch(folder) is not None
    return known.fullmatch(path) is not None or _is_in_draft(path)


def _is_in_draft(path: str) -> bool:
    """Whether a file belongs to a folder of pictures that is not complete."""
    parts = path.split("/")
    whole = "/".join("pictures" if fileio.is_draft(part) else part for part in parts)
    return parts[:2] == ["made", "output"] and len(parts) == 4 and _FILE.fullmatch(whole) is not None
