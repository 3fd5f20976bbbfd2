"""Where the networks run: whether every door moves what it should (`tests/engines/test_gpu.py` asks a real GPU)."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.pretend_device import DEVICE, pretending
from tests.helpers.runs import edited, frames_of
from vidinv import config as configs
from vidinv.backends import tiny
from vidinv.backends.tiny import guides
from vidinv.bench.synthetic_clip import make_clip
from vidinv.config import Effort, RefineConfig
from vidinv.editing import feature_edit, refine
from vidinv.encoders import registry as encoders
from vidinv.errors import UsageError
from vidinv.frames import Code, Colour, EditLayer, FaceBatch, FrameBatch, Work
from vidinv.generators import proxy
from vidinv.generators import registry as generators
from vidinv.jobs import request as requests
from vidinv.stages import encode, synthesize

OFF = RefineConfig(Effort(0, 0), Effort(0, 0))


def faces_on_the_cpu() -> Work:
    frames = FrameBatch((None, None), Colour("bt709", False), (0, 1), Fraction(1, 25), (0, 1))  # type: ignore[arg-type]
    image, numbers = torch.zeros(2, 3, 64, 64), torch.zeros(2, dtype=torch.int64)
    return Work(frames, FaceBatch(image, numbers, numbers, torch.zeros(2, 2, 3, dtype=torch.float64)))


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> str:
    """A device whose tensors refuse to meet the CPU's; those that come back are zeros, and ones as numbers."""
    monkeypatch.setattr(torch, "autocast", lambda *arguments, **options: nullcontext())
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: torch.zeros(tensor.shape))
    monkeypatch.setattr(torch.Tensor, "__float__", lambda tensor: 1.0)
    monkeypatch.setattr(torch.Tensor, "__bool__", lambda tensor: True)
    return "meta"


def test_crops_go_to_the_networks_device_and_pictures_come_back(away: str, tmp_path: Path) -> None:
    generator = generators.load_generator("mobile-stylegan-tiny", away)
    encode_stage = encode.build_encode_stage(
        encoders.load_encoder("feature-style-tiny", away), None, OFF, encode.Traces(tmp_path), away
    )
    draw = synthesize.build_synthesize_stage(generator, proxy.load_proxy(generator, 128), 64, lambda work, n: True)
    (encoded,) = encode_stage(iter([faces_on_the_cpu()]))
    assert encoded.codes is not None and encoded.codes.ws.device.type == away
    smile = tiny.direction("smile")
    edited = feature_edit.edit(generator, encoded.codes, [(smile, 1.0)])
    (drawn,) = draw(iter([replace(encoded, layers=(EditLayer("face", edited, (1.0,) * len(edited)),))]))
    for picture in (drawn.check, drawn.inversion, drawn.edit):
        assert picture is not None and picture.device.type == "cpu"


def test_refinement_stays_on_its_device(away: str) -> None:
    generator = generators.load_generator("mobile-stylegan-tiny", away)
    ws = generator.broadcast(generator.w_avg[None])
    code = Code(ws, generator.synthesize(ws, stop=2), 2, space=generator.space)
    target, settings = torch.zeros(1, 3, 64, 64, device=away), refine.Settings(size=128)
    quick, trace = proxy.load_proxy(generator, 128), None
    for _ in range(2):
        found, trace = refine.refine(generator, code, target, trace, Effort(2, 2), guides(), settings, quick)
        assert found.ws.device.type == trace.feature.mean.device.type == trace.person.device.type == away


def test_a_device_that_is_not_there_is_refused_and_auto_takes_what_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert requests.pick_device("auto") == requests.pick_device("cpu") == "cpu"
    with pytest.raises(UsageError, match="no CUDA device"):
        requests.pick_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (requests.pick_device("auto"), requests.pick_device("cpu"), requests.pick_device("cuda")) == (
        "cuda",
        "cpu",
        "cuda",
    )


def test_a_run_records_the_threads_and_the_device_it_took_and_resumes_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settled = requests.settle(configs.load_run_config("fast"), tiny.BACKEND, tmp_path / "none")
    assert (settled.threads, settled.device) == (3, "cpu")
    assert requests.settle(configs.load_run_config("fast", ["threads=1"]), tiny.BACKEND, tmp_path / "none").threads == 1
    (tmp_path / "config.yaml").write_text(configs.to_yaml(settled))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert requests.settle(configs.load_run_config("fast"), tiny.BACKEND, tmp_path / "config.yaml") == settled


@pytest.mark.parametrize("quality", ["fast", "balanced"])
def test_a_run_on_another_device_gives_the_frames_of_the_cpu_and_mixes_nothing(
    quality: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, found = make_clip(tmp_path / "clip.mp4", frames=3), []
    monkeypatch.setitem(configs.CHOICES, "device", ("cpu", DEVICE))
    monkeypatch.setattr(requests, "pick_device", lambda asked: asked)
    settings = ["--quality", quality, "--codec", "lossless", *("--set", "precision=float32", "--set", "engine=eager")]
    with pretending() as away:
        for device in ("cpu", away):
            output = edited(source, tmp_path / f"{device}.mkv", *settings, "--set", f"device={device}")
            found.append(frames_of(output))
    assert any((a[1][0] != b[1][0]).any() for a, b in zip(found[0], frames_of(source), strict=True)), "it is edited"
    for (_, one), (_, other) in zip(*found, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
