"""Backends of one's own: each mistake is one line that names it, before anything is begun."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.helpers import layouts
from tests.helpers.own_backend import LEAST, PLAIN, create, refused
from vidinv.cli.main import main
from vidinv.encoders import class_conditional, encoder_file
from vidinv.errors import UsageError
from vidinv.generators import registry
from vidinv.weights import imported

pytestmark = pytest.mark.usefixtures("own_cache")


MISTAKES: dict[str, tuple[dict[str, Any], int, str]] = {
    "no generator": ({"generator": ""}, 2, "no generator"),
    "unknown generator": ({"generator": "stylegan9"}, 2, "unknown generator 'stylegan9'"),
    "unknown key": ({"aligment": "none"}, 2, "near keys: alignment"),
    "unknown choice": ({"alignment": "centre"}, 2, "alignment 'centre' is not known"),
    "a list where a word stands": ({"alignment": ["none"]}, 2, "alignment must be text"),
    "no such margin": ({"margin": 0}, 2, "margin 0 is out of range"),
    "landmarks of a frame": ({"alignment": "ffhq"}, 2, "needs a face's landmarks"),
    "a face's parts of a box": ({"mask": "face", "identity": "faces"}, 2, "mask and identity need alignment ffhq"),
    "unknown encoder": ({"encoder": "fse"}, 2, "unknown encoder 'fse'"),
    "an encoder's file that is gone": ({"encoder": "gone.safetensors"}, 2, "gone.safetensors does not exist"),
    "boxes that are gone": ({"boxes": "gone.csv"}, 2, "gone.csv does not exist"),
    "a direction that is not there": ({"directions": ["bolder"]}, 2, "unknown direction 'bolder'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_a_file_is_one_line_that_names_it(
    mistake: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong, code, words = MISTAKES[mistake]
    right = {"generator": "stylegan2-tiny", "alignment": "none", "detection": "full", "mask": "square"}
    right |= {"identity": "none", "guides": "pixels", "measures": "none"}
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps(right | wrong))
    output = tmp_path / "out.mkv"
    assert words in refused(capsys, code, "run", clip, "--backend", path, "--edit", "sefa.1+1", "-o", output, *LEAST)
    assert not output.exists()


def test_parts_of_other_generators_are_refused(
    clip: Path, tmp_path: Path, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create("other", "stylegan1-tiny", "--alignment", "none", *PLAIN)
    assert main(["directions", "find", "--backend", "other", "--count", "1"]) == 0
    capsys.readouterr()
    file = own_cache / "directions" / "stylegan1-tiny-w" / "sefa.1.safetensors"
    make = ["backend", "create", "mine", "--generator", "stylegan2-tiny", "--alignment", "none", *PLAIN]
    line = refused(capsys, 2, *make, "--direction", file)
    assert "'stylegan1-tiny-w'" in line and "'stylegan2-tiny-w'" in line
    facts = encoder_file.EncoderFacts("light", "stylegan1-tiny-w", 16)
    encoder_file.write_encoder(tmp_path / "own.safetensors", {"x": torch.zeros(1)}, facts)
    assert "encoder of the space 'stylegan1-tiny-w'" in refused(
        capsys, 2, *make, "--encoder", tmp_path / "own.safetensors"
    )
    own = encoder_file.EncoderFacts("light", "stylegan2-tiny-w", 16)
    encoder_file.write_encoder(tmp_path / "few.safetensors", {"style.base.weight": torch.zeros(1)}, own)
    create("few", "stylegan2-tiny", "--encoder", tmp_path / "few.safetensors", "--alignment", "none", *PLAIN)
    capsys.readouterr()
    assert "of stylegan2-tiny (" in refused(capsys, 2, "backend", "check", "few")
    create("mine", "stylegan2-tiny", "--encoder", "feature-style-tiny", "--alignment", "none", *PLAIN)
    capsys.readouterr()
    line = refused(capsys, 2, "backend", "check", "mine")
    assert "'mobile-stylegan-tiny-w'" in line and "'stylegan2-tiny-w'" in line
    save_file({"x": torch.zeros(1)}, tmp_path / "head.safetensors")
    create("headed", "stylegan2-tiny", "--proxy", tmp_path / "head.safetensors", "--alignment", "none", *PLAIN)
    capsys.readouterr()
    assert "is not a proxy head" in refused(capsys, 2, "backend", "check", "headed")


def test_a_class_is_one_of_the_generators(capsys: pytest.CaptureFixture[str]) -> None:
    generator = registry.load_generator("biggan-tiny")
    for label, family, words in ((3, "biggan-tiny", "its classes are 0 to 2"), (0, "pggan-tiny", "has no classes")):
        create(f"of{label}", family, "--label", label, "--alignment", "none", *PLAIN)
        capsys.readouterr()
        assert words in refused(capsys, 2, "backend", "check", f"of{label}")
    begun = class_conditional.typical(generator, 1)
    assert torch.equal(begun[generator.z_dim :], generator.embeddings.weight[:, 1])
    picture = torch.zeros(1, 3, 32, 32)
    with pytest.raises(UsageError, match="label, 0 to 2"):
        class_conditional.bind_class(encoder_file.build_encoder("adaptive-tiny", generator, 16), generator, None)
    encoder = encoder_file.build_encoder("adaptive-tiny", generator, 16).eval()
    one, two = (class_conditional.bind_class(encoder, generator, label)(picture).ws for label in (0, 1))
    assert not torch.equal(one, two)
    torch.testing.assert_close(one, encoder(picture, torch.tensor([[1.0, 0, 0]])).ws)


def test_an_encoder_of_other_rows_is_refused_with_both_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(layouts.feature_style(), tmp_path / "fse.pt")
    assert main(["weights", "import", str(tmp_path / "fse.pt"), "--as", "fse", "--for", "stylegan2-tiny"]) == 0
    known = imported.facts("encoder", "fse")
    imported.write_facts(replace(known, sizes={**known.sizes, "rows": 18}))  # as if of another generator of that name
    capsys.readouterr()
    make = ["backend", "create", "mine", "--generator", "stylegan2-tiny", "--alignment", "none", *PLAIN]
    line = refused(capsys, 2, *make, "--encoder", "fse")
    assert "gives 18 rows of w+, stylegan2-tiny takes 10" in line


def test_a_damaged_generator_is_exit_5(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = own_cache / "imported" / "generator"
    folder.mkdir(parents=True)
    (folder / "car.safetensors").write_bytes(b"no")
    line = refused(capsys, 5, "backend", "create", "mine", "--generator", "car", "--alignment", "none")
    assert "car.safetensors is damaged" in line


def test_what_a_backend_cannot_do_is_refused_before_it_begins(
    clip: Path, boxes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create("car", "stylegan2-tiny", "--alignment", "center", "--detection", "boxes", *PLAIN)
    capsys.readouterr()
    begin = ["run", clip, "--backend", "car", "-o", tmp_path / "out.mkv", *LEAST]
    with_boxes = [*begin, "--boxes", boxes]
    assert "give --boxes FILE" in refused(capsys, 2, *begin, "--edit", "sefa.1+1")
    assert "no identity network" in refused(capsys, 2, *with_boxes, "--edit", "sefa.1+1", "--min-identity", 0.5)
    assert "no face parser" in refused(capsys, 2, *with_boxes, "--edit", "sefa.1+1@region=mouth")
    assert "no network measures sefa.1" in refused(capsys, 2, *with_boxes, "--edit", "sefa.1=40")
    assert "sefa.1 to sefa.32" in refused(capsys, 2, *with_boxes, "--edit", "sefa.33+1")
    off = ["--set", "refine.first={latent: 0, feature: 0}", "--set", "refine.following={latent: 0, feature: 0}"]
    assert "has no encoder" in refused(capsys, 2, *with_boxes, "--edit", "sefa.1+1", *off)
    assert "choose one of default, tiny, car" in refused(capsys, 2, *begin, "--backend", "cat", "--edit", "sefa.1+1")
    picture = tmp_path / "ref.png"
    picture.write_bytes(b"")
    assert "does not recognise persons" in refused(capsys, 2, *with_boxes, "--edit", "sefa.1+1", "--faces", picture)
    empty = tmp_path / "none.csv"
    empty.write_text("frame,x0,y0,x1,y1\n99,1,2,3,4\n")
    assert "no box in shape.mkv" in refused(capsys, 4, *begin, "--boxes", empty, "--edit", "sefa.1+1")
    assert "car.yaml exists" in refused(
        capsys, 2, "backend", "create", "car", "--generator", "pggan-tiny", "--alignment", "none"
    )
    assert "tiny is a built-in backend" in refused(capsys, 2, "backend", "create", "tiny", "--generator", "pggan-tiny")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x0,y0,x1\n1,2,3\n", "line 2: not a box"),
        ("x0,y0,x1,y1\n1,2,one,4\n", "line 2: not a box"),
        ("x0,y0,x1,y1\n5,2,5,4\n", "the box has no area"),
        ("x0,y0,x1,y1\n1,2,nan,4\n", "the box has no area"),
        ("x0,y0,x1,y1\n", "contains no boxes"),
    ],
)
def test_boxes_that_are_none_are_refused_with_their_line(
    text: str, words: str, clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create("car", "stylegan2-tiny", "--alignment", "center", "--detection", "boxes", *PLAIN)
    capsys.readouterr()
    path = tmp_path / "wrong.csv"
    path.write_text(text)
    command = ["run", clip, "--backend", "car", "--boxes", path, "--edit", "sefa.1+1", "-o", tmp_path / "o.mkv"]
    assert words in refused(capsys, 2, *command)
