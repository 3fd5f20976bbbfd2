"""`vidinv train gan-encoder`: what it refuses, its plan, a training that is continued, and tuning to a picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vidinv.cli.main import main
from vidinv.encoders import encoder_file
from vidinv.media import picture

TRAIN = ["train", "gan-encoder"]
TINY = [
    *("--set", "encoder=adaptive-tiny", "--set", "generator=mobile-stylegan-tiny", "--set", "size=64"),
    *("--set", "samples=12", "--set", "held_out=4", "--set", "batch=2", "--offline"),
]


def test_what_cannot_be_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(TRAIN) == 2
    assert main([*TRAIN, "-o", str(tmp_path / "t"), "--set", "sampels=3"]) == 2
    assert "samples" in capsys.readouterr().err
    assert main([*TRAIN, "--resume", str(tmp_path / "none")]) == 2
    assert "does not contain a training" in capsys.readouterr().err
    assert main([*TRAIN, "-o", str(tmp_path / "t"), "--set", "photos=here"]) == 2
    assert "start=FILE" in capsys.readouterr().err and not (tmp_path / "t").exists()


@pytest.mark.weights
def test_a_dry_run_prints_the_plan_and_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, "-o", str(tmp_path / "t"), *TINY, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "samples: 12" in said and "8 images in 4 turns of 2" in said and not (tmp_path / "t").exists()


@pytest.mark.slow
@pytest.mark.weights
def test_a_training_is_judged_continued_and_tuned_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "t"
    assert main([*TRAIN, "-o", str(folder), *TINY]) == 0
    assert "held-out" in capsys.readouterr().out
    made = json.loads((folder / "evaluation.json").read_text())["held-out"]
    assert set(made) == {"whole", "at1", "at2"} and made["whole"]["n"] == 4
    facts = encoder_file.check_encoder(folder / "encoder.safetensors", "mobile-stylegan-tiny-w")
    assert facts == encoder_file.EncoderFacts("adaptive-tiny", "mobile-stylegan-tiny-w", 16, feature_branch=False)
    assert main([*TRAIN, "-o", str(folder), *TINY]) == 2
    assert f"--resume {folder}" in capsys.readouterr().err
    assert main([*TRAIN, "--resume", str(folder), "--offline"]) == 0
    assert main([*TRAIN, "--resume", str(folder), *TINY, "--set", "rate=0.1"]) == 2
    faces = tmp_path / "faces"
    faces.mkdir()
    torch.manual_seed(0)
    for name in "ab":
        picture.write_picture(faces / f"{name}.png", torch.rand(3, 64, 64) * 2 - 1)
    tune = ["--config", "light-fine", "--set", f"photos={faces}", "--set", f"start={folder / 'encoder.safetensors'}"]
    shape = ["--set", "size=64", "--set", "steps=2", "--set", "generator=mobile-stylegan-tiny"]
    table = tmp_path / "fine.json"
    assert main([*TRAIN, "-o", str(tmp_path / "f"), *tune, *shape, "--offline", "--json", str(table)]) == 0
    assert set(json.loads(table.read_text())) == {"before", "mean", "a", "b"}
    assert (tmp_path / "f" / "a" / "encoder.safetensors").exists()
    capsys.readouterr()
    for wrong in (f"start={folder}", f"photos={tmp_path / 'none'}"):
        assert main([*TRAIN, "-o", str(tmp_path / "wrong"), *tune, *shape, "--set", wrong, "--offline"]) != 0
        assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "wrong").exists()
