"""Read the log of a training: one file, or one for each of its stages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_log(folder: Path) -> list[dict[str, Any]]:
    """The lines of the log of a training in `folder`.

    The stages of a growing training follow each other, and their images are counted on. What a new block learns alone,
    before its stage, is left out.
    """
    lines: list[dict[str, Any]] = []
    for part in sorted(folder.glob("stage-????/log.jsonl")) or [folder / "log.jsonl"]:
        before = lines[-1]["images"] if lines else 0
        for text in part.read_text().splitlines():
            line = json.loads(text)
            lines.append(line | {"images": before + line["images"]})
    return lines
