"""Face tracks: link the detections of all frames into smoothed tracks, and keep those that the request edits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from vidinv.analysis.first_pass import Detections
from vidinv.backends.interface import Backend, Locate
from vidinv.config import RunConfig, TrustConfig
from vidinv.editing import plan
from vidinv.editing.plan import ResolvedEdit, ResolvedEdits
from vidinv.errors import NoFaceFound, UsageError
from vidinv.faces import edit_confidence, similarity
from vidinv.faces.tracker import Tracker
from vidinv.frames import Analysis, Array, Track
from vidinv.media.picture_file import read_rgb

SAME_PERSON_COSINE = 0.35  # least cosine similarity at which a reference picture and a track show the same person


def analysis_without_faces(detections: Detections) -> Analysis:
    """The analysis of a clip in which faces are not searched: shots and times without tracks."""
    return Analysis(len(detections.pts), detections.pts, detections.time_base, detections.shots, ())


def link_tracks(
    detections: Detections, config: RunConfig, backend: Backend, source: Path, edits: ResolvedEdits
) -> tuple[Analysis, list[ResolvedEdit]]:
    """Link the faces of all frames into tracks; keep those that `config.faces` selects or an edit names.

    Also returns the edits with their persons; an edit that names no person applies to everyone that `config.faces`
    selects. Raises NoFaceFound when no track is left, and UsageError for a `config.faces` that cannot be read.
    """
    smooth = config.smooth
    tracker = Tracker(sigma_centre=smooth.centre, sigma_axes=smooth.axes, framing=backend.framing)
    tracks = [
        _in_coded_pixels(track, detections.to_coded) for track in tracker.link(detections.faces, detections.shots)
    ]
    if not tracks:
        raise NoFaceFound(
            f"no {backend.subject} in {source.name} ({len(detections.pts)} frames searched)",
            remedy=f"choose a clip that shows a {backend.subject}" if backend.subject == "face" else "give other boxes",
        )
    named = {check_person(tracks, each.edit.track, source) for each in edits if each.edit.track is not None}
    asked = choose_tracks(tracks, config.faces, lambda: _recognising_locator(backend, config), source)
    ids = [track.id for track in asked]
    kept = asked + [tracks[number] for number in sorted(named.difference(ids))]
    return Analysis(
        len(detections.pts), detections.pts, detections.time_base, detections.shots, tuple(kept), len(tracks)
    ), plan.expand_persons(edits, ids)


def people_warnings(analysis: Analysis, faces: str) -> list[str]:
    """Return what to say about persons who were found and not chosen, if `faces` is the default choice."""
    left = analysis.people - len(analysis.tracks)
    if faces != "largest" or left <= 0:
        return []
    return [f"{analysis.people} people found, {len(analysis.tracks)} of them taken; --faces all takes everyone"]


def add_trust(analysis: Analysis, settings: TrustConfig, searched: tuple[int, int]) -> Analysis:
    """The analysis with each track's `trust` in [0,1] per frame, by how well the face is visible.

    Within a shot the trust fades over `settings.fade_seconds` to 0 at frames on which the face is not found, before
    and after its appearance. Faces were searched on the frames `searched` (first, end); beyond them the face does not
    count as lost.
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


def keep_edited_frames(analysis: Analysis, edits: ResolvedEdits, source: Path) -> Analysis:
    """Keep the frames of each track on which an edit may show. Raises NoFaceFound where there is none."""
    seconds = [analysis.second(pts) for pts in analysis.pts]
    tracks = [plan.restrict_to_edits(track, edits, seconds) for track in analysis.tracks]
    kept = tuple(track for track in tracks if len(track.frames))
    if not kept:
        raise NoFaceFound(
            f"no person in {source.name} is visible well enough during the times of the edits",
            remedy="change the times or the persons of the edits",
        )
    return replace(analysis, tracks=kept)


def check_person(tracks: list[Track], number: int, source: Path) -> int:
    """Check that person `number` exists (counted from 0, the largest first), and return it; else raise NoFaceFound."""
    if number >= len(tracks):
        raise NoFaceFound(
            f"{source.name} has no person {number}",
            remedy=f"choose one of the {len(tracks)} persons, counted from 0, largest first",
        )
    return number


def choose_tracks(tracks: list[Track], asked: str, locator: Callable[[], Locate], source: Path) -> list[Track]:
    """The tracks that `asked` selects: all, largest, N (counted from 0, largest first) or a reference picture's path.

    Raises UsageError for any other value, and NoFaceFound where there is no such person.
    """
    if asked == "all":
        return tracks
    if asked == "largest":
        return tracks[:1]
    if asked.isdigit():
        return [tracks[check_person(tracks, int(asked), source)]]
    if not Path(asked).exists():
        raise UsageError(
            f"--faces {asked!r} is not valid", remedy="give all, largest, a number or the path of a picture"
        )
    wanted = _reference(Path(asked), locator())
    best = max(tracks, key=lambda track: float(track.embedding @ wanted))
    likeness = float(best.embedding @ wanted)
    if likeness < SAME_PERSON_COSINE:
        raise NoFaceFound(
            f"no face in {source.name} matches {asked} (best similarity {likeness:.2f})",
            remedy="give a clearer picture of the person, or --faces N",
        )
    return [best]


def _recognising_locator(backend: Backend, config: RunConfig) -> Locate:
    """The backend's face locator. Raises UsageError where it does not compute identity embeddings."""
    if not backend.recognises:
        raise UsageError(
            f"the backend {config.backend} does not recognise persons, so --faces cannot be a picture",
            remedy="give --faces all, largest or a number",
        )
    return backend.locator(config.landmarks)


def _reference(path: Path, locate: Locate) -> Array:
    found = locate(read_rgb(path), 0, None)
    if not len(found.scores):
        raise NoFaceFound(f"no face in {path}", remedy="give a picture that shows the person's face")
    return np.asarray(found.embeddings[0])


def _in_coded_pixels(track: Track, to_coded: Array) -> Track:
    """The track with its transforms and landmarks in pixels of the coded picture."""
    if np.array_equal(to_coded, np.eye(2, 3)):
        return track
    to_frame = np.stack([similarity.compose(to_coded, each) for each in track.to_frame])
    landmarks = np.empty_like(track.landmarks)
    for k, points in enumerate(track.landmarks):  # one frame at a time, since an hour of landmarks is large
        landmarks[k] = similarity.apply(to_coded, points)
    return replace(track, to_frame=to_frame, landmarks=landmarks)
