"""Read the log of a training, from one file or from one file per stage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the log lines of the training in `folder`.

    The stages of a growing training are concatenated and `images` counts on across them. The trainings of new blocks
    alone are left out.
    """
    lines: list[dict[str, Any]] = []
    for part in sorted(folder.glob("stage-????/log.jsonl")) or [folder / "log.jsonl"]:
        before = lines[-1]["images"] if lines else 0
        for text in part.read_text().splitlines():
            line = json.loads(text)
            lines.append(line | {"images": before + line["images"]})
    return lines
