"""Codes: store the latent and feature codes of a clip in a file, or read them back instead of encoding again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from vidinv import fileio, fingerprint
from vidinv.backends.interface import Backend
from vidinv.config import RunConfig
from vidinv.editing import refine
from vidinv.encoders.code_file import CodeOrigin, CodeReader, CodeRows, CodeWriter
from vidinv.engines.transfer import to_device
from vidinv.errors import UsageError
from vidinv.faces.crops import rescale
from vidinv.frames import Track, Work, concatenate
from vidinv.stages.graph import Stage
from vidinv.trainers.feature_style import config as feature_style_config
from vidinv.weights import catalog


def origin(config: RunConfig, backend: Backend, source_digest: str, encoder: str) -> CodeOrigin:
    """What the codes of this run are made from and how: the settings that decide codes, and the networks.

    The rest of the configuration may change between edits. `encoder` is the digest of the user's own, empty with the
    backend's.
    """
    deciding = fingerprint.deciding(config, fingerprint.CODES) | {"descent": asdict(refine.Settings())}
    tuning = deciding.pop("tuning")
    if config.tune == "encoder":
        deciding["tuning"] = tuning | {
            "recipe": asdict(feature_style_config.for_clip(config.tuning, feature_branch=True))
        }
    settings = _flat(deciding)
    settings |= {f"weights.{name}": catalog.CATALOG[name].archive_sha256 for name in backend.needs}
    settings |= {"encoder": encoder} if encoder else {}
    settings |= {f"shipped.{path.stem}": fileio.content_sha256(path) for path in backend.shipped}
    settings |= {f"brought.{part.name}": part.sha256 for part in backend.brought}
    return CodeOrigin(source_digest, settings)


def encoder_digest(config: RunConfig) -> str:
    """The sha256 of the user's own encoder file; empty with the shipped one."""
    return fileio.content_sha256(Path(config.encoder)) if config.encoder else ""


def rows(tracks: tuple[Track, ...], size: int) -> CodeRows:
    """One row per face of `tracks`, in order of frame and track, with its transform for crops of `size` pixels."""
    found = [
        (int(frame), track.id, rescale(track.to_frame[k], track.crop, size))
        for track in tracks
        for k, frame in enumerate(track.frames)
    ]
    frames, ids, maps = zip(*sorted(found, key=lambda face: face[:2]), strict=True)
    return CodeRows(np.array(frames, np.int64), np.array(ids, np.int64), np.stack(maps), size)


@dataclass(frozen=True)
class Codes:
    """The stored codes of a job: `known` where they are read from a file, else they are written to `path`."""

    path: Path
    origin: CodeOrigin
    known: CodeReader | None

    def can_go_on(self) -> bool:
        """Whether the codes of the finished segments still exist, so that the job can resume."""
        return self.known is not None or self.path.exists()


def is_due(codes: Codes | None) -> bool:
    """Whether the faces still need to be inverted."""
    return codes is None or codes.known is None


def open_codes(path: Path, made: CodeOrigin, backend: Backend) -> CodeReader:
    """Open the codes at `path` and check every row.

    Raises InputUnreadable for a damaged file and for codes of another latent space than the backend's, UsageError where
    their source or settings differ from `made`.
    """
    reader = CodeReader(path)
    different = reader.origin.differs_from(made)
    if different is not None:
        raise UsageError(
            f"the codes in {path} {different}", remedy="give other codes with --codes, or the same setting"
        )
    reader.check_space(backend.space, backend.slots, backend.dim)
    reader.check_all()
    return reader


def check_faces(reader: CodeReader, wanted: CodeRows) -> None:
    """Raise UsageError where a face of the analysis has no stored code, or one with a different crop transform."""
    places = [reader.row_of.get((int(f), int(t))) for f, t in zip(wanted.frame, wanted.track, strict=True)]
    known = [place for place in places if place is not None]
    if len(known) < len(places) or not np.allclose(reader.rows.to_frame[known], wanted.to_frame, atol=1e-3):
        raise UsageError(
            f"the codes in {reader.path} belong to other faces than those found in this video",
            remedy="give the codes of this video with --codes",
        )


def build_store_stage(codes: Codes, rows_of: CodeRows) -> Stage:
    """A stage that writes the `codes` of each Work to the file, and yields them as the file returns them.

    The stored precision is lower than that of the encoder, so a later run from the file draws the same pictures.
    """

    def store(works: Iterator[Work]) -> Iterator[Work]:
        writer: CodeWriter | None = None
        try:
            for work in works:
                if work.codes is None or work.faces is None:
                    yield work
                    continue
                if writer is None:  # the first codes give the shapes
                    writer = CodeWriter(codes.path, rows_of, work.codes, codes.origin)
                stored = [writer.put(*which, work.codes[n : n + 1]) for n, which in enumerate(_faces(work))]
                writer.sync()  # before the journal says that these frames are done
                yield replace(work, codes=concatenate(stored))
        finally:
            if writer is not None:
                writer.close()

    return store


def build_replay_stage(reader: CodeReader, device: str) -> Stage:
    """A stage that adds `codes` from the file to each Work with faces, on `device`."""

    def read(works: Iterator[Work]) -> Iterator[Work]:
        for work in works:
            if work.faces is None:
                yield work
                continue
            codes = concatenate([reader.get(*which) for which in _faces(work)])
            assert codes.feature is not None
            ws, feature = to_device(codes.ws, device), to_device(codes.feature, device)
            yield replace(work, codes=replace(codes, ws=ws, feature=feature))

    return read


def _faces(work: Work) -> list[tuple[int, int]]:
    """(frame index, track) of each face of a Work."""
    assert work.faces is not None
    pairs = zip(work.faces.frame.tolist(), work.faces.track.tolist(), strict=True)
    return [(work.frames.index[position], track) for position, track in pairs]


def _flat(group: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in group.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return found
