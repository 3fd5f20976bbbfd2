"""Training pace: average the speed reports in a training's log: images per second, and milliseconds of each part."""

from __future__ import annotations

from typing import Any

from vidinv.trainers.core.throughput import PARTS as ALL

PARTS = ALL[: ALL.index("keep")]  # in a short training, sample grids and checkpoints take an untypical share


def mean_pace(ends: list[int], paces: list[dict[str, Any]], batch: int) -> dict[str, Any]:
    """Average several reports into one: each covers the turns since the one before it, up to a turn of `ends`.

    Reports are weighted by the turns that they cover; a turn sees `batch` images.
    """
    turns = ends[-1]
    shares = [(end - before) / turns for before, end in zip([0, *ends], ends, strict=False)]
    found: dict[str, Any] = {"turns": turns, "batch": batch}
    for kind in ("ms", "cpu_ms"):
        found[kind] = {
            part: round(sum(share * pace[kind][part] for share, pace in zip(shares, paces, strict=True)), 2)
            for part in PARTS
        }
    found["images_per_s"] = round(1e3 * batch / sum(found["ms"].values()), 3)
    found["images_per_cpu_s"] = round(1e3 * batch / sum(found["cpu_ms"].values()), 3)
    return found
