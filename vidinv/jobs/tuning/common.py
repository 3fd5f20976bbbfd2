"""Shared parts of tuning to a clip: key faces, the digest of a tuning, and its storage in job folder and cache."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError

from vidinv import fileio, fingerprint
from vidinv.backends.interface import Backend
from vidinv.config import RunConfig
from vidinv.errors import OutputUnwritable
from vidinv.faces import crops, edit_confidence
from vidinv.frames import Analysis, Track
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.tuning import key_faces
from vidinv.jobs.tuning.key_faces import Candidate
from vidinv.stages.codes import encoder_digest
from vidinv.weights import catalog, places

if TYPE_CHECKING:
    from vidinv.trainers.core.early_stopping import Tuned

CANDIDATES_PER_FACE = 2  # candidates per face that is learned from
CACHED_TUNINGS = 4  # tunings in the cache; the least recently used one is deleted
TUNING_FILE = "tuned.sealed"  # in the job folder


@dataclass(frozen=True)
class TuningClip:
    """The clip of a tuning: the frames start <= i < stop of `span` of a source whose sha256 is `content`."""

    source: Path
    content: str
    analysis: Analysis
    span: tuple[int, int]
    stream: int | None = None  # number of its video stream; None: chosen

    def wanted(self, count: int, size: int) -> crops.WantedCrops:
        """The candidates for `count` key and held-out faces, with transforms for crops of `size` pixels."""
        return spread_faces(self.analysis.tracks, self.span, CANDIDATES_PER_FACE * count, size)


TuningFacts = dict[str, Any]


def tuning_mark(
    clip: TuningClip, wanted: crops.WantedCrops, config: RunConfig, backend: Backend, how: dict[str, Any]
) -> str:
    """sha256 of everything that decides a tuning: source, faces, training settings `how`, and networks."""
    deciding = {
        "source": clip.content,
        "faces": [[*key, *place.ravel().tolist()] for key, place in sorted(wanted.items())],
        "encoder": encoder_digest(config),
        "backend": [config.backend, backend.digest, *(each.sha256 for each in backend.brought)],
        "weights": [catalog.CATALOG[name].archive_sha256 for name in backend.needs],
        "shipped": [fileio.content_sha256(path) for path in backend.shipped],
    } | how
    return fingerprint.digest(deciding)


def load_or_learn(
    folder: JobFolder, mark: str, learn: Callable[[Path], bytes], *, cached: bool
) -> tuple[bytes, TuningFacts]:
    """Return the bytes of a tuning (a safetensors file) and the facts of its "tuning" metadata.

    It is read from the job folder, so that a resumed job has the same tuning, or from the cache by its `mark`, or made
    by `learn(folder)`. Raises OutputUnwritable if the disk is full.
    """
    path, origin, work = (folder.path / name for name in (TUNING_FILE, "tuned.origin", "tuning"))
    cache = places.root() / "tuned" / f"{mark}.sealed"
    kept = _read_whole(path)
    try:
        if kept is None:
            known = _read_whole(cache) if cached else None
            kept = known or learn(work)
            fileio.write_sealed(origin, b"here" if known is None else b"cache")
            fileio.write_sealed(path, kept)
        shutil.rmtree(work, ignore_errors=True)
    except (SafetensorError, OSError) as error:
        raise OutputUnwritable(
            f"cannot write {work}: {error}", remedy="free some disk space, or use --tune none"
        ) from error
    if cached:
        _write_cache(cache, kept)
    return kept, read_facts(kept) | {"from_cache": fileio.read_sealed(origin) == b"cache"}


def key_crops(clip: TuningClip, wanted: crops.WantedCrops, size: int) -> dict[tuple[int, int], torch.Tensor]:
    """The wanted faces [1,3,size,size] of the clip, by (frame, track)."""
    return {key: face for _, key, face in crops.aligned_faces(clip.source, wanted, size, clip.stream)}


def choose_faces(
    clip: TuningClip, crops: dict[tuple[int, int], torch.Tensor], faces: int, held: int
) -> tuple[list[Candidate], list[Candidate]]:
    """Choose key faces and held-out faces among these crops."""
    return key_faces.choose([_describe_candidate(clip.analysis, key, crops[key]) for key in sorted(crops)], faces, held)


def _describe_candidate(analysis: Analysis, key: tuple[int, int], face: torch.Tensor) -> Candidate:
    """Describe a face by the analysis and the sharpness of its crop [1,3,S,S]."""
    (track,) = (track for track in analysis.tracks if track.id == key[1])
    k = int((track.frames == key[0]).argmax())
    yaw, pitch = edit_confidence.head_turn(track, k)
    sharp = key_faces.sharpness((face[0].permute(1, 2, 0).numpy() + 1) / 2)  # CHW -> HWC
    return Candidate(*key, analysis.second(analysis.pts[key[0]]), sharp, yaw, pitch)


def validation_curve(made: Tuned) -> list[dict[str, float]]:
    """Loss and PSNR of the held-out faces during a tuning, for the report."""
    return [{"step": check.step, "loss": round(check.loss, 4), "psnr": round(check.psnr, 2)} for check in made.curve]


def read_facts(kept: bytes) -> TuningFacts:
    """Read the "tuning" facts from the header of a safetensors file: its length in 8 bytes, then JSON."""
    header = fileio.parse_json(kept[8 : 8 + int.from_bytes(kept[:8], "little")])
    return dict(fileio.parse_json(header["__metadata__"]["tuning"]))


def _read_whole(path: Path) -> bytes | None:
    """The tuning that is kept at `path`; None if it is missing or damaged."""
    kept = fileio.read_sealed(path)
    try:
        return None if kept is None or not read_facts(kept) else kept
    except (ValueError, KeyError, TypeError):
        return None


def _write_cache(path: Path, kept: bytes) -> None:
    """Store a tuning in the cache, readable only by its owner. A cache that cannot be written is ignored."""
    with suppress(OSError, OutputUnwritable):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        if path.exists():
            path.touch()
        else:
            fileio.write_sealed(path, kept)
        path.chmod(0o600)
        others = sorted(path.parent.glob("*.sealed"), key=lambda each: each.stat().st_mtime)
        for old in others[:-CACHED_TUNINGS]:
            old.unlink()


def spread_faces(tracks: tuple[Track, ...], span: tuple[int, int], count: int, size: int) -> crops.WantedCrops:
    """About `count` faces of the frames start <= i < stop of `span`, spaced evenly over each track.

    Each track gets a share by its length, at least one face. The transforms are for crops of `size` pixels.
    """
    start, stop = span
    rows = [[k for k, frame in enumerate(track.frames) if start <= frame < stop] for track in tracks]
    total = sum(map(len, rows))
    wanted = {}
    for track, here in zip(tracks, rows, strict=True):
        for place in crops.evenly_spaced(max(1, round(count * len(here) / max(total, 1))), len(here)):
            k = here[place]
            wanted[int(track.frames[k]), track.id] = crops.rescale(track.to_frame[k], track.crop, size)
    return wanted
