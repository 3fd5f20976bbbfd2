"""A backend in a small YAML file: the generator, the encoder and the other parts that a user put together, by name.

The user's own lie in `backends/` of the cache, found by name; any other file by its path. A path in a file is
relative to that file's folder.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from omegaconf import OmegaConf

from vidinv import config_loading, fileio
from vidinv.errors import UsageError
from vidinv.faces import framing
from vidinv.weights import places

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
CHOICES = {
    "alignment": framing.NAMES,
    "detection": ("faces", "boxes", "full"),
    "mask": ("face", "square", "ellipse"),
    "guides": ("faces", "perceptual", "pixels"),
    "measures": ("faces", "none"),
}
NEUTRAL = {"mask": "square", "identity": "none", "guides": "perceptual", "measures": "none"}  # of what is no face


@dataclass(frozen=True)
class Description:
    """The parts of a backend by name: what a file says, and what a key that it leaves out means.

    `mask` face, an `identity`, `guides` and `measures` faces read faces that lie as `ffhq` lays them.
    """

    generator: str = ""  # registered, or imported by `vidinv weights import`
    encoder: str = "none"  # registered, imported, or a file of `vidinv train`; none: the mean, refined
    label: int = -1  # the class, by its number, that is shown; -1: none, or none in particular
    directions: tuple[str, ...] = ()  # names or files, beside those of the generator's space that are at hand
    alignment: str = "ffhq"  # where the crop lies: by landmarks, a square round the box, or the box stretched
    margin: float = 1.0  # of center: the square's side in longer sides of the box
    detection: str = "faces"  # what finds what is edited; full is the whole frame
    boxes: str = ""  # a file of boxes, beside the one that a run names
    mask: str = "face"  # where an edit shows: the parsed face, or the crop within a soft edge
    parser: str = "bisenet"  # of mask face; or an imported one
    identity: str = "faces"  # who says that it is still the same: ArcFace, or one that was imported, and LightCNN; none
    guides: str = "faces"  # of refinement beside the pixels: ArcFace and LPIPS, LPIPS, nothing
    measures: str = "faces"  # of age and all else that a report and a lesson measure
    proxy: str = ""  # a distilled head's file; without one, and none registered, the generator itself


def folder() -> Path:
    """Where the user's backends lie."""
    return places.root() / "backends"


def names() -> list[str]:
    """The user's backends that are found by name."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def path_of(name: str) -> Path:
    """The file of a name, or the path that it is."""
    return Path(name) if name.endswith((".yaml", ".yml")) or "/" in name else folder() / f"{name}.yaml"


def read_description(name: str, built_in: Collection[str] = ()) -> Description:
    """The description of that name or at that path, its paths absolute.

    Raises UsageError where there is none, and for what cannot be read or is not one of the CHOICES.
    """
    path = path_of(name)
    if not path.is_file():
        known = ", ".join([*built_in, *names()])
        raise UsageError(
            f"unknown backend {name!r}", remedy=f"choose one of {known}, or make it: vidinv backend create"
        )
    found = config_loading.load_dataclass(Description, "backend", str(path.absolute()))
    check_description(found, str(path))
    return _absolute(found, path.absolute().parent)


def write_description(name: str, description: Description, *, overwrite: bool = False) -> Path:
    """Keep a description under a name (or at a path), whole or not at all; returns where.

    Raises UsageError for a name that cannot be, OutputUnwritable.
    """
    path = path_of(name)
    if path.parent == folder() and not NAME.fullmatch(name):
        raise UsageError(f"a backend cannot be called {name!r}", remedy="write letters, digits, . _ - alone")
    if path.exists() and not overwrite:
        raise UsageError(f"there is a backend {path}", remedy="give another name, or --overwrite")
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(description).items()}
    fileio.write_atomically(path, OmegaConf.to_yaml(OmegaConf.create(values)), parents=True)
    return path


def check_description(description: Description, where: str) -> None:
    """Raise UsageError for what cannot be, whatever the parts are."""
    if not description.generator:
        raise UsageError(f"{where}: no generator", remedy="name one: vidinv weights import FILE --as NAME")
    for key, allowed in CHOICES.items():
        if getattr(description, key) not in allowed:
            raise UsageError(
                f"{where}: {key} {getattr(description, key)!r} is not known",
                remedy=f"choose one of {', '.join(allowed)}",
            )
    if not 0.1 <= description.margin <= 10:
        raise UsageError(f"{where}: margin {description.margin:g} cannot be", remedy="give 0.1 to 10, such as 1.2")
    if description.alignment == "ffhq" and description.detection == "full":
        raise UsageError(
            f"{where}: alignment ffhq needs a face's landmarks, which detection full does not give",
            remedy="choose alignment center or none, or detection faces",
        )
    faces = [key for key in NEUTRAL if getattr(description, key) in ("face", "faces")]
    faces += ["identity"] if description.identity not in ("faces", NEUTRAL["identity"]) else []
    if description.alignment != "ffhq" and faces:
        neutral = ", ".join(f"{key}: {NEUTRAL[key]}" for key in faces)
        raise UsageError(
            f"{where}: {' and '.join(faces)} read faces aligned by ffhq, not by {description.alignment}",
            remedy=f"write {neutral}",
        )


def _absolute(description: Description, base: Path) -> Description:
    """The description with its files' paths absolute, as they lie from `base`."""

    def place(value: str) -> str:
        return str(base / Path(value).expanduser()) if value else value

    return replace(
        description,
        encoder=place(description.encoder) if is_file(description.encoder) else description.encoder,
        directions=tuple(place(entry) if is_file(entry) else entry for entry in description.directions),
        boxes=place(description.boxes),
        proxy=place(description.proxy),
    )


def is_file(part: str) -> bool:
    """Whether an encoder or a direction is named by its file."""
    return part.endswith(".safetensors") or "/" in part
