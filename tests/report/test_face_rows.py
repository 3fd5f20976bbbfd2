"""Face rows: the journal's JSON reads back unchanged, and the report's columns keep their published names."""

from __future__ import annotations

import json

from vidinv.frames import FaceMetrics, IdentitySimilarity, PictureValues
from vidinv.report import sidecar
from vidinv.report.face_rows import PICTURES, FaceRow, IdentityOverTime, from_row, to_columns, to_row

METRICS = FaceMetrics(
    face_px=120.5,
    skin_cover=0.8,
    occluded=0.1,
    residual=0.03,
    confidence=0.9,
    trust=0.7,
    faded_confidence=0.5,
    rect=(10, 20, 110, 140),
    similarity={"arcface": IdentitySimilarity(0.8, 0.7), "lightcnn": IdentitySimilarity(edit=0.0)},
    sharpness=250.0,
    attributes={"age": PictureValues(30.0, 31.0, 40.0), "smile": PictureValues(source=0.0)},
    hidden=0.0,
    mask_area=0.3,
    psnr=25.0,
    ssim=0.8,
    lpips=0.2,
    flicker_inversion=0.01,
    flicker_edit=0.02,
)


def test_a_row_is_read_back_unchanged_from_json() -> None:
    face = FaceRow(7, 2, METRICS)
    assert from_row(json.loads(json.dumps(to_row(face)))) == face
    nothing = FaceRow(0, 0, FaceMetrics())
    assert to_row(nothing) == {"frame": 0, "track": 0} and from_row(to_row(nothing)) == nothing


def test_zero_is_a_measurement_and_none_is_not() -> None:
    found = to_columns(FaceRow(0, 0, METRICS))
    assert found["hidden"] == 0.0 and found["lightcnn_edit"] == 0.0 and found["smile_source"] == 0.0
    assert "lightcnn_inversion" not in found and "smile_edit" not in found


def test_the_published_confidence_and_cover_are_the_faded_ones() -> None:
    found = to_columns(FaceRow(0, 0, METRICS))
    assert (found["confidence"], found["cover"], found["trust"]) == (0.5, 0.4, 0.7)


def test_columns_have_their_published_names() -> None:
    over_time = IdentityOverTime(PictureValues(1.0, 0.9, 0.8), PictureValues(0.7, 0.6, 0.5))
    found = to_columns(FaceRow(7, 2, METRICS, head_yaw=-3.0, over_time={"arcface": over_time}))
    single = "cover occluded residual confidence trust rect sharpness hidden mask_area psnr ssim lpips face_px head_yaw"
    assert set(found) == {
        *single.split(),
        *(f"{kind}_{picture}" for kind in ("arcface", "flicker") for picture in ("inversion", "edit")),
        *(f"{kind}_{picture}" for kind in ("age", "arcface_ic", "arcface_medoid") for picture in PICTURES),
        *("lightcnn_edit", "smile_source"),
    }
    assert found["arcface_ic_edit"] == 0.8 and found["arcface_medoid_source"] == 0.7 and found["head_yaw"] == -3.0


def test_a_tracks_columns_have_an_entry_for_every_face() -> None:
    metrics = [FaceMetrics(confidence=1.0, faded_confidence=1.0), METRICS, FaceMetrics(sharpness=3.0)]
    rows = [FaceRow(10 + k, 0, each) for k, each in enumerate(metrics)]
    (track,) = sidecar.identity_summary({0: rows}, {}, lambda frame: frame / 10, {"age": "years"})["tracks"]
    columns = track["per_frame"]
    assert {len(column) for column in columns.values()} == {3}
    assert columns["frame"] == [10, 11, 12] and columns["time_s"] == [1.0, 1.1, 1.2]
    assert columns["confidence"] == [1.0, 0.5, None] and columns["sharpness"] == [None, 250.0, 3.0]
    assert columns["rect"] == [None, [10, 20, 110, 140], None]
    assert track["confidence_mean"] == 0.75 and track["attributes"]["age"]["edit"] == 40.0
