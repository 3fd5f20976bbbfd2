"""Flags and the gate: what is found is said with its time, once a span, and the gate misses nothing that it names."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vidinv.frames import FaceMetrics, IdentitySimilarity, PictureValues
from vidinv.report import flags, frame_spans, gate
from vidinv.report.face_rows import FaceRow, FaceView, IdentityOverTime
from vidinv.report.gate import Gate


def second(frame: int) -> float:
    return frame / 10


def rows(metrics: Callable[[float], FaceMetrics], values: Sequence[float]) -> list[FaceRow]:
    """One track with a face on each frame, and on each one measured value."""
    return [FaceRow(frame, 0, metrics(value)) for frame, value in enumerate(values)]


def similar(value: float) -> FaceMetrics:
    return FaceMetrics(similarity={"arcface": IdentitySimilarity(edit=value)})


def test_frames_near_one_another_are_one_span() -> None:
    found = frame_spans.join_frames([(1, 0.5), (2, 0.2), (5, 0.4), (6, 0.9)], gap=2)
    assert [(span.first, span.last, span.frames, span.worst) for span in found] == [(1, 2, 2, 0.2), (5, 6, 2, 0.4)]


def test_another_person_is_flagged_from_the_first_frame_to_the_last() -> None:
    measured = rows(similar, [0.9] * 5 + [0.1, 0.05, 0.2] + [0.9] * 4)
    found = flags.find_flags({0: measured}, {}, range(12), [], second)
    assert [(flag["kind"], flag["from_s"], flag["to_s"], flag["worst"]) for flag in found] == [
        ("low_similarity", 0.5, 0.7, 0.05)
    ]


def test_each_kind_of_trouble_is_named() -> None:
    confidence, sharpness = (1.0, 1.0, 0.2, 1.0), (100.0, 90.0, 10.0, 110.0)
    hidden, medoid = (0.0, None, None, 0.5), (0.9, 0.1, 0.9, 0.9)
    measured = [
        FaceRow(
            k,
            0,
            FaceMetrics(confidence=1.0, faded_confidence=confidence[k], hidden=hidden[k], sharpness=sharpness[k]),
            over_time={"arcface": IdentityOverTime(medoid=PictureValues(source=medoid[k]))},
        )
        for k in range(4)
    ]
    yaws, sides = (3.0, -55.0, 2.0, 1.0), (90.0, 90.0, 90.0, 20.0)
    looks = [FaceView(k, sides[k], yaws[k]) for k in range(4)]
    found = flags.find_flags({0: measured}, {0: looks}, range(6), [2], second)
    assert {flag["kind"] for flag in found} == {
        *("another_person", "low_confidence", "profile", "tiny", "hidden", "blur", "no_face", "cut")
    }
    (turned,) = (flag for flag in found if flag["kind"] == "profile")
    assert turned["worst"] == -55.0
    (unseen,) = (flag for flag in found if flag["kind"] == "no_face")
    assert (unseen["from_s"], unseen["to_s"], unseen["frames"], unseen["track"]) == (0.4, 0.5, 2, None)
    assert [flag["from_s"] for flag in found] == sorted(flag["from_s"] for flag in found)


def test_a_gate_that_is_not_set_says_nothing() -> None:
    assert gate.judge_gate(Gate(), {0: rows(similar, [0.0])}, second) is None


def test_a_single_face_below_the_gate_misses_it_and_its_time_is_said() -> None:
    tracks = {0: rows(similar, [0.8, 0.8, 0.65, 0.8]), 1: rows(similar, [0.9, 0.9, 0.9, 0.9])}
    verdict = gate.judge_gate(Gate(identity=0.7), tracks, second)
    assert verdict is not None and not verdict["passed"]
    assert verdict["misses"] == [{"track": 0, "what": "identity", "from_s": 0.2, "to_s": 0.2, "worst": 0.65}]
    assert "person 0 at 0.20-0.20 s: similarity 0.65" in gate.describe_misses(verdict)
    passed = gate.judge_gate(Gate(identity=0.65), tracks, second)
    assert passed is not None and passed["passed"] and not passed["misses"]


def test_consistency_is_gated_by_its_mean_over_a_track() -> None:
    consistency = (None, 0.9, 0.8, 0.7)
    over_time = [{"arcface": IdentityOverTime(ic=PictureValues(edit=value))} for value in consistency]
    tracks = {0: [FaceRow(k, 0, similar(1.0), over_time=over_time[k]) for k in range(4)]}
    verdict = gate.judge_gate(Gate(ic=0.85), tracks, second)
    assert verdict is not None and [miss["worst"] for miss in verdict["misses"]] == [0.8]
    assert gate.judge_gate(Gate(ic=0.79), tracks, second)["passed"]  # type: ignore[index]


def test_a_gate_over_nothing_is_not_passed() -> None:
    verdict = gate.judge_gate(Gate(identity=0.1), {0: [FaceRow(0, 0, FaceMetrics(skin_cover=1.0))]}, second)
    assert verdict is not None and not verdict["passed"] and gate.describe_misses(verdict) == "too little was measured"


def test_each_limit_wants_its_own_measure() -> None:
    single = {0: rows(similar, [0.9])}
    for asked, passed in ((Gate(identity=0.5), True), (Gate(identity=0.5, ic=0.5), False), (Gate(ic=0.5), False)):
        verdict = gate.judge_gate(asked, single, second)
        assert verdict is not None and verdict["passed"] is passed


def test_what_is_no_number_is_not_passed() -> None:
    verdict = gate.judge_gate(Gate(identity=0.5), {0: rows(similar, [0.9, float("nan")])}, second)
    assert verdict is not None and not verdict["passed"]


def test_rounding_misses_no_gate() -> None:
    assert gate.judge_gate(Gate(identity=1.0), {0: rows(similar, [0.99999])}, second)["passed"]  # type: ignore[index]
