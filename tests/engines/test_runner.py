"""The engines: each draws what torch draws, one that does not is refused, and the choice is remembered and recorded."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.helpers.own_backend import PLAIN, create, refused, shape_clip
from tests.helpers.runs import SHOWN, TINY, frames_of, report_of
from vidinv import config as configs
from vidinv import extras
from vidinv.analysis import first_pass
from vidinv.backends import registry as backends
from vidinv.backends.interface import Backend
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.config import Effort, RefineConfig, RunConfig
from vidinv.encoders import registry as encoders
from vidinv.engines import exported, runner
from vidinv.engines.export_modules import EncodingModule, PictureModule, SketchAndPicture, SketchModule
from vidinv.engines.runner import Runner
from vidinv.errors import UsageError
from vidinv.generators import haar, mobile_stylegan, proxy
from vidinv.jobs import engine_autotune
from vidinv.jobs import request as requests
from vidinv.jobs.job_folder import JobFolder

OFF = RefineConfig(Effort(0, 0), Effort(0, 0))
SETTLED = RunConfig(crop=64, precision="float32", threads=1, device="cpu", engine="auto", refine=OFF)
OTHERS = [name for name, package in runner.PACKAGES.items() if extras.is_installed(package)]


def graphs() -> dict[str, tuple[nn.Module, tuple[Tensor, ...]]]:
    """Every graph of the tiny networks, with inputs."""
    generator, encoder = mobile_stylegan.tiny(), encoders.load_encoder("feature-style-tiny")
    head, at = proxy.load_proxy(generator, 128), encoder.at
    assert at is not None
    with torch.no_grad():
        ws = generator.broadcast(generator.sample(1)).contiguous()
        code = (ws, generator.synthesize(ws, stop=at) + 0.1)
    return {
        "encoding": (EncodingModule(encoder), (torch.rand(2, 3, 64, 64) * 2 - 1,)),
        "sketch": (SketchModule(head, at), code),
        "drawing": (PictureModule(generator, at, 64), code),
        "both": (SketchAndPicture(head, at, 64), code),
    }


@pytest.mark.parametrize(
    "name", ["sketch", *(pytest.param(name, marks=pytest.mark.slow) for name in ("encoding", "both"))]
)
@pytest.mark.parametrize("engine", OTHERS)
def test_another_engine_gives_what_torch_gives(engine: str, name: str) -> None:
    graph, inputs = graphs()[name]
    found = Runner(engine, "float32", 1)(graph, *inputs)
    for ours, wanted in zip(found, graph(*inputs), strict=True):
        assert (
            ours.shape == wanted.shape and runner.psnr_db(ours, wanted.detach()) > 55
        )  # the head is bfloat16 in torch


@pytest.mark.parametrize("name", ["encoding", "drawing"])
def test_half_precision_stays_near_float32_and_is_not_the_same(name: str) -> None:
    graph, inputs = graphs()[name]
    for ours, wanted in zip(Runner("eager", "bfloat16")(graph, *inputs), graph(*inputs), strict=True):
        assert ours.dtype == torch.float32 and not torch.equal(ours, wanted)
        assert runner.psnr_db(ours, wanted.detach()) > 30  # random weights; the fetched ones are held to more below


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("precision", runner.PRECISIONS)
def test_a_gpu_draws_what_the_processor_draws(precision: str) -> None:
    graph, inputs = graphs()["drawing"]
    (wanted,) = Runner()(graph, *inputs)
    (found,) = Runner("eager", precision)(graph.to("cuda"), *(each.to("cuda") for each in inputs))
    assert found.device.type == "cuda" and runner.psnr_db(found.cpu(), wanted) > 30


@pytest.mark.slow
@pytest.mark.weights
def test_half_precision_keeps_a_face_to_45_db() -> None:
    from vidinv.generators import registry

    generator = registry.load_generator("mobile-stylegan-ffhq-1024")
    at = generator.layer_at(16)
    ws = generator.broadcast(generator.truncate(generator.sample(1, seed=3), 0.7)).contiguous()
    code = ws, generator.synthesize(ws, stop=at)
    for graph in (SketchModule(proxy.load_proxy(generator, 256), at), PictureModule(generator, at, 512)):
        (ours,), (wanted,) = Runner("eager", "bfloat16")(graph, *code), Runner()(graph, *code)
        assert 10 * float(torch.log10(4 / (ours - wanted).square().mean())) > 45


def test_an_engine_that_gives_another_picture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, inputs = graphs()["sketch"]
    monkeypatch.setattr(exported, "openvino", lambda graph, *_: lambda *given: tuple(x + 0.1 for x in graph(*given)))
    monkeypatch.setitem(runner.PACKAGES, "openvino", "torch")
    with pytest.raises(UsageError, match="dB PSNR to float32"):
        Runner("openvino")(graph, *inputs)


def test_what_leaves_torch_is_the_same_transform() -> None:
    bands = torch.randn(2, 12, 5, 7)
    torch.testing.assert_close(haar._exportable(bands), haar.inverse_haar(bands))


def test_an_engine_that_is_not_installed_exits_2_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(runner.PACKAGES, "openvino", "no_such_package")
    monkeypatch.setitem(extras.EXTRAS, "no_such_package", ("openvino", "the package no_such_package"))
    clip = make_clip(tmp_path / "in.mp4", frames=2)
    assert main(["run", str(clip), "--edit", "age+2", "--engine", "openvino", *TINY]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "no_such_package" in said and sorted(tmp_path.iterdir()) == [clip]


def test_auto_measures_once_and_takes_the_quickest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path))
    monkeypatch.setitem(runner.PACKAGES, "openvino", "torch")  # as if installed
    asked: list[str] = []

    def measured(config: RunConfig, backend: Backend, rivals: list[str]) -> dict[str, float]:
        asked.append(backend.name)
        return {"eager": 1.0, "openvino": 0.5 if backend.name == "tiny" else 0.95}

    monkeypatch.setattr(engine_autotune, "measure_engines", measured)
    tiny, default = map(backends.choose_backend, ("tiny", "default"))
    assert [engine_autotune.quickest_engine(SETTLED, tiny) for _ in range(3)] == ["openvino"] * 3
    assert engine_autotune.quickest_engine(SETTLED, default) == "eager"  # not worth it
    assert asked == ["tiny", "default"]
    assert engine_autotune.quickest_engine(replace(SETTLED, device="cuda"), tiny) == "eager"


def test_a_cache_that_cannot_be_written_does_not_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "file"))
    monkeypatch.setitem(runner.PACKAGES, "openvino", "torch")
    monkeypatch.setattr(engine_autotune, "measure_engines", lambda *_: {"eager": 1.0, "openvino": 0.5})
    assert engine_autotune.quickest_engine(SETTLED, backends.choose_backend("tiny")) == "openvino"


@pytest.mark.slow
def test_the_probe_times_torch_beside_what_can_draw_the_picture() -> None:
    took = engine_autotune.measure_engines(SETTLED, backends.choose_backend("tiny"), OTHERS)
    assert set(took) == {"eager", *OTHERS} and all(seconds > 0 for seconds in took.values())


def test_a_resumed_job_takes_the_recorded_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_autotune, "quickest_engine", lambda *_: pytest.fail("measured again"))
    recorded = tmp_path / "config.yaml"
    recorded.write_text(
        configs.to_yaml(configs.load_run_config("fast", ["engine=openvino", "precision=bfloat16", "threads=1"]))
    )
    settled = requests.settle(
        configs.load_run_config("fast", ["engine=auto"]), backends.choose_backend("tiny"), recorded
    )
    assert (settled.engine, settled.precision) == ("openvino", "bfloat16")


@pytest.mark.slow
@pytest.mark.skipif("openvino" not in OTHERS, reason="openvino is not installed")
def test_a_run_by_another_engine_makes_nearly_the_same_frames(tmp_path: Path) -> None:
    clip, made = make_clip(tmp_path / "in.mp4", frames=4, size=(128, 128)), {}
    for engine in ("eager", "openvino"):
        output = tmp_path / f"{engine}.mkv"
        options = ["--quality", "fast", "--codec", "lossless", "--set", "precision=float32", "--engine", engine]
        assert main([*map(str, ("run", clip, "--edit", "age+2", "-o", output, *TINY, *SHOWN, *options))]) == 0
        made[engine] = frames_of(output)
        assert json.loads(Path(f"{output}.json").read_text())["settings"]["engine"] == engine
    for (_, ours), (_, theirs) in zip(*made.values(), strict=True):
        assert max(abs(a.astype(int) - b.astype(int)).max() for a, b in zip(ours, theirs, strict=True)) <= 6


@pytest.mark.parametrize(("native", "precision"), [(True, "bfloat16"), (False, "float32")])
def test_a_gpu_works_in_bfloat16_where_it_has_instructions_of_its_own(
    native: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def supported(including_emulation: bool = True) -> bool:
        asked.append(including_emulation)
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert runner.native_precision("cuda") == precision and asked == [False]


def unexportable_backend(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend whose encoder no exporter takes: it is spectrally normalised."""
    monkeypatch.setenv("VIDINV_CACHE", str(folder / "cache"))
    options = ("--encoder", "automodulator-tiny", "--alignment", "none", *PLAIN)
    create("normed", "automodulator-tiny", *options)


FAST = ["--backend", "normed", "--quality", "fast", "--codec", "lossless", "--set", "crop=16", "--set", "threads=1"]


@pytest.mark.parametrize("engine", OTHERS)
def test_an_engine_that_cannot_run_the_encoder_is_refused_before_any_frame_is_read(
    engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unexportable_backend(tmp_path, monkeypatch)
    clip, output = shape_clip(tmp_path), tmp_path / "out.mkv"
    monkeypatch.setattr(first_pass, "analyse", lambda *_: pytest.fail("the clip was analysed"))
    capsys.readouterr()
    line = refused(capsys, 2, "run", clip, "--edit", "sefa.1+3", "-o", output, *FAST, "--engine", engine)
    assert f"--engine {engine} cannot run EncodingModule" in line
    assert not output.exists() and not JobFolder(output).path.exists()


@pytest.mark.slow
@pytest.mark.skipif(not OTHERS, reason="no other engine is installed")
def test_auto_never_takes_an_engine_that_cannot_run_the_encoder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unexportable_backend(tmp_path, monkeypatch)
    clip, output = shape_clip(tmp_path), tmp_path / "out.mkv"
    command = ["run", clip, "--edit", "sefa.1+3", "-o", output, *FAST, "--engine", "auto"]
    assert main(list(map(str, command))) == 0
    assert report_of(output)["settings"]["engine"] == "eager"
