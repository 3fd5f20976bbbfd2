"""Refuse a picture where a video is meant and the other way round, in one line that names the right command."""

from __future__ import annotations

import shlex
from pathlib import Path

from vidinv.errors import UsageError, VidinvError


def refuse_picture(source: Path) -> None:
    """Raise UsageError if the file is a still picture, which `vidinv edit` takes."""
    from vidinv.media import picture_file

    if picture_file.is_still(source):
        raise UsageError(
            f"{source} is a picture", remedy=f"edit it with: vidinv edit {shlex.quote(str(source))} --edit age+2"
        )


def refuse_video(source: Path, instead: str) -> None:
    """Raise UsageError if the file is a video or an animation; `instead` says what to do, with {source}."""
    from vidinv.media import picture_file
    from vidinv.media.probe import probe

    if not source.is_file() or picture_file.is_still(source):
        return
    try:
        probe(source)
    except (VidinvError, OSError):
        return  # neither a picture nor a video: the reader of pictures says what is wrong
    raise UsageError(f"{source} is a video", remedy=instead.format(source=shlex.quote(str(source))))
