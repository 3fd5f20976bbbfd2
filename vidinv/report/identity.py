"""Identity over time: compare every face with its track's first face and with the medoid of its track.

Eq. 9 of the Feature-Style encoder paper: IC = mean over i >= 1 of <R(x_i), R(x_0)>, for each kind of picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from vidinv.frames import Array, Evidence, PictureValues
from vidinv.report.face_rows import FaceRow, IdentityOverTime

Key = tuple[int, str]  # track, network
Found = Callable[[], Iterable[Evidence]]  # starts a new pass over the evidence, in order of frame


def compare_over_time(rows: Iterable[FaceRow], evidence: Found) -> tuple[list[FaceRow], dict[int, int]]:
    """The rows of faces with `over_time` added, and the frame of each track's medoid.

    `ic` is the cosine to the first face of the same kind of picture (absent on that face itself). `medoid` is the
    cosine to the source's medoid, the face whose cosines to all others have the largest sum; for unit vectors it is the
    one nearest to their mean. The returned frame is that of the first network's medoid. The function reads the evidence
    three times and keeps none of it.
    """
    first: dict[Key, tuple[int, Array]] = {}  # frame, embeddings [P,D]
    total: dict[Key, Array] = {}
    for each in evidence():
        for network, embeddings in each.embeddings.items():
            key = (each.track, network)
            first.setdefault(key, (each.frame, embeddings))
            total[key] = total.get(key, 0) + embeddings[0]
    best: dict[Key, tuple[float, int, Array]] = {}  # sum of cosines to all faces, frame, embedding [D]
    for each in evidence():
        for network, embeddings in each.embeddings.items():
            key, likeness = (each.track, network), float(embeddings[0] @ total[each.track, network])
            if key not in best or likeness > best[key][0]:
                best[key] = (likeness, each.frame, embeddings[0])
    found = list(rows)
    place = {(row.frame, row.track): k for k, row in enumerate(found)}
    for each in evidence():
        k = place.get((each.frame, each.track))
        if k is not None:
            found[k] = replace(found[k], over_time=_similarities_over_time(each, first, best))
    medoids: dict[int, int] = {}
    for (track, _), (_, frame, _) in best.items():
        medoids.setdefault(track, frame)
    return found, medoids


def _similarities_over_time(
    each: Evidence, first: dict[Key, tuple[int, Array]], best: dict[Key, tuple[float, int, Array]]
) -> dict[str, IdentityOverTime]:
    found = {}
    for network, embeddings in each.embeddings.items():
        (begun, start), medoid = first[each.track, network], best[each.track, network][2]
        to_medoid = {name: float(own @ medoid) for name, own in zip(each.pictures, embeddings, strict=True)}
        to_first = {}
        if each.frame != begun:
            pairs = zip(each.pictures, embeddings, start, strict=True)
            to_first = {name: float(own @ at_first) for name, own, at_first in pairs}
        found[network] = IdentityOverTime(PictureValues(**to_first), PictureValues(**to_medoid))
    return found
