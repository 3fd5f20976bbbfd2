"""A generator of one's own with the default's face networks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers.runs import SHOWN, STEPS, report_of
from vidinv.backends import build as build_backend
from vidinv.backends import face_models
from vidinv.backends import registry as backends
from vidinv.backends.spec import Description
from vidinv.cli.main import main
from vidinv.editing import directions
from vidinv.errors import UsageError

CLIP = Path(__file__).parents[2] / "examples" / "synthetic.mp4"


def test_the_default_backend_is_a_description_like_any_other() -> None:
    chosen = backends.choose_backend("default")
    assert (chosen.space, chosen.slots, chosen.dim) == ("mobile-stylegan-ffhq-w", 16, 512)
    assert [path.name for path in chosen.shipped] == ["feature_style_light.safetensors"]
    assert all(path.exists() for path in chosen.shipped) and not chosen.brought
    assert set(directions.shipped_names(chosen.space)) > {"age", "smile"} and chosen.direction("age").calibration


def test_what_a_backend_fetches_follows_from_its_parts() -> None:
    def needs(**changes: str) -> set[str]:
        return {
            name.split("/")[0]
            for name in build_backend.build_backend("x", Description("stylegan2-tiny", **changes)).all_needs
        }

    assert needs() == {"identity", "detector", "landmarks", "parser", "lpips", "age", "gender"}
    bare = {"mask": "square", "identity": "none", "guides": "pixels", "measures": "none", "alignment": "center"}
    assert needs(**bare, detection="full") == needs(**bare, detection="boxes") == set()
    assert needs(**bare, detection="faces") == {"detector"}
    assert needs(**{**bare, "guides": "perceptual"}, detection="full") == {"lpips"}


def test_face_networks_are_taken_by_name() -> None:
    chosen = build_backend.build_backend(
        "x", Description("stylegan2-tiny", identity="iresnet-tiny", parser="bisenet-tiny")
    )
    assert "identity/arcface-mbf" in chosen.needs, "the tracker's"
    assert "parser/bisenet" not in chosen.needs
    labels = face_models.load_parser("cpu", "bisenet-tiny")(torch.zeros(1, 3, 64, 64), 32)
    assert labels.shape == (1, 32, 32)
    for wrong in ({"identity": "facenet"}, {"parser": "segnet"}):
        with pytest.raises(UsageError, match=r"unknown (identity|parser) network '(facenet|segnet)'"):
            build_backend.build_backend("x", Description("stylegan2-tiny", **wrong))


@pytest.mark.weights
def test_faces_are_edited_by_another_generator_and_recognised_as_ever(tmp_path: Path) -> None:
    path, output = tmp_path / "faces.yaml", tmp_path / "out.mp4"
    path.write_text("generator: stylegan2-tiny\n")
    short = ["--preview", "--at", "0:01", "--set", "preview_seconds=0.1", "--set", "crop=128", *STEPS, *SHOWN]
    command = ["run", CLIP, "--backend", path, "--edit", "sefa.1+2", "-o", output, *short]
    assert main(list(map(str, command))) == 0
    report = report_of(output.with_name("out.mp4.preview.mp4"))
    assert report["identity"]["arcface"]["inversion_mean"] < 0.5, "a random generator shows nobody"
    assert "age" in report["identity"]["tracks"][0]["attributes"]
    assert main(["backend", "check", str(path)]) == 0
