"""Identity evidence: store the embeddings and pictures of faces in the job folder, one file per segment.

These are biometric data: only the owner can read the folder, and it is deleted when the job is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vidinv import fileio
from vidinv.errors import InputUnreadable
from vidinv.frames import Array, Evidence

PANEL = 160  # pixels, side of one picture of a strip
QUALITY = 80  # JPEG quality of a strip


def file_name(segment: int) -> str:
    """The name of the file with a segment's evidence."""
    return f"evidence-{segment:05d}.npz"


def thin_strips(found: Sequence[Evidence]) -> list[Evidence]:
    """The evidence with only some of its pictures, to save space.

    Pictures are kept for faces that the secondary evaluators measured, for the least similar face of each track, and
    for faces without any embedding.
    """
    worst: dict[int, tuple[float, int]] = {}
    for each in found:
        if not each.embeddings:
            continue
        seen = next(iter(each.embeddings.values()))
        worst[each.track] = min(worst.get(each.track, (np.inf, -1)), (float(seen[0] @ seen[-1]), each.frame))
    kept = {(track, frame) for track, (_, frame) in worst.items()}
    return [
        each if len(each.embeddings) != 1 or (each.track, each.frame) in kept else replace(each, strip=b"")
        for each in found
    ]


def save_evidence(path: Path, found: Sequence[Evidence]) -> None:
    """Write the evidence of one segment, which must not be empty; embeddings are stored as float16."""
    columns: dict[str, Array] = {
        "pictures": np.array(found[0].pictures),
        "frame": np.array([each.frame for each in found], np.int64),
        "track": np.array([each.track for each in found], np.int64),
        "strip_bytes": np.array([len(each.strip) for each in found], np.int64),
        "strips": np.frombuffer(b"".join(each.strip for each in found), np.uint8),
    }
    for network in sorted({network for each in found for network in each.embeddings}):
        known = [k for k, each in enumerate(found) if network in each.embeddings]
        columns[f"{network}.row"] = np.array(known, np.int64)
        columns[f"{network}.embedding"] = np.stack([found[k].embeddings[network] for k in known]).astype(np.float16)
    np.savez(path, **columns)  # type: ignore[arg-type]


def load_evidence(path: Path) -> list[Evidence]:
    """Read the evidence of one segment; embeddings are float32 and of unit length. Raises InputUnreadable."""
    try:
        return _of_columns(fileio.load_arrays(path))
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise InputUnreadable(f"the evidence {path} is damaged", remedy="run the command that made it again") from error


def _of_columns(columns: dict[str, Array]) -> list[Evidence]:
    ends = np.cumsum(columns["strip_bytes"])
    strips = columns["strips"].tobytes()
    embeddings: list[dict[str, Array]] = [{} for _ in ends]
    for key in columns:
        network, _, what = key.partition(".")
        if what == "embedding":
            for row, value in zip(columns[f"{network}.row"], columns[key].astype(np.float32), strict=True):
                embeddings[int(row)][network] = value / np.linalg.norm(value, axis=-1, keepdims=True)
    pictures, starts = tuple(columns["pictures"].tolist()), ends - columns["strip_bytes"]
    rows = zip(columns["frame"], columns["track"], embeddings, starts, ends, strict=True)
    return [Evidence(int(f), int(t), pictures, known, strips[a:b]) for f, t, known, a, b in rows]


def load_all_evidence(paths: Iterable[Path]) -> Iterator[Evidence]:
    """Read the evidence of all segments in order, with one segment in memory at a time."""
    for path in paths:
        yield from load_evidence(path)


def encode_strip(pictures: Sequence[Array]) -> bytes:
    """A JPEG of square RGB pictures [S,S,3] in [0,1], side by side at PANEL pixels each."""
    small = [cv2.resize(np.ascontiguousarray(each), (PANEL, PANEL), interpolation=cv2.INTER_AREA) for each in pictures]
    row = np.rint(np.clip(np.concatenate(small, 1), 0, 1) * 255).astype(np.uint8)
    done, data = cv2.imencode(".jpg", row[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"cannot encode a picture of shape {row.shape} as JPEG")
    return bytes(data)
