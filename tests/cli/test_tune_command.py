"""`vidinv tune`: an encoder in a file that `vidinv run --encoder` takes, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.encoders import encoder_file
from vidinv.generators import mobile_stylegan


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An adaptive encoder of the tiny backend's generator, and a cache of its own."""
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))
    network = mobile_stylegan.tiny()
    torch.manual_seed(0)
    state = encoder_file.build_encoder("adaptive-tiny", network, 16).state_dict()
    facts = encoder_file.EncoderFacts("adaptive-tiny", network.space, 16, feature_branch=False)
    return encoder_file.write_encoder(tmp_path / "start.safetensors", state, facts)


def test_a_clips_encoder_is_kept_and_run(tmp_path: Path, start: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip, made, table = make_clip(tmp_path / "in.mp4", frames=12), tmp_path / "own.safetensors", tmp_path / "t.json"
    tiny = ["--backend", "tiny", "--progress", "none"]
    how = ["--set", "tuning.steps=6", "--set", "tuning.batch=2", "--set", "tuning.rate=0.002"]
    command = ["tune", str(clip), "--what", "encoder", "-o", str(made), "--encoder", str(start), *tiny, *how]
    assert main([*command, "--json", str(table)]) == 0, capsys.readouterr().err
    said = json.loads(table.read_text())["tuning"]
    assert len(said["key_faces"]) == 9 and len(said["held_out"]) == 3 and said["validation"][0]["step"] == 0
    space = mobile_stylegan.tiny().space
    assert encoder_file.check_encoder(made, space) == encoder_file.check_encoder(start, space)
    assert made.read_bytes() != start.read_bytes() and not made.with_name(made.name + ".vidinv").exists()
    assert main([*command]) == 7 and "exists" in capsys.readouterr().err
    out = tmp_path / "out.mp4"
    assert main(["run", str(clip), "--edit", "age+2", "-o", str(out), "--encoder", str(made), *tiny]) == 0
    assert "tuning" not in json.loads((tmp_path / "out.mp4.json").read_text())


def test_the_report_of_a_run_says_how_it_was_tuned_and_another_edit_takes_that(tmp_path: Path, start: Path) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=12)
    how = ["--set", "tuning.steps=2", "--set", "tuning.batch=2", "--encoder", str(start), "--tune", "encoder"]
    found = []
    for edit in ("age+2", "smile+1"):
        out = tmp_path / f"{edit}.mp4"
        command = ["run", str(clip), "--edit", edit, "-o", str(out), "--backend", "tiny", "--progress", "none", *how]
        assert main(command) == 0
        found.append(json.loads((tmp_path / f"{edit}.mp4.json").read_text())["tuning"])
    assert [each.pop("from_cache") for each in found] == [False, True] and found[0] == found[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--what", "everything"], "choose one of encoder, generator"),
        (["--tune", "none"], "remove --tune"),
        (["--backend", "tiny"], "give --encoder FILE"),
        (["--set", "tuning.held=-1"], "not negative"),
    ],
)
def test_what_cannot_be_is_refused(
    tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = make_clip(tmp_path / "in.mp4", frames=3)
    assert main(["tune", str(clip), "-o", str(tmp_path / "e.safetensors"), *options]) == 2
    assert words in capsys.readouterr().err and not (tmp_path / "e.safetensors").exists()
