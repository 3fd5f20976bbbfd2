"""From sightings to the people whose faces are edited: linked, smoothed, and chosen by the request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidinv.analysis.first_pass import Sightings
from vidinv.backends.interface import Backend, Locate
from vidinv.config import RunConfig, TrustConfig
from vidinv.editing import plan
from vidinv.editing.plan import ResolvedEdit, ResolvedEdits
from vidinv.errors import NoFaceFound, UsageError
from vidinv.faces import edit_confidence, pictures, similarity
from vidinv.faces.tracker import Tracker
from vidinv.frames import Analysis, Array, Track

LIKE = 0.35  # cosine from which a reference picture and a track are one person


def empty(seen: Sightings) -> Analysis:
    """The analysis of a clip in which no face is looked for."""
    return Analysis(len(seen.pts), seen.pts, seen.time_base, seen.shots, ())


def link(
    seen: Sightings, config: RunConfig, backend: Backend, source: Path, moves: ResolvedEdits
) -> tuple[Analysis, list[ResolvedEdit]]:
    """Link the faces of all frames into tracks; keep those that `config.faces` asks for or a move names.

    Also returns the moves with their persons: one that names none is for everybody that `config.faces` asks for.
    Raises NoFaceFound when none is left, UsageError for a request that cannot be read.
    """
    smooth = config.smooth
    tracker = Tracker(sigma_centre=smooth.centre, sigma_axes=smooth.axes, framing=backend.framing)
    tracks = [_coded(track, seen.to_coded) for track in tracker.link(seen.faces, seen.shots)]
    if not tracks:
        raise NoFaceFound(
            f"no {backend.subject} in {source.name} ({len(seen.pts)} frames searched)",
            remedy=f"choose a clip that shows a {backend.subject}" if backend.subject == "face" else "give other boxes",
        )
    named = {person(tracks, move.edit.track, source) for move in moves if move.edit.track is not None}
    asked = choose(tracks, config.faces, lambda: _recognising(backend, config), source)
    ids = [track.id for track in asked]
    kept = asked + [tracks[number] for number in sorted(named.difference(ids))]
    return Analysis(len(seen.pts), seen.pts, seen.time_base, seen.shots, tuple(kept)), plan.expand_persons(moves, ids)


def trusted(analysis: Analysis, settings: TrustConfig, searched: tuple[int, int]) -> Analysis:
    """The analysis with how far each face may be edited, by how well it is seen; it fades inside each shot.

    Also where a face is found no more, or not yet: it goes before it is lost. Faces were looked for on the frames
    `searched` (first, end); there nothing is lost.
    """

    def faded(track: Track) -> Track:
        found = edit_confidence.visibility(track, settings)
        for shot in analysis.shots:
            first, stop = max(shot.start, searched[0]), min(shot.stop, searched[1])
            inside = np.flatnonzero((track.frames >= first) & (track.frames < stop))
            there = track.frames[inside]
            lost = np.setdiff1d(np.concatenate([there - 1, there + 1]), there)
            lost = lost[(lost >= first) & (lost < stop)]
            frames, values = np.concatenate([there, lost]), np.concatenate([found[inside], np.zeros(len(lost))])
            order = np.argsort(frames)
            seconds = np.array([analysis.second(analysis.pts[frame]) for frame in frames[order]])
            values[order] = edit_confidence.fade_over_time(seconds, values[order], settings.fade_seconds)
            found[inside] = values[: len(inside)]
        return replace(track, trust=found)

    return replace(analysis, tracks=tuple(map(faded, analysis.tracks)))


def edited(analysis: Analysis, moves: ResolvedEdits, source: Path) -> Analysis:
    """The analysis with the frames of each track on which some move may show; NoFaceFound where there is none."""
    seconds = [analysis.second(pts) for pts in analysis.pts]
    tracks = [plan.restrict_to_edits(track, moves, seconds) for track in analysis.tracks]
    kept = tuple(track for track in tracks if len(track.frames))
    if not kept:
        raise NoFaceFound(
            f"nobody is seen well enough in {source.name} while an edit lasts", remedy="give other times or persons"
        )
    return replace(analysis, tracks=kept)


def person(tracks: list[Track], number: int, source: Path) -> int:
    """`number`, where there is such a person (counted from 0, the largest first); NoFaceFound where there is none."""
    if number >= len(tracks):
        raise NoFaceFound(
            f"{source.name} has no person {number}", remedy=f"there are {len(tracks)}, counted from 0, largest first"
        )
    return number


def choose(tracks: list[Track], asked: str, locator: Callable[[], Locate], source: Path) -> list[Track]:
    """The tracks that `asked` names: all, largest, N (counted from 0, largest first) or a reference picture's path."""
    if asked == "all":
        return tracks
    if asked == "largest":
        return tracks[:1]
    if asked.isdigit():
        return [tracks[person(tracks, int(asked), source)]]
    if not Path(asked).exists():
        raise UsageError(f"--faces {asked!r} is not known", remedy="give all, largest, a number or a picture")
    wanted = _reference(Path(asked), locator())
    best = max(tracks, key=lambda track: float(track.embedding @ wanted))
    likeness = float(best.embedding @ wanted)
    if likeness < LIKE:
        raise NoFaceFound(
            f"nobody in {source.name} looks like {asked} (best similarity {likeness:.2f})",
            remedy="give a clearer picture, or --faces N",
        )
    return [best]


def _recognising(backend: Backend, config: RunConfig) -> Locate:
    """What finds a face and says whose it is."""
    if not backend.recognises:
        raise UsageError(
            f"the backend {config.backend} recognises nobody, so --faces cannot be a picture",
            remedy="give all, largest or a number",
        )
    return backend.locator(config.landmarks)


def _reference(path: Path, locate: Locate) -> Array:
    found = locate(pictures.read_rgb(path), 0, None)
    if not len(found.scores):
        raise NoFaceFound(f"no face in {path}", remedy="give a picture that shows the person's face")
    return np.asarray(found.embeddings[0])


def _coded(track: Track, to_coded: Array) -> Track:
    """The track in the coded picture's pixels."""
    if np.array_equal(to_coded, np.eye(2, 3)):
        return track
    to_frame = np.stack([similarity.compose(to_coded, each) for each in track.to_frame])
    landmarks = np.empty_like(track.landmarks)
    for k, points in enumerate(track.landmarks):  # one at a time: an hour of them is large
        landmarks[k] = similarity.apply(to_coded, points)
    return replace(track, to_frame=to_frame, landmarks=landmarks)
