"""`vidinv bench` with the tiny backend: what it says, and that the serial baseline makes our picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers.runs import SHOWN, TINY, frames_of
from vidinv import config as configs
from vidinv import process
from vidinv.bench import compare, end_to_end, isolated_stages, roofline, scaling, serial
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.bench import lines as bench_lines
from vidinv.cli.main import main
from vidinv.media.probe import probe

FRAMES = 5
FAST = [*TINY, *SHOWN, "--quality", "fast"]
CHANGES = [*(each for each in FAST if "=" in each), "backend=tiny"]


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("bench")
    clip = make_clip(folder / "in.mp4", frames=FRAMES, size=(128, 128))
    asked = ["bench", clip, "--edit", "age+3", "--repeats", 2, "--serial-frames", 3, "--json", folder / "b.json", *FAST]
    assert main([str(each) for each in asked]) == 0
    return dict(json.loads((folder / "b.json").read_text()))


def test_every_stage_of_both_flows_has_its_time_and_share(figures: dict[str, Any]) -> None:
    ours = {"analyse", "decode", "align", "encode", "edit", "synthesize", "mask", "blend", "measure", "reencode"}
    assert ours <= figures["stages"].keys()
    base = figures["serial_baseline"]
    assert tuple(base["stages"]) == serial.PHASES
    for flow in (figures, base):
        assert sum(flow["shares"].values()) == pytest.approx(1, abs=0.01)
        assert all(took["ms_per_frame"] >= 0 and 0 <= took["occupancy"] <= 1 for took in flow["stages"].values())


def test_the_ratio_is_that_of_the_seconds_a_frame(figures: dict[str, Any]) -> None:
    base, rate = figures["serial_baseline"], figures["frames_per_s"]
    low, high = rate["min"] / base["frames_per_s"]["max"], rate["max"] / base["frames_per_s"]["min"]
    assert low * 0.99 <= figures["ratio_to_serial_baseline"] <= high * 1.01
    assert figures["frames"] == FRAMES and base["frames"] == 3


def test_the_figures_of_the_machine_are_there(figures: dict[str, Any]) -> None:
    assert 0 < figures["cpu_utilisation"] <= 1.5 and figures["peak_memory_mb"] > 50
    roof = figures["roofline"]
    assert roof["conv_gflops_float32"] > 1 and roof["memory_gb_per_s"] > 0.1 and roof["gflop_per_frame"] > 0
    assert 0 < roof["fraction_reached"] < 1
    assert figures["reader_frames_per_s"] > 0 and figures["writer_frames_per_s"] > 0


def test_the_pictures_agree_and_an_edit_that_is_left_out_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=3, size=(128, 128))
    shared = compare.setup(clip, configs.load_run_config("fast", [*CHANGES, "edits=[age+3]"]))
    found = compare.agreement(shared)
    assert found > 30  # the tiny generator draws noise, which 4:2:0 blurs; a face is above 50
    monkeypatch.setattr(serial, "_blend", lambda flow, *_: (flow.folder / "frames").rename(flow.folder / "blended"))
    assert compare.agreement(shared) < found - 1.5


def test_the_device_is_recorded_and_a_gpu_named_and_waited_for(
    figures: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert figures["device"] == "cpu" and "gpu" not in figures
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    assert roofline.name_of("cuda") == {"device": "cuda", "gpu": "Some GPU"}
    said = bench_lines({**figures, **roofline.name_of("cuda")})[0]
    assert "in float32 on Some GPU" in said or "in bfloat16 on Some GPU" in said
    now, queued = [0.0], [0.0]  # of a GPU that works when it is waited for

    def synchronize() -> None:
        now[0], queued[0] = now[0] + queued[0], 0.0

    def two_seconds_of_work() -> None:
        queued[0] += 2.0

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    monkeypatch.setattr(roofline.time, "perf_counter", lambda: now[0])
    assert roofline.shortest_seconds(two_seconds_of_work, "cuda") == 2.0


def test_the_operations_of_the_networks_are_counted(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=4, size=(128, 128))
    config = configs.load_run_config("fast", [*CHANGES, "edits=[age+3]"])
    one = end_to_end.counted(clip, config)[1]
    two = end_to_end.counted(clip, configs.with_edits(config, ["smile+1@region=mouth"]))[1]  # another picture to draw
    assert two > 1.05 * one > 0


def test_the_fit_gives_back_a_start_and_a_frame_and_how_far_off_a_run_is() -> None:
    straight = [scaling.RunCost(n, 2.0 + 0.3 * n, 1.0, 0) for n in (250, 750, 3000)]
    assert scaling.fit(straight) == {"start_cpu_s": 2.0, "frame_cpu_ms": 300.0, "largest_deviation": 0.0}
    bent = [*straight[:2], scaling.RunCost(3000, 1.5 * straight[2].cpu_s, 1.0, 0)]
    assert scaling.fit(bent)["largest_deviation"] > 0.05


@pytest.mark.slow
def test_a_longer_clip_and_more_faces_are_made_and_run(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=4, size=(160, 96))
    config = configs.load_run_config("fast", [*CHANGES, "edits=[age+2]"])
    longer = scaling.run(source, tmp_path, config, 0.4, 64, 1)
    assert longer.frames == 10 and longer.cpu_s > 0
    scaling.write_clip(tmp_path / "four.mp4", source, 3, 64, 4)
    info = probe(tmp_path / "four.mp4")
    assert (info.width, info.height) == (128, 128)


@pytest.mark.slow
def test_every_stage_alone_makes_what_the_job_makes(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=FRAMES, size=(128, 128))
    config = configs.load_run_config("fast", [*CHANGES, "edits=[age+3]", "codec=lossless"])
    made: list[Any] = []
    found = isolated_stages.run(
        clip, config, lambda job: made.extend(frames_of(job.folder.path / "segment-00000.segment"))
    )
    inside = end_to_end.run(clip, config, tmp_path / "out.mp4")
    same = zip(made, frames_of(tmp_path / "out.mp4"), strict=True)
    assert len(made) == FRAMES == found.frames
    assert all(np.array_equal(a, b) for (_, one), (_, other) in same for a, b in zip(one, other, strict=True))
    assert found.stages.keys() == inside.stages.keys() and found.total >= sum(found.stages.values()) * 0.9


def test_a_stage_that_costs_more_in_the_job_than_alone_is_named(figures: dict[str, Any]) -> None:
    took = {"align": 0.1, "draw": 2.6, "fade": 0.0009}
    jobs = [end_to_end.MeasuredRun(10, 9.0, 3.0, {k: {"cpu_s": n * v} for k, v in took.items()}) for n in (1, 2)]
    apart = [isolated_stages.IsolatedCost(10, {"align": 0.1, "draw": n * 2.0, "fade": 0.0001}, n * 2.5) for n in (3, 1)]
    found = isolated_stages.compare_costs(jobs, apart)
    assert found["stages"]["draw"] == {"cpu_ms": 260.0, "alone_cpu_ms": 200.0, "over": 0.3}
    assert found["largest"] == {"stage": "draw", "over": 0.3} and found["total"]["over"] == 0.2  # fade is too little
    assert figures["alone"]["stages"].keys() == figures["stages"].keys()
    assert all(row["alone_cpu_ms"] >= 0 for row in figures["alone"]["stages"].values())


def test_the_fit_over_faces_is_a_line_and_says_how_far_off_four_are() -> None:
    assert scaling.linear([1, 2, 4], [0.15, 0.25, 0.45]) == {
        "start_cpu_s": 0.05,
        "each_cpu_s": 0.1,
        "largest_deviation": 0.0,
    }
    assert scaling.linear([1, 2, 4], [0.15, 0.25, 0.8])["largest_deviation"] > 0.1


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="a peak is forgotten on Linux alone")
def test_the_peak_is_of_what_was_held_since_it_was_forgotten() -> None:
    held = np.ones(200 << 17)  # 200 MB
    end_to_end.forget_peak()
    before = process.peak_memory_mb()
    del held
    end_to_end.forget_peak()
    assert process.peak_memory_mb() < before - 150
