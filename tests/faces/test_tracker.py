"""Who is who over gaps and cuts, on generated landmarks and embeddings."""

import numpy as np

from vidinv.faces.landmarks import EYE_LEFT, EYE_RIGHT, MOUTH_LEFT, MOUTH_RIGHT
from vidinv.faces.tracker import FrameFaces, Tracker
from vidinv.frames import Shot

PEOPLE = np.eye(4, 16, dtype=np.float32)


def faces(*seen):
    """seen: (person, x) each; a face 40 pixels wide at x."""
    landmarks = np.zeros((len(seen), 106, 2), np.float32)
    for shape, (_, x) in zip(landmarks, seen, strict=True):
        shape[list(EYE_LEFT)], shape[list(EYE_RIGHT)] = (x + 10, 20), (x + 30, 20)
        shape[MOUTH_LEFT], shape[MOUTH_RIGHT] = (x + 12, 40), (x + 28, 40)
    boxes = np.array([(x, 0, x + 40, 50) for _, x in seen], np.float32).reshape(-1, 4)
    return FrameFaces(boxes, np.full(len(seen), 0.9), landmarks, PEOPLE[[who for who, _ in seen]])


def test_two_people_side_by_side_are_two_tracks():
    tracks = Tracker().link([faces((0, k), (1, 100 - k)) for k in range(10)], [Shot(0, 10)])
    assert [track.frames.tolist() for track in tracks] == [list(range(10))] * 2
    assert abs(float(tracks[0].embedding @ tracks[1].embedding)) < 0.1


def test_people_who_swap_places_at_a_cut_keep_their_tracks():
    clip = [faces((0, 0), (1, 100))] * 5 + [faces((1, 0), (0, 100))] * 5
    tracks = Tracker().link(clip, [Shot(0, 5), Shot(5, 10)])
    assert len(tracks) == 2
    for track in tracks:
        assert len(track.frames) == 10 and np.isclose(np.abs(track.embedding).max(), 1, atol=1e-5)


def test_nothing_is_smoothed_across_a_cut():
    clip = [faces((0, 0))] * 5 + [faces((0, 200))] * 5
    (track,) = Tracker().link(clip, [Shot(0, 5), Shot(5, 10)])
    jump = track.to_frame[:, 0, 2] - track.to_frame[0, 0, 2]
    np.testing.assert_allclose(jump, [0] * 5 + [200] * 5, atol=1e-6)


def test_short_gaps_are_filled_and_long_ones_left():
    clip = [faces((0, 3 * k)) for k in range(30)]
    clip[5] = clip[6] = clip[7] = None
    clip[15:20] = [None] * 5
    (track,) = Tracker().link(clip, [Shot(0, 30)])
    assert track.frames.tolist() == [*range(15), *range(20, 30)]
    np.testing.assert_allclose(track.landmarks[6, EYE_LEFT[0], 0], 18 + 10, atol=1e-4)


def test_a_clip_without_a_face_has_no_tracks():
    assert Tracker().link([None, faces()], [Shot(0, 2)]) == []


def people(tracks):
    """Of each track, the person whose embedding it has, and its frames."""
    return {int(np.argmax(track.embedding)): track.frames.tolist() for track in tracks}


def test_people_who_cross_keep_their_tracks_while_the_one_behind_is_hidden():
    clip = [faces((0, 5 * k), (1, 200 - 5 * k)) for k in range(40)]
    for k in range(17, 24):
        clip[k] = faces((0, 5 * k))
    seen = people(Tracker().link(clip, [Shot(0, 40)]))
    assert seen == {0: list(range(40)), 1: [*range(17), *range(24, 40)]}


def test_who_leaves_for_a_second_is_the_same_person_again():
    clip = [faces((0, 100), (1, 300))] * 10 + [faces((1, 300))] * 25 + [faces((1, 300), (0, 20))] * 10
    seen = people(Tracker().link(clip, [Shot(0, 45)]))
    assert seen == {0: [*range(10), *range(35, 45)], 1: list(range(45))}


def test_who_is_hidden_for_half_a_second_is_the_same_person_again():
    clip = [faces((0, 100))] * 10 + [faces()] * 12 + [faces((0, 103))] * 10
    (track,) = Tracker().link(clip, [Shot(0, 32)])
    assert track.frames.tolist() == [*range(10), *range(22, 32)]


def test_a_cut_to_another_person_at_the_same_place_and_back_makes_two_tracks():
    clip = [faces((0, 100))] * 8 + [faces((1, 101))] * 8 + [faces((0, 99))] * 8
    for shots in ([Shot(0, 8), Shot(8, 16), Shot(16, 24)], [Shot(0, 24)]):  # also where the cut was missed
        seen = people(Tracker().link(clip, shots))
        assert seen == {0: [*range(8), *range(16, 24)], 1: list(range(8, 16))}
