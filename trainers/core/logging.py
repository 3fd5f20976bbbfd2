"""What a training shows: a bar with rate and time left, lines of JSON, TensorBoard scalars and sample grids."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from vidinv.trainers.core.throughput import Report

from vidinv.media import picture


class Shown(Protocol):
    """How far a training is, for people to see."""

    def begin(self, images: int, seen: int) -> None: ...

    def advance(self, images: int) -> None: ...

    def end(self) -> None: ...


class TrainingBar:
    """A bar of its own on the terminal."""

    def begin(self, images: int, seen: int) -> None:
        speed = TextColumn("{task.fields[speed]}")
        self.bar = Progress(TextColumn("training"), BarColumn(), MofNCompleteColumn(), speed, TimeRemainingColumn())
        self.task = self.bar.add_task("training", total=images, completed=seen, speed="")
        self.bar.start()

    def advance(self, images: int) -> None:
        self.bar.advance(self.task, images)
        rate = self.bar.tasks[self.task].speed
        self.bar.update(self.task, speed="" if rate is None else f"{rate:.1f} images/s")

    def end(self) -> None:
        self.bar.stop()


class Log:
    """Context manager from `seen` images on; a process that is not `enabled` stays silent."""

    def __init__(self, folder: Path, images: int, seen: int, shown: Shown, *, enabled: bool) -> None:
        self.folder, self.images, self.seen, self.shown, self.enabled = folder, images, seen, shown, enabled

    def __enter__(self) -> Log:
        if self.enabled:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.board = SummaryWriter(str(self.folder / "tensorboard"))
            self.shown.begin(self.images, self.seen)
        return self

    def __exit__(self, *_: object) -> None:
        if self.enabled:
            self.shown.end()
            self.board.close()

    def advance(self, images: int) -> None:
        """`images` more were seen."""
        if self.enabled:
            self.shown.advance(images)

    def write(self, turn: int, seen: int, parts: dict[str, float], pace: Report) -> None:
        """One line in `log.jsonl` and the same scalars for TensorBoard, by images seen."""
        if not self.enabled:
            return
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"turn": turn, "images": seen, **parts, "pace": asdict(pace)}) + "\n")
        for name, value in {**parts, "images_per_s": pace.images_per_s}.items():
            self.board.add_scalar(name, value, seen)

    def picture(self, seen: int, image: Tensor) -> None:
        """A sample grid [3,H,W] in [-1,1], as `samples-IMAGES.png` and for TensorBoard."""
        if not self.enabled:
            return
        self.board.add_image("samples", (image.cpu().clamp(-1, 1) + 1) / 2, seen)
        picture.write_picture(self.folder / f"samples-{seen:08d}.png", image)
