"""Identity through the command line: the gate, the page again, and any pair of videos."""

from __future__ import annotations

import json
import signal
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers import simulated_reports
from tests.helpers.runs import SHOWN, TINY, document, face_rows, frames_of, left_behind
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.faces import edit_confidence
from vidinv.report.strips import strips_from_html
from vidinv.stages import measure_identity

EDIT = ["--edit", "age+3", *TINY, *SHOWN, "--progress", "none"]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=24)


def run(*arguments: object) -> int:
    return main(["run", *map(str, arguments)])


def report(*arguments: object) -> int:
    shown = ["--backend", "tiny", "--progress", "none"]
    return main(["report", *map(str, arguments), *shown, *(["--set", "crop=64"] if "--json" in arguments else [])])


def test_two_runs_of_one_job_report_the_same_but_for_times(clip: Path, tmp_path: Path) -> None:
    reports = []
    for _ in range(2):
        assert run(clip, "-o", tmp_path / "out.mp4", "--overwrite", *EDIT) == 0
        reports.append({**document(tmp_path / "out.mp4.json"), "timing": None})
    assert reports[0] == reports[1]


def test_a_missed_gate_keeps_the_result_under_a_name_that_says_so(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out.mp4"
    assert run(clip, "-o", output, *EDIT) == 0
    (track,) = document(tmp_path / "out.mp4.json")["identity"]["tracks"]
    alike = [row["arcface_edit"] for row in face_rows(track)]
    assert track["confidence_mean"] == 1 and max(alike) < 0.9998  # an edit is there, and seen
    gate = f"{max(alike) + 2e-4:.5f}"
    assert run(clip, "-o", output, "--overwrite", "--min-identity", f"{min(alike):.5f}", *EDIT) == 0
    for made in ("out.mp4", "out.mp4.json"):
        (tmp_path / made).unlink()
    assert run(clip, "-o", output, "--report", "--min-identity", gate, *EDIT) == 6
    kept = {f"out.gate-missed.mp4{end}" for end in ("", ".json", ".report.html")}
    assert left_behind(tmp_path, but={"in.mp4"}) == kept
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and "person 0 at" in error and "out.gate-missed.mp4" in error
    report = document(tmp_path / "out.gate-missed.mp4.json")
    assert report["output"]["path"] == "out.gate-missed.mp4"
    assert [(miss["from_s"], miss["to_s"]) for miss in report["gate"]["misses"]] == [(0, 0.92)]
    assert run(clip, "-o", output, "--min-identity", gate, *EDIT) == 7  # what was kept is not written over
    assert run(clip, "-o", output, "--min-identity", "-1", "--min-ic", "-1", "--overwrite", *EDIT) == 0


def test_a_folder_of_pictures_that_misses_its_gate_is_one_too(clip: Path, tmp_path: Path) -> None:
    assert run(clip, "-o", tmp_path / "frames", "--min-identity", "1", *EDIT) == 6
    assert left_behind(tmp_path, but={"in.mp4"}) == {"frames-gate-missed", "frames-gate-missed.json"}
    assert len(list((tmp_path / "frames-gate-missed").glob("*.png"))) == 24


def test_what_is_not_edited_misses_no_gate(clip: Path, tmp_path: Path) -> None:
    assert (
        run(clip, "--edit", "age+0", "-o", tmp_path / "out.mp4", "--min-identity", "1", *TINY, "--progress", "none")
        == 0
    )


def test_a_turned_head_is_left_alone_softly_with_and_without_a_preview(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    yaws = [80.0 if 10 <= k < 14 else 0.0 for k in range(24)]
    monkeypatch.setattr(edit_confidence, "head_yaw", lambda track, k: yaws[int(track.frames[k])])
    outputs, steady = [], ["--set", "refine={first: {latent: 0, feature: 0}, following: {latent: 0, feature: 0}}"]
    for name, more in (("a.mp4", []), ("b.mp4", ["--preview"])):
        assert run(clip, "-o", tmp_path / name, *EDIT, *steady, *more) == 0
        report = document(tmp_path / f"{name}.json")
        (flag,) = (flag for flag in report["flags"] if flag["kind"] == "profile")
        assert (flag["from_s"], flag["to_s"]) == (0.4, 0.52)
        rows = {row["frame"]: row["confidence"] for row in face_rows(report["identity"]["tracks"][0])}
        curve = [rows.get(k, 0.0) for k in range(24)]
        assert curve[10:14] == [0] * 4 and np.abs(np.diff(curve)).max() <= 0.2 + 1e-6 and curve[0] == curve[-1] == 1
        outputs.append(frames_of(tmp_path / name))
    for (_, one), (_, two) in zip(*outputs, strict=True):  # batches of other sizes sum in another order
        assert all(np.abs(a.astype(int) - b.astype(int)).max() <= 2 for a, b in zip(one, two, strict=True))


def test_what_was_measured_survives_a_kill(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    several = [*EDIT, "--set", "segment_seconds=0.3", "--set", "identity.witness_every=3", "--report"]
    assert run(clip, "-o", tmp_path / "whole.mp4", *several) == 0
    build, seen = measure_identity.build_measure_stage, 0

    def dying(*args: object, **kwargs: object) -> object:
        stage = build(*args, **kwargs)  # type: ignore[arg-type]

        def measured(works):  # type: ignore[no-untyped-def]
            nonlocal seen
            for work in stage(works):
                seen += 1
                if seen == 3:
                    signal.raise_signal(signal.SIGINT)
                yield work

        return measured

    with monkeypatch.context() as patched:
        patched.setattr(measure_identity, "build_measure_stage", dying)
        assert run(clip, "-o", tmp_path / "out.mp4", *several) == 130
        seen = 4  # past the one that dies
        assert run(clip, "-o", tmp_path / "out.mp4", *several) == 0
        assert seen - 4 < 5  # Works that were measured anew, of 5 or more
    whole, resumed = (document(tmp_path / f"{name}.mp4.json") for name in ("whole", "out"))
    assert whole["identity"] == resumed["identity"] and whole["flags"] == resumed["flags"]
    pages = [strips_from_html((tmp_path / f"{name}.mp4.report.html").read_text()) for name in ("whole", "out")]
    assert pages[0] == pages[1] and len(pages[0]) > 4


def test_a_page_is_built_again_of_its_output_or_of_its_job(clip: Path, tmp_path: Path) -> None:
    output, page = tmp_path / "out.mp4", tmp_path / "out.mp4.report.html"
    assert run(clip, "-o", output, "--report", "--keep-job", *EDIT) == 0
    first = page.read_text()
    assert page.stat().st_mode & 0o077 == 0 and strips_from_html(first)
    assert report(output) == 0 and page.read_text() == first
    page.unlink()
    assert report(tmp_path / "out.mp4.vidinv") == 0 and page.read_text() == first
    assert report(output, "-o", tmp_path / "bare.html", "--no-thumbnails") == 0
    assert not strips_from_html((tmp_path / "bare.html").read_text())


def test_no_picture_of_a_face_is_kept_where_none_is_wanted(clip: Path, tmp_path: Path) -> None:
    assert run(clip, "-o", tmp_path / "out.mp4", "--report", "--no-thumbnails", "--keep-job", *EDIT) == 0
    assert not strips_from_html((tmp_path / "out.mp4.report.html").read_text())
    with np.load(next((tmp_path / "out.mp4.vidinv").glob("evidence-*.npz"))) as evidence:
        assert evidence["strips"].size == 0 and len(evidence["arcface.embedding"]) == 24


def test_a_video_and_itself_are_one_person(clip: Path, tmp_path: Path) -> None:
    assert report(clip, clip, "-o", tmp_path / "p.html", "--json", tmp_path / "p.json", "--min-identity", 0.9999) == 0
    found = document(tmp_path / "p.json")["identity"]["arcface"]
    assert abs(found["edit_mean"] - 1) < 1e-4 and found["inversion_mean"] is None
    assert found["ic"]["source"] == found["ic"]["edit"]


def test_another_persons_frames_are_flagged_within_a_frame_and_miss_the_gate(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    swapped = make_clip(tmp_path / "swapped.mp4", frames=24, cut_at=13)
    assert report(clip, swapped, "--json", tmp_path / "p.json", "--min-identity", 0.7) == 6
    found = document(tmp_path / "p.json")
    (flag,) = (flag for flag in found["flags"] if flag["kind"] == "low_similarity")
    assert (flag["from_s"], flag["to_s"]) == (13 / 25, 23 / 25)
    assert "person 0 at 0.52-0.92 s" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["size", "rotation", "colour", "rate"])
def test_a_video_that_another_tool_wrote_is_followed(clip: Path, tmp_path: Path, change: str) -> None:
    other = tmp_path / "other.mkv"
    if change == "size":
        _rewritten(clip, other, size=(192, 128))
    elif change == "rotation":
        make_clip(clip, frames=24, rotation=90)
        _rewritten(clip, other, turns=-1)
    elif change == "colour":
        _rewritten(clip, other, full=True)
    else:
        _rewritten(clip, other, every=2)
    assert report(clip, other, "--json", tmp_path / "p.json") == 0
    (track,) = document(tmp_path / "p.json")["identity"]["tracks"]
    alike = [row["arcface_edit"] for row in face_rows(track)]
    assert len(alike) == 24
    assert min(alike[::2] if change == "rate" else alike) > 0.995


def _rewritten(
    source: Path,
    target: Path,
    *,
    size: tuple[int, int] | None = None,
    turns: int = 0,
    full: bool = False,
    every: int = 1,
) -> None:
    """The clip as another tool may write it: scaled, turned upright, in full range, or every n-th frame."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = None
        for index, frame in enumerate(read.decode(video=0)):
            if index % every:
                continue
            rgb = np.rot90(frame.to_ndarray(format="rgb24"), turns)
            made = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), "rgb24")
            width, height = size or (made.width, made.height)
            if stream is None:
                stream = written.add_stream("libx264", rate=25, options={"crf": "6"})
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                stream.codec_context.time_base = Fraction(1, 1000)
                stream.codec_context.color_range = 2 if full else 1
                stream.codec_context.colorspace = 5
            made = made.reformat(width, height, "yuv420p", dst_colorspace=5, dst_color_range=2 if full else 1)
            made.pts, made.time_base = index * 40, Fraction(1, 1000)
            written.mux(stream.encode(made))
        assert stream is not None
        written.mux(stream.encode(None))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["in.mp4"], 3, "no report in.mp4.json"),
        (["none.mp4"], 3, "no report none.mp4.json"),
        (["in.mp4", "in.mp4", "in.mp4"], 2, "got 3"),
        (["compare", "in.mp4"], 2, "nothing to compare"),
        (["in.mp4", "wide.mp4"], 2, "their aspect ratios differ"),
        (["in.mp4", "long.mp4"], 2, "their lengths differ"),
        (["in.mp4", "in.mp4", "--min-identity", "7"], 2, "not a similarity"),
        (["in.mp4", "text.mp4"], 3, "not a readable video"),
        (["in.mp4", "in.mp4", "-o", "in.mp4"], 2, "is the input itself"),
    ],
)
def test_what_cannot_be_reported_on_is_one_line(
    clip: Path,
    tmp_path: Path,
    arguments: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_clip(tmp_path / "wide.mp4", size=(128, 64), frames=24)
    make_clip(tmp_path / "long.mp4", frames=60)
    (tmp_path / "text.mp4").write_text("hello")
    assert report(*arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error
    assert left_behind(tmp_path, but={"in.mp4", "wide.mp4", "long.mp4", "text.mp4"}) == set()


@pytest.mark.slow
def test_outputs_of_one_name_are_compared_side_by_side(clip: Path, tmp_path: Path) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        assert run(clip, "-o", tmp_path / folder / "out.mp4", *EDIT) == 0
    outputs = [tmp_path / folder / "out.mp4" for folder in ("one", "two")]
    assert report("compare", *outputs, "-o", tmp_path / "c.html", "--json", tmp_path / "c.json") == 0
    assert list(json.loads((tmp_path / "c.json").read_text())) == list(map(str, outputs))
    assert "one/out.mp4" in (tmp_path / "c.html").read_text()


def test_a_page_is_built_again_though_the_video_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a.mp4.json").write_text(json.dumps(simulated_reports.report(20)))
    command = ["report", str(tmp_path / "a.mp4.json"), "-o", str(tmp_path / "page.html"), "--overwrite"]
    assert [main(command), main(command)] == [0, 0]
