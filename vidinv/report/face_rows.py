"""Face rows: hold the measurements of one face on one frame, and convert them to JSON and to report columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from sys import intern
from typing import Any

from vidinv import fileio
from vidinv.frames import FaceMetrics, IdentitySimilarity, PictureValues

PICTURES = ("source", "inversion", "edit")


@dataclass(frozen=True)
class IdentityOverTime:
    """Cosine similarities in [-1,1] between a face's pictures and other frames of its track, by one network.

    `ic` compares with the same kind of picture of the track's first face (None on that face itself), `medoid` with the
    medoid of the source's faces.
    """

    ic: PictureValues = field(default_factory=PictureValues)
    medoid: PictureValues = field(default_factory=PictureValues)


@dataclass(frozen=True)
class FaceRow:
    """One face on one frame: the measurements of the stages, and those that need the whole clip."""

    frame: int
    track: int
    metrics: FaceMetrics
    head_yaw: float | None = None  # degrees, positive to the picture's right; from the analysis
    over_time: Mapping[str, IdentityOverTime] = field(default_factory=dict)  # by identity network

    def similarity(self, network: str) -> IdentitySimilarity:
        """The similarity to the source by a network; empty where it was not measured."""
        return self.metrics.similarity.get(network, IdentitySimilarity())

    def compared(self, network: str) -> IdentityOverTime:
        """The similarity to other frames by a network; empty where it was not measured."""
        return self.over_time.get(network, IdentityOverTime())


@dataclass(frozen=True)
class FaceView:
    """The size and pose of a person's face on one frame, whether or not it is edited."""

    frame: int
    face_px: float  # side of the aligned crop, in pixels of the frame
    head_yaw: float | None = None  # degrees, positive to the picture's right; None without landmarks


def to_row(face: FaceRow) -> dict[str, Any]:
    """A face's frame, track and metrics as JSON values, without unmeasured fields; `from_row` reads them back.

    The measurements that need the whole clip (`head_yaw`, `over_time`) are not included.
    """
    found: dict[str, Any] = {"frame": face.frame, "track": face.track}
    for name, value in _measured(face.metrics).items():
        is_mapping = name in ("similarity", "attributes")
        found[name] = {key: _measured(each) for key, each in value.items()} if is_mapping else value
    return found


def from_row(row: Mapping[str, Any]) -> FaceRow:
    """Read the face that `to_row` wrote. Raises TypeError, KeyError, AttributeError or BadJson for another form."""
    metrics = dict(row)
    frame, track = metrics.pop("frame"), metrics.pop("track")
    if type(frame) is not int or type(track) is not int:
        raise TypeError(f"a face of frame {frame!r} and track {track!r}")
    for name in ("similarity", "attributes"):
        if name in metrics:
            metrics[name] = {intern(key): values for key, values in metrics[name].items()}
    return FaceRow(frame, track, fileio.record_of(FaceMetrics, metrics))


def to_columns(face: FaceRow) -> dict[str, Any]:
    """The face as entries of the report's `per_frame` columns (vidinv/assets/report.schema.json), by column name.

    Unmeasured entries are left out. The columns `confidence` and `cover` hold the faded values, which correspond to
    what a viewer sees.
    """
    metrics = face.metrics
    found: dict[str, Any] = {
        "face_px": metrics.face_px,
        "cover": metrics.shown_cover,
        "occluded": metrics.occluded,
        "residual": metrics.residual,
        "confidence": metrics.faded_confidence,
        "trust": metrics.trust,
        "rect": None if metrics.rect is None else list(metrics.rect),
    }
    for network, similarity in metrics.similarity.items():
        found |= {f"{network}_{picture}": value for picture, value in _measured(similarity).items()}
    found["sharpness"] = metrics.sharpness
    for name, values in metrics.attributes.items():
        found |= {f"{name}_{picture}": value for picture, value in _measured(values).items()}
    for name in ("hidden", "mask_area", "psnr", "ssim", "lpips", "flicker_inversion", "flicker_edit"):
        found[name] = getattr(metrics, name)
    found["head_yaw"] = face.head_yaw
    for network, over_time in face.over_time.items():
        found |= {f"{network}_medoid_{picture}": value for picture, value in _measured(over_time.medoid).items()}
        found |= {f"{network}_ic_{picture}": value for picture, value in _measured(over_time.ic).items()}
    return {name: value for name, value in found.items() if value is not None}


def _measured(values: Any) -> dict[str, Any]:
    """The fields of a dataclass that hold a measurement: neither None nor an empty mapping."""
    found = {each.name: getattr(values, each.name) for each in fields(values)}
    return {name: value for name, value in found.items() if value is not None and value != {}}
