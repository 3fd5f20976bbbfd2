"""`vidinv evaluate inversion` and `edits`: what they refuse, and a small whole run with the fetched parts."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
import torch

from vidinv.cli.main import main
from vidinv.encoders import encoder_file
from vidinv.generators import registry
from vidinv.media import picture
from vidinv.media.image_grid import LABEL, WIDEST


@pytest.mark.parametrize("command", ["inversion", "edits"])
def test_a_folder_without_pictures_exits_3_before_any_term_is_asked_for(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("VIDINV_ACCEPT_LICENCES", raising=False)
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))
    assert main(["evaluate", command, "--data", str(tmp_path)]) == 3
    said = capsys.readouterr().err
    assert str(tmp_path) in said and "licences" not in said and not (tmp_path / "cache").exists()


def test_an_unknown_method_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "inversion", "--data", str(tmp_path), "--method", "magic"]) == 2
    assert "encoder" in capsys.readouterr().err


def write_face(path: Path) -> None:
    """An aligned face of a person who does not exist."""
    generator = registry.load_generator("mobile-stylegan-ffhq-1024")
    with torch.no_grad():
        w = generator.w_avg.lerp(generator.sample(1, seed=4), 0.7)
        face = generator.synthesize(generator.broadcast(w), size=512)[0].clamp(-1, 1)
    picture.write_picture(path, face)


@pytest.mark.weights
def test_the_encoder_is_measured_on_a_generated_face(tmp_path: Path) -> None:
    write_face(tmp_path / "face.png")
    options = ["--aligned", "--method", "encoder", "--offline", "--json", str(tmp_path / "t.json")]
    assert main(["evaluate", "inversion", "--data", str(tmp_path), "--picture", str(tmp_path / "g.png"), *options]) == 0
    row = json.loads((tmp_path / "t.json").read_text())["encoder"]
    assert row["n"] == 1 and row["psnr"] > 18 and row["id"] > 0.3 and 0 < row["lpips"] < 0.5
    height, width, _ = cv2.imread(str(tmp_path / "g.png")).shape
    assert height == LABEL + 256 and 0 < width - 2 * 256 <= WIDEST


@pytest.mark.parametrize("arguments", [("--method", "stored"), ("--codes", "c.safetensors", "--data", "b.mp4")])
def test_codes_and_what_they_are_of_go_together(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "inversion", "--data", "a.mp4", *arguments]) == 2
    assert "codes" in capsys.readouterr().err


def test_an_encoder_of_another_generator_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = encoder_file.write_encoder(tmp_path / "e.safetensors", {}, encoder_file.EncoderFacts("light", "other-w", 16))
    assert main(["evaluate", "inversion", "--data", "a.mp4", "--method", "encoder", "--encoder", str(path)]) == 2
    assert "other-w" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--edit", "smlie"], "smile"),
        (["--method", "optimised"], "refined"),
        (["--method", "stored"], "--codes"),
        (["--codes", "folder", "--method", "encoder"], "--codes"),
    ],
)
def test_edits_that_cannot_be_judged_exit_2(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", "edits", "--data", str(tmp_path), *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.weights
def test_edits_of_a_generated_face_are_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_face(tmp_path / "face.png")
    files = ["--json", str(tmp_path / "t.json"), "--picture", str(tmp_path / "g.png")]
    wanted = ["--edit", "yaw", "--edit", "age", "--aligned", "--offline"]
    assert main(["evaluate", "edits", "--data", str(tmp_path), *wanted, *files]) == 0
    found = json.loads((tmp_path / "t.json").read_text())
    assert found["method"] == "encoder" and found["files"] == 1 and list(found["edits"]) == ["yaw", "age"]
    yaw, age = found["edits"]["yaw"], found["edits"]["age"]
    assert yaw["scorer"]["rises"] == yaw["second"]["rises"] == 1 and age["second"] is None
    assert age["moves"] > 10 and age["unit"] == "years" and age["id"]["+1"] > age["id"]["+2"] > 0
    (protocol,) = found["papers"].values()  # Table 8 alone knows age and pose
    assert protocol["edited_by"] == ["yaw", "age"] and 10 < protocol["psnr"] < 40
    height, width, _ = cv2.imread(str(tmp_path / "g.png")).shape
    assert height == LABEL + 256 and 0 < width - 6 * 256 <= WIDEST
    said = capsys.readouterr().out
    assert "| yaw" in said and "InterFaceGAN" in said and "19.7" in said
