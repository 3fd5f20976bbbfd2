"""Log a training: progress bar, lines of JSON, TensorBoard scalars and sample grids."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from vidinv.media import picture
from vidinv.progress import Progress, ProgressBar, SilentProgress
from vidinv.trainers.core.throughput import Report


class Log:
    """Context manager that logs a training from `seen` images on; it does nothing unless `enabled`.

    It reports to `progress`; with None it opens a bar of its own.
    """

    def __init__(self, folder: Path, images: int, seen: int, progress: Progress | None, *, enabled: bool) -> None:
        self.folder, self.images, self.seen, self.enabled = folder, images, seen, enabled
        self.bar = ProgressBar(unit="images") if progress is None and enabled else None
        self.progress = progress or self.bar or SilentProgress()

    def __enter__(self) -> Log:
        if self.enabled:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.board = SummaryWriter(str(self.folder / "tensorboard"))
            self.progress.phase("training", self.images, self.seen)
        return self

    def __exit__(self, *_: object) -> None:
        if self.enabled:
            if self.bar is not None:
                self.bar.close()
            self.board.close()

    def advance(self, images: int) -> None:
        """Advance the progress by `images`."""
        if self.enabled:
            self.progress.advance(images)

    def write(self, turn: int, seen: int, parts: dict[str, float], pace: Report) -> None:
        """Write one line to `log.jsonl` and the same scalars to TensorBoard, at `seen` images."""
        if not self.enabled:
            return
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"turn": turn, "images": seen, **parts, "pace": asdict(pace)}) + "\n")
        for name, value in {**parts, "images_per_s": pace.images_per_s}.items():
            self.board.add_scalar(name, value, seen)

    def picture(self, seen: int, image: Tensor) -> None:
        """Write a sample grid [3,H,W] in [-1,1] to `samples-IMAGES.png` and to TensorBoard."""
        if not self.enabled:
            return
        self.board.add_image("samples", (image.cpu().clamp(-1, 1) + 1) / 2, seen)
        picture.write_picture(self.folder / f"samples-{seen:08d}.png", image)
