"""On a real GPU: runs, refinement, trainings and bfloat16, held to the CPU. They skip where there is none.

`DEVICE = "cpu"` in this file's first lines tries all but the device.
"""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.device_trainings import TRAININGS
from tests.helpers.runs import edited, frames_of
from vidinv.backends.tiny import guides
from vidinv.bench.synthetic_clip import make_clip
from vidinv.config import Effort
from vidinv.editing import refine
from vidinv.engines.export_modules import PictureModule, SketchModule
from vidinv.engines.runner import TOLERANCE_DB, Runner
from vidinv.frames import Code
from vidinv.generators import proxy, registry

DEVICE = "cuda"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="there is no GPU here"),
]
LEAST_DB = {"float32": 40.0, "bfloat16": 30.0}  # of frames to the CPU's in float32; a GPU's own rounds to 10 bits too


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    """In dB, of samples of 8 bits."""
    error = float(((one.astype(float) - other.astype(float)) ** 2).mean())
    return float("inf") if error == 0 else 10 * np.log10(255**2 / error)


@pytest.mark.parametrize("precision", LEAST_DB)
@pytest.mark.parametrize("quality", ["fast", "balanced"])
def test_a_run_gives_the_frames_of_the_cpu(quality: str, precision: str, tmp_path: Path) -> None:
    source, found = make_clip(tmp_path / "clip.mp4", frames=6), []
    for device, number in (("cpu", "float32"), (DEVICE, precision)):
        given = ["--quality", quality, "--codec", "lossless", "--device", device]
        given += ["--set", f"precision={number}", "--set", "engine=eager", "--set", "threads=2"]
        found.append(frames_of(edited(source, tmp_path / f"{len(found)}.mkv", *given)))
    assert len(found[0]) == len(found[1]) == 6
    for (pts, one), (again, other) in zip(*found, strict=True):
        assert pts == again
        assert min(psnr(a, b) for a, b in zip(one, other, strict=True)) >= LEAST_DB[precision]


def test_a_run_repeated_is_the_same_and_leaves_no_memory_behind(tmp_path: Path) -> None:
    source, held, found = make_clip(tmp_path / "clip.mp4", frames=6), [], []
    given = ["--quality", "fast", "--codec", "lossless", "--device", DEVICE, "--set", "engine=eager"]
    for n in range(4):
        found.append(frames_of(edited(source, tmp_path / f"{n}.mkv", *given)))
        gc.collect()
        held.append(torch.cuda.memory_allocated())
    assert held[-1] <= held[1] + (1 << 20)
    for again in found[1:]:
        for (_, one), (_, other) in zip(found[0], again, strict=True):
            assert min(psnr(a, b) for a, b in zip(one, other, strict=True)) >= LEAST_DB["float32"]


@pytest.mark.parametrize("half", [False, True])
def test_refinement_comes_as_near_as_on_the_cpu(half: bool) -> None:
    reached = {}
    for device in ("cpu", DEVICE):
        generator = registry.load_generator("mobile-stylegan-tiny", device)
        quick, settings = proxy.load_proxy(generator, 128), refine.Settings(size=128)
        ws = generator.broadcast(generator.w_avg[None])
        code = Code(ws, generator.synthesize(ws, stop=2), 2, space=generator.space)
        target = generator.synthesize(generator.broadcast(generator.sample(1, seed=4))).clamp(-1, 1).detach()
        trace = None
        for _ in range(2):
            given = generator, code, target, trace, Effort(4, 4), guides(device), settings, quick
            found, trace = refine.refine(*given, half=half and device != "cpu")
        assert found.feature is not None and found.feature.device.type == device == trace.person.device.type
        with torch.no_grad():
            made = generator.synthesize(found.ws, feature=found.feature, at=2)
        reached[device] = float((made - target).square().mean())
    assert reached[DEVICE] <= 1.1 * reached["cpu"]


@pytest.mark.parametrize("training", TRAININGS)
def test_a_training_takes_its_turns(training: str, tmp_path: Path) -> None:
    state = TRAININGS[training](DEVICE, tmp_path)
    assert state and all(bool(torch.isfinite(value).all()) for value in state.values())


@pytest.mark.weights
def test_bfloat16_keeps_a_face_to_45_db_of_float32() -> None:
    generator = registry.load_generator("mobile-stylegan-ffhq-1024", DEVICE)
    at = generator.layer_at(16)
    ws = generator.broadcast(generator.truncate(generator.sample(1, seed=3), 0.7)).contiguous()
    code = ws, generator.synthesize(ws, stop=at)
    for graph in (SketchModule(proxy.load_proxy(generator, 256), at), PictureModule(generator, at, 512)):
        (ours,), (wanted,) = Runner("eager", "bfloat16")(graph, *code), Runner()(graph, *code)
        assert 10 * float(torch.log10(4 / (ours - wanted).square().mean())) > TOLERANCE_DB
