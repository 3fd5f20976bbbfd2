"""List the files of a request: what is checked before the work, published at its end, and cleaned up after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path

from vidinv.errors import UsageError
from vidinv.media import photo


@dataclass(frozen=True)
class RequestFiles:
    """Every file that a request writes, in the order in which they are published; None: not written.

    A new file of a request becomes a field here. `output` may be a folder of pictures.
    """

    output: Path | None = None
    preview: Path | None = None
    page: Path | None = None
    report: Path | None = None
    codes: Path | None = None

    def by_kind(self) -> dict[str, Path]:
        """The files that are written, by the name of their field."""
        return {kind: path for kind in kinds() if (path := getattr(self, kind)) is not None}

    def paths(self) -> list[Path]:
        """The files that are written."""
        return list(self.by_kind().values())

    def drafts(self, folder: Path) -> RequestFiles:
        """The same files as they are made in `folder`, where each kind has a folder of its own."""
        return RequestFiles(**{kind: folder / kind / path.name for kind, path in self.by_kind().items()})

    def with_drafts(self, drafts: RequestFiles) -> Iterator[tuple[Path, Path]]:
        """The pairs of a draft and its file."""
        found = drafts.by_kind()
        return ((found[kind], path) for kind, path in self.by_kind().items())


def kinds() -> tuple[str, ...]:
    """The kinds of files of a request."""
    return tuple(field.name for field in fields(RequestFiles))


def check_distinct(files: list[Path]) -> None:
    """Raise UsageError if two of the files that a job writes have the same path."""
    places = [path.absolute() for path in files]
    for path in places:
        if places.count(path) > 1:
            raise UsageError(f"{path.name} would be written twice", remedy="choose another -o, --codes or --render")


def preview_path(output: Path) -> Path:
    """The path of the side-by-side preview of `output`: a video, or a picture for a picture."""
    return output.with_name(output.name + (".preview.png" if photo.is_photo(output) else ".preview.mp4"))


def page_path(output: Path) -> Path:
    """The path of the report page of `output`."""
    return output.with_name(output.name + ".report.html")


def missed_path(output: Path) -> Path:
    """The path of `output` if its gate is missed."""
    return output.with_name(
        f"{output.stem}.gate-missed{output.suffix}" if output.suffix else f"{output.name}-gate-missed"
    )


def sidecar_path(output: Path) -> Path:
    """The path of the JSON report of `output`."""
    return output.with_name(output.name + ".json")
