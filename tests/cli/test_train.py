"""`vidinv train feature-style`: what it refuses, its plan, and a training of one batch that is continued."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vidinv import config_loading
from vidinv.cli.main import main
from vidinv.encoders import encoder_file
from vidinv.errors import UsageError
from vidinv.trainers.core import launch as shared
from vidinv.trainers.feature_style.config import FeatureStyleRecipe

TRAIN = ["train", "feature-style"]


def test_a_training_is_new_or_continued(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(TRAIN) == 2
    assert main([*TRAIN, "--resume", str(tmp_path / "none")]) == 2
    assert "does not contain a training" in capsys.readouterr().err


def test_an_unknown_key_of_the_recipe_names_the_near_ones(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "-o", str(tmp_path / "t"), "--set", "imagess=3"]) == 2
    assert "images" in capsys.readouterr().err and not (tmp_path / "t").exists()


@pytest.mark.parametrize("name", config_loading.presets("train/feature_style"))
def test_every_shipped_recipe_can_be(name: str) -> None:
    recipe = config_loading.load_dataclass(FeatureStyleRecipe, "train/feature_style", name)
    recipe.check()
    assert config_loading.load_dataclass(FeatureStyleRecipe, "train/feature_style", name, ["paste=true"]).paste


def test_a_recipe_that_cannot_be_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "-o", str(tmp_path / "t"), "--set", "synthetic=false"]) == 2
    assert "photos=FOLDER" in capsys.readouterr().err
    assert main([*TRAIN, "-o", str(tmp_path / "t"), "--set", "paste=perhaps"]) == 2
    assert "paste must be true or false" in capsys.readouterr().err and not (tmp_path / "t").exists()


@pytest.mark.weights
def test_a_dry_run_prints_the_plan_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "-o", str(tmp_path / "t"), "--config", "tiny", "--dry-run", "--offline"]) == 0
    said = capsys.readouterr().out
    assert "images: 400" in said and "50 turns of 8" in said and "network encoder: 25.0" in said
    assert not (tmp_path / "t").exists()


@pytest.mark.slow
@pytest.mark.weights
def test_a_training_goes_on_where_it_stopped_and_not_with_another_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "t"
    changes = ["--config", "tiny", "--set", "pool=8", "--set", "batch=4", "--set", "images=4", "--offline"]
    assert main([*TRAIN, "-o", str(folder), *changes]) == 0
    assert (folder / "encoder.safetensors").stat().st_size > 30e6 and (folder / "checkpoint").is_dir()
    space = "mobile-stylegan-ffhq-w"
    assert encoder_file.check_encoder(folder / "encoder.safetensors", space) == encoder_file.EncoderFacts(
        "light", space, 16
    )
    assert main([*TRAIN, "-o", str(folder), *changes]) == 2
    assert f"--resume {folder}" in capsys.readouterr().err
    assert main([*TRAIN, "--resume", str(folder), *changes]) == 0
    assert main([*TRAIN, "--resume", str(folder), *changes, "--set", "rate=0.1"]) == 2
    assert "another recipe" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.weights
def test_two_processes_share_a_training(tmp_path: Path) -> None:
    folder = tmp_path / "t"
    changes = ["--set", "pool=0", "--set", "images=16", "--set", "size=128", "--set", "warmup=8", "--device", "cpu"]
    command = [sys.executable, "-m", "vidinv"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *TRAIN, "-o", str(folder), *changes, "--offline", "--devices", "2"],
        cwd=Path(__file__).parent.parent.parent,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split().count(str(folder / "encoder.safetensors")) == 1
    assert json.loads((folder / "checkpoint" / "state.json").read_text())["turn"] == 2
    assert encoder_file.check_encoder(folder / "encoder.safetensors", "mobile-stylegan-ffhq-w").family == "light"


@pytest.mark.parametrize("variables", [{"WORLD_SIZE": "2"}, {}])
def test_a_process_without_a_rank_is_alone(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert shared.process_rank() == shared.ProcessRank()


def two_processes(monkeypatch: pytest.MonkeyPatch, rank: int = 0) -> None:
    for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", 2), ("LOCAL_WORLD_SIZE", 2)):
        monkeypatch.setenv(name, str(value))


@pytest.mark.parametrize(
    ("processes", "options", "words"),
    [
        (1, ["--pool", "pool"], "--set pool=N"),
        (1, ["--devices", "2", "--set", "batch=4"], "each of 2 processes"),
        (2, ["--set", "batch=4"], "each of 2 processes"),
        pytest.param(*(1, ["--nodes", "2", "--offline"], "--meet HOST"), marks=pytest.mark.weights),
        pytest.param(
            *(2, ["--config", "tiny", "--offline"], "--count 64 --size 256 and give --pool DIR"),
            marks=pytest.mark.weights,
        ),
    ],
)
def test_what_cannot_be_shared_or_taken_is_refused_before_anything_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    processes: int,
    options: list[str],
    words: str,
) -> None:
    if processes > 1:
        two_processes(monkeypatch)
    assert main([*TRAIN, "-o", str(tmp_path / "t"), *options]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "t").exists()


def test_processes_of_two_machines_know_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    two_processes(monkeypatch, 1)
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert shared.process_rank() == shared.ProcessRank(rank=3, count=4, local=1, machines=2)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match="same number of processes on every machine"):
        shared.process_rank()


@pytest.mark.weights
def test_the_plan_of_several_processes_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for rank, times in ((0, 1), (1, 0)):
        two_processes(monkeypatch, rank)
        assert main([*TRAIN, "-o", str(tmp_path / "t"), "--dry-run", "--offline"]) == 0
        assert capsys.readouterr().out.count("turns of 8, shared by 2 processes") == times
