"""The evidence of identity in the job folder: embeddings and pictures of faces, a file for every segment.

Biometric data: the folder is its owner's alone, and goes when the job is done.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from vidinv.frames import Array, Evidence

PANEL = 160  # pixels, side of one picture of a strip
QUALITY = 80  # of JPEG


def name(segment: int) -> str:
    """The file of a segment's evidence."""
    return f"evidence-{segment:05d}.npz"


def thinned(found: Sequence[Evidence]) -> list[Evidence]:
    """The evidence with the pictures of witnessed faces and of each track's least alike alone.

    Where no network looked, all of them are kept.
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
    """Write the evidence of one segment, some at least; embeddings as float16."""
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
    """The evidence of one segment, embeddings of unit length in float32."""
    with np.load(path) as columns:
        ends = np.cumsum(columns["strip_bytes"])
        strips = columns["strips"].tobytes()
        embeddings: list[dict[str, Array]] = [{} for _ in ends]
        for key in columns.files:
            network, _, what = key.partition(".")
            if what == "embedding":
                for row, value in zip(columns[f"{network}.row"], columns[key].astype(np.float32), strict=True):
                    embeddings[int(row)][network] = value / np.linalg.norm(value, axis=-1, keepdims=True)
        pictures, starts = tuple(columns["pictures"].tolist()), ends - columns["strip_bytes"]
        rows = zip(columns["frame"], columns["track"], embeddings, starts, ends, strict=True)
        return [Evidence(int(f), int(t), pictures, known, strips[a:b]) for f, t, known, a, b in rows]


def every(paths: Iterable[Path]) -> Iterator[Evidence]:
    """The evidence of all segments in order, one segment in memory at a time."""
    for path in paths:
        yield from load_evidence(path)


def strip(pictures: Sequence[Array]) -> bytes:
    """A JPEG of square RGB pictures [S,S,3] in [0,1] side by side, PANEL pixels each."""
    small = [cv2.resize(np.ascontiguousarray(each), (PANEL, PANEL), interpolation=cv2.INTER_AREA) for each in pictures]
    row = np.rint(np.clip(np.concatenate(small, 1), 0, 1) * 255).astype(np.uint8)
    done, data = cv2.imencode(".jpg", row[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise ValueError(f"no JPEG can be made of a picture {row.shape}")
    return bytes(data)
