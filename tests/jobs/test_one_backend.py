"""A job's backend is resolved once: its file may change or go while the job runs, and a resumed job asks again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.observed_progress import ObservedProgress
from tests.helpers.own_backend import LEAST, PLAIN, create, refused, shape_clip
from tests.helpers.runs import frames_of
from vidinv import config as configs
from vidinv.backends import spec as backend_spec
from vidinv.jobs import video_job
from vidinv.jobs.request import Request

SETTINGS = [value for value in LEAST if "=" in value] + ["codec=lossless", "backend=mine"]


@pytest.fixture
def clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))
    return shape_clip(tmp_path)


def describe(alignment: str = "center", mask: str = "square", *more: object) -> None:
    create("mine", "stylegan2-tiny", "--alignment", alignment, "--mask", mask, *PLAIN, *more)


def request(clip: Path, output: str) -> Request:
    config = configs.with_edits(configs.load_run_config("balanced", SETTINGS), ["sefa.1+3"])
    return Request(clip, clip.with_name(output), config)


@pytest.mark.parametrize("moment", ["analyse", "render"])
@pytest.mark.parametrize("change", ["rewritten", "removed"])
def test_a_backend_file_that_changes_in_mid_job_changes_nothing_of_it(clip: Path, moment: str, change: str) -> None:
    describe()
    video_job.run(wanted := request(clip, "wanted.mkv"))

    def disturb(name: str) -> None:
        if name != moment:
            return
        backend_spec.path_of("mine").unlink()
        if change == "rewritten":
            describe("none", "ellipse")

    video_job.run(found := request(clip, "found.mkv"), ObservedProgress(on_phase=disturb))
    pairs = list(zip(frames_of(wanted.output), frames_of(found.output), strict=True))
    assert pairs and all(
        np.array_equal(a, b) for (_, ours), (_, theirs) in pairs for a, b in zip(ours, theirs, strict=True)
    )


def test_another_backend_file_gives_other_frames(clip: Path) -> None:
    """What the test above compares would show the change."""
    describe()
    video_job.run(one := request(clip, "one.mkv"))
    backend_spec.path_of("mine").unlink()
    describe("none", "ellipse")
    video_job.run(other := request(clip, "other.mkv"))
    pairs = zip(frames_of(one.output), frames_of(other.output), strict=True)
    assert any(not np.array_equal(a, b) for (_, a_), (_, b_) in pairs for a, b in zip(a_, b_, strict=True))


def test_a_job_is_not_resumed_with_another_backend_file(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    describe()
    asked = request(clip, "out.mkv")

    def interrupt(name: str) -> None:
        if name == "assemble":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        video_job.run(asked, ObservedProgress(on_phase=interrupt))
    kept = backend_spec.path_of("mine").read_text()
    backend_spec.path_of("mine").unlink()
    describe("none", "ellipse")
    capsys.readouterr()
    command = ["run", clip, "--backend", "mine", "--edit", "sefa.1+3", "-o", asked.output, *LEAST]
    assert "another source, edit or configuration" in refused(capsys, 2, *command)
    backend_spec.path_of("mine").write_text(kept)
    assert video_job.run(asked)["frames"] == 6
