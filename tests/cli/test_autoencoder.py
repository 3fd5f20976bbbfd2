"""`vidinv train ae-stylegan|automodulator` and what is done with the result: grids, a backend, a run."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.helpers.runs import SHOWN, STEPS, frames_of, report_of
from vidinv import api
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.jobs.autoencoder import trained as trained_autoencoder
from vidinv.media import picture
from vidinv.trainers.data.toy_images import Blobs


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "blobs.npy"
    np.save(path, ((Blobs(16).draw(32, 0) + 1) * 127.5).round().byte().numpy())
    return path


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faces")
    for place, image in enumerate(Blobs(16).draw(4, 1)):
        picture.write_picture(folder / f"{place}.png", image)
    return folder


def train(kind: str, folder: Path, corpus: Path, *more: str) -> int:
    told = ["--set", f"data={corpus}", *(part for each in more for part in ("--set", each))]
    return main(["train", kind, "-o", str(folder), "--config", "tiny", "--device", "cpu", *told, "--offline"])


@pytest.fixture(scope="module", params=["ae-stylegan", "automodulator"])
def trained(request: pytest.FixtureRequest, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / request.param
    changes = ["images=24"] if request.param == "ae-stylegan" else ["images=[16]"]
    assert train(request.param, folder, corpus, *changes, f"name={request.param}-tried") == 0
    return folder


def test_a_training_leaves_two_files_that_fit_each_other(trained: Path) -> None:
    of = trained_autoencoder.load_autoencoder(trained)
    assert of.generator.name == f"{trained.name}-tried" and of.encoder.space == of.generator.space
    again = of.draw(of.encode(Blobs(16).draw(2, 0)))
    assert again.shape == (2, 3, 16, 16) and again.isfinite().all()


def test_a_finished_training_is_resumed_to_the_same_files_and_not_begun_again(
    trained: Path, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = load_file(trained / "generator.safetensors")
    assert main(["train", trained.name, "--resume", str(trained), "--device", "cpu", "--offline"]) == 0
    after = load_file(trained / "generator.safetensors")
    assert all(torch.equal(value, after[key]) for key, value in before.items())
    assert train(trained.name, trained, corpus) == 2
    assert f"--resume {trained}" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["ae-stylegan", "automodulator"])
def test_data_that_cannot_be_read_leave_no_folder_that_would_bar_the_next_try(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(kind, tmp_path / "new", tmp_path / "missing.tar") == 3
    assert "missing.tar is not a tar" in capsys.readouterr().err and not (tmp_path / "new").exists()


def test_a_dry_run_prints_the_plan_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    narrow = ["--set", "channel_max=8"]
    for kind, more, said in (
        ("ae-stylegan", ["--set", "perceptual=0", "--set", "network=none"], "step D-r1: trains D, every 16"),
        ("automodulator", [], "256 pixels: 5000000 images"),
    ):
        told = ["--config", "paper", *narrow, *more]
        assert main(["train", kind, "-o", str(tmp_path / "t"), *told, "--dry-run", "--device", "cpu", "--offline"]) == 0
        assert said in capsys.readouterr().out and not (tmp_path / "t").exists()


@pytest.mark.parametrize(
    ("command", "shape"),
    [
        (["reconstruct", "{faces}"], (2 * 16, 4 * 16)),
        (["sample", "--count", "9"], (3 * 16, 3 * 16)),
        (["mix", "{faces}", "--with", "{faces}/0.png", "--scale", "8-16"], (5 * 16, 2 * 16)),
        (["vary", "{faces}/1.png", "--count", "3"], (16, 5 * 16)),
        (["edit", "{faces}/1.png", "--having", "{faces}", "--lacking", "{faces}", "--strength", "1"], (16, 3 * 16)),
        (["interpolate", "{faces}", "--steps", "3"], (3 * 16, 3 * 16)),
        (["transfer", "{faces}/0.png", "{faces}/1.png"], (16, 3 * 16)),
    ],
)
def test_every_capability_writes_its_grid(
    command: list[str], shape: tuple[int, int], trained: Path, faces: Path, tmp_path: Path
) -> None:
    name, *rest = (part.format(faces=faces) for part in command)
    told = ["autoencoder", name, str(trained), *rest, "-o", str(tmp_path / "grid.png")]
    assert main(told) == 0
    made = cv2.imread(str(tmp_path / "grid.png"))
    assert made.shape[:2] == shape and made.std() > 0
    assert main(told) == 7 and main([*told, "--overwrite"]) == 0


def test_what_cannot_be_is_refused(
    trained: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["-o", str(tmp_path / "grid.png")]
    for told, said in (
        (["reconstruct", str(tmp_path), str(faces)], "holds no trained autoencoder"),
        (["interpolate", str(trained), str(faces / "0.png")], "got 1"),
        (["mix", str(trained), str(faces), "--with", str(faces), "--scale", "rough"], "not a scale"),
        (
            ["transfer", str(trained), str(faces / "0.png"), str(faces / "1.png"), "--scale", "all"],
            "is the finest scale",
        ),
    ):
        assert main(["autoencoder", *told, *out]) == 2
        assert said in capsys.readouterr().err
    assert not (tmp_path / "grid.png").exists()


def test_a_backend_takes_it_and_edits_a_clip(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))
    source, output = make_clip(tmp_path / "a.mkv", size=(64, 48), frames=3, audio=False), tmp_path / "b.mkv"
    own = ["--generator", str(trained / "generator.safetensors"), "--encoder", str(trained / "encoder.safetensors")]
    whole = ["--alignment", "center", "--detection", "full", "--guides", "pixels"]
    assert main(["backend", "create", "mine", *own, *whole]) == 0
    assert main(["backend", "create", "again", *own, *whole]) == 0  # the generator is there already, and the same
    assert main(["backend", "check", "mine"]) == 0
    assert f"mine fits: {trained.name}-tried, 16 pixels" in capsys.readouterr().out
    told = ["--edit", "sefa.1+3", "--set", "crop=64", "--set", "threads=1", "--quality", "fast", *STEPS, *SHOWN]
    sure = ["--set", "mask.residual_good=2", "--set", "mask.residual_bad=3"]  # whatever an untrained one inverts to
    assert main(["run", str(source), "--backend", "mine", "-o", str(output), "--codec", "lossless", *told, *sure]) == 0
    pairs = zip(frames_of(source), frames_of(output), strict=True)
    assert all((before[0] != after[0]).any() for (_, before), (_, after) in pairs)
    parts = report_of(output)["weights"]
    assert any(f"{trained.name}-tried" in str(part) for part in (parts.items() if isinstance(parts, dict) else parts))


def test_a_file_that_is_no_trained_generator_is_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backend", "create", "x", "--generator", str(trained / "encoder.safetensors")]) == 2
    assert "is not a trained generator's file" in capsys.readouterr().err


@pytest.mark.weights
def test_what_an_autoencoder_is_worth_is_told_and_kept(
    trained: Path, corpus: Path, faces: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "table.json"
    told = ["evaluate", "generative", str(trained), "--offline", "--data"]
    assert main([*told, str(corpus), "--count", "8", "--json", str(table)]) == 0
    assert "frechet_mixtures" in capsys.readouterr().out
    found = json.loads(table.read_text())
    assert found["n"] == 8 and found["features"] == "vgg16" and found["mse"] > 0
    assert all(found[key] >= 0 for key in ("lpips", "ppl_full", "ppl_end", "lpips_diversity"))
    assert main([*told, str(faces), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["n"] == 4
    assert main([*told, str(corpus), "--features", "inception"]) == 2
    assert main([*told, str(corpus), "--count", "8", "--card"]) == 0
    said = " ".join((trained / "card.md").read_text().split())
    pictures = 24 if trained.name == "ae-stylegan" else 3 * 16
    for part in (f"{trained.name}-tried", f"{pictures} pictures seen, from blobs.npy", f"| {found['mse']:.4g} |"):
        assert part in said
    assert "which are not recorded" in said and "size=16" in said


def test_from_python_it_encodes_draws_and_samples(trained: Path) -> None:
    of = api.autoencoder(trained, device="cpu")
    ws = of.encode(Blobs(16).draw(2, 0))
    assert of.draw(ws).shape == of.draw(of.sample(2, seed=0)).shape == (2, 3, 16, 16)
