"""Identity over time: every face against its track's first and against the one most like all others.

Eq. 9 of the Feature-Style encoder paper, IC = mean over i >= 1 of <R(x_i), R(x_0)>, for each picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from sys import intern
from typing import Any

from vidinv.frames import Array, Evidence

Key = tuple[int, str]  # track, network
Found = Callable[[], Iterable[Evidence]]  # the evidence from its beginning, in order of frame


def compared(rows: Iterable[dict[str, Any]], evidence: Found) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """The rows of faces with `NETWORK_ic_PICTURE` and `NETWORK_medoid_PICTURE`, and by track its medoid's frame.

    The first is the cosine to the picture's own first face (not given of that one itself), the second that to the
    source's medoid: of unit vectors, the one nearest to their mean is the one whose cosines to all others sum highest.
    The medoid's frame is that of the first network. The evidence is gone through three times; none of it is kept.
    """
    first: dict[Key, tuple[int, Array]] = {}  # frame, embeddings [P,D]
    total: dict[Key, Array] = {}
    for each in evidence():
        for network, embeddings in each.embeddings.items():
            key = (each.track, network)
            first.setdefault(key, (each.frame, embeddings))
            total[key] = total.get(key, 0) + embeddings[0]
    best: dict[Key, tuple[float, int, Array]] = {}  # likeness to all, frame, embedding [D]
    for each in evidence():
        for network, embeddings in each.embeddings.items():
            key, likeness = (each.track, network), float(embeddings[0] @ total[each.track, network])
            if key not in best or likeness > best[key][0]:
                best[key] = (likeness, each.frame, embeddings[0])
    found = [dict(row) for row in rows]
    row_of = {(row["frame"], row["track"]): row for row in found}
    for each in evidence():
        row_of.get((each.frame, each.track), {}).update(_against(each, first, best))
    medoids: dict[int, int] = {}
    for (track, _), (_, frame, _) in best.items():
        medoids.setdefault(track, frame)
    return found, medoids


def _against(
    each: Evidence, first: dict[Key, tuple[int, Array]], best: dict[Key, tuple[float, int, Array]]
) -> dict[str, float]:
    found = {}
    for network, embeddings in each.embeddings.items():
        (begun, start), medoid = first[each.track, network], best[each.track, network][2]
        for picture, own, at_first in zip(each.pictures, embeddings, start, strict=True):
            found[intern(f"{network}_medoid_{picture}")] = float(own @ medoid)
            if each.frame != begun:
                found[intern(f"{network}_ic_{picture}")] = float(own @ at_first)
    return found
