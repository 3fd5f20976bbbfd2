"""Read and write backend descriptions: small YAML files that name the generator, the encoder and the other parts.

Descriptions in `backends/` of the cache are found by name, other files by path. A path in a file is relative to that
file's folder.
"""

from __future__ import annotations

import os
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
NEUTRAL = {
    "mask": "square",
    "identity": "none",
    "guides": "perceptual",
    "measures": "none",
}  # for subjects other than faces


@dataclass(frozen=True)
class Description:
    """The parts of a backend by name, with the defaults of keys that a file leaves out.

    `mask: face`, an `identity`, `guides: faces` and `measures: faces` need faces with `alignment: ffhq`.
    """

    generator: str = ""  # registered, or imported by `vidinv weights import`
    encoder: str = "none"  # registered, imported, or a file of `vidinv train`; none: refine the mean code
    label: int = -1  # class number of a class-conditional generator; -1: no class, or any
    directions: tuple[str, ...] = ()  # names or files, added to those of the generator's space
    alignment: str = "ffhq"  # crop: by landmarks, a square around the box, or the stretched box
    margin: float = 1.0  # for center: side of the square, in longer sides of the box
    detection: str = "faces"  # how the subject is found; full: the whole frame
    boxes: str = ""  # file of boxes; --boxes of a run replaces it
    mask: str = "face"  # where an edit shows: the parsed face, or the crop with a soft edge
    parser: str = "bisenet"  # for mask face; bisenet or an imported parser
    identity: str = "faces"  # faces: ArcFace and LightCNN; an imported network and LightCNN; or none
    guides: str = "faces"  # refinement losses besides pixels: ArcFace and LPIPS, only LPIPS, or none
    measures: str = "faces"  # attributes of reports and of direction learning
    proxy: str = ""  # file of a distilled head; empty: the registered head, or the generator itself


def folder() -> Path:
    """The folder of the user's backends."""
    return places.root() / "backends"


def names() -> list[str]:
    """Names of the user's backends."""
    return sorted(path.stem for path in folder().glob("*.yaml"))


def path_of(name: str) -> Path:
    """The file of a backend name, or the path itself if `name` is one."""
    return Path(name) if name.endswith((".yaml", ".yml")) or "/" in name else folder() / f"{name}.yaml"


def read_description(name: str, built_in: Collection[str] = ()) -> Description:
    """Read the description of a name or a path, with its paths made absolute.

    Raises UsageError if there is none, it cannot be read, or a value is not one of the CHOICES.
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
    """Write a description under a name (or to a path) atomically, and return its path.

    Raises UsageError for an invalid name and an existing file, OutputUnwritable if it cannot be written.
    """
    path = path_of(name)
    if path.parent == folder() and not NAME.fullmatch(name):
        raise UsageError(f"{name!r} is not a valid backend name", remedy="use letters, digits, '.', '_' and '-'")
    if os.path.lexists(path) and not overwrite:
        raise UsageError(f"the backend {path} exists", remedy="give another name, or --overwrite")
    fileio.check_free(path, overwrite=overwrite)
    values = {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(description).items()}
    fileio.write_atomically(path, OmegaConf.to_yaml(OmegaConf.create(values)), overwrite=overwrite, parents=True)
    return path


def check_description(description: Description, where: str) -> None:
    """Raise UsageError for values that are invalid or exclude each other; the parts are not opened."""
    if not description.generator:
        raise UsageError(f"{where}: no generator is named", remedy="import one: vidinv weights import FILE --as NAME")
    for key, allowed in CHOICES.items():
        if getattr(description, key) not in allowed:
            raise UsageError(
                f"{where}: {key} {getattr(description, key)!r} is not known",
                remedy=f"choose one of {', '.join(allowed)}",
            )
    if not 0.1 <= description.margin <= 10:
        raise UsageError(
            f"{where}: margin {description.margin:g} is out of range", remedy="use a value from 0.1 to 10, such as 1.2"
        )
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
            f"{where}: {' and '.join(faces)} need alignment ffhq, not {description.alignment}",
            remedy=f"write {neutral}",
        )


def _absolute(description: Description, base: Path) -> Description:
    """The description with its relative paths resolved against `base`."""

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
