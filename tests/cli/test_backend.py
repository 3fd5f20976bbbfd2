"""Backends of one's own, in whole runs: generators of every family, boxes and whole frames, parts that are absent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from stages.folder import page_path
from tests.clips import make_clip
from tests.importing import layouts
from tests.importing.test_encoders import psp_file
from tests.runs import SHOWN, STEPS, frames_of, report_of
from vidinv.cli.main import main
from vidinv.editing import directions
from vidinv.editing.directions import Direction
from vidinv.encoders import encoder_file, of_class
from vidinv.errors import UsageError
from vidinv.generators import registry
from vidinv.weights import imported

SIZE, FRAMES = (128, 96), 6  # width, height
LEAST = ["--set", "crop=64", "--set", "threads=1", "--codec", "lossless", *STEPS, *SHOWN]
PLAIN = ["--guides", "pixels"]  # nothing is fetched
FAMILIES = ("stylegan1-tiny", "stylegan2-tiny", "stylegan3-t-tiny", "stylegan3-r-tiny", "pggan-tiny", "biggan-tiny")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def shape_at(index: int) -> tuple[int, int, int, int]:
    """Where the shape is on a frame: x0, y0, x1, y1."""
    return 20 + 4 * index, 30, 60 + 4 * index, 62


def drawn(index: int) -> np.ndarray:
    width, height = SIZE
    picture = np.full((height, width, 3), 40, np.uint8)
    picture[:, :, 1] += (np.arange(width) % 50).astype(np.uint8)
    x0, y0, x1, y1 = shape_at(index)
    picture[y0:y1, x0:x1] = (200, 80, 60)
    return picture


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "shape.mkv", size=SIZE, frames=FRAMES, image=drawn, audio=False)


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    path = tmp_path / "boxes.csv"
    lines = [",".join(map(str, (index, *shape_at(index)))) for index in range(FRAMES)]
    path.write_text("frame,x0,y0,x1,y1\n" + "\n".join(lines) + "\n")
    return path


def create(name: str, generator: str, *options: object) -> None:
    assert main(["backend", "create", name, "--generator", generator, *map(str, options)]) == 0


def edited(source: Path, backend: str, *options: object, edit: str = "sefa.1+3") -> Path:
    output = source.with_name(f"{source.stem}.{backend}.mkv")
    command = ["run", source, "--backend", backend, "--edit", edit, "-o", output, *LEAST, *options]
    assert main(list(map(str, command))) == 0
    return output


def changed(source: Path, output: Path) -> list[np.ndarray]:
    """Of every frame, the luma samples [H,W] that are not the source's; chroma changes nowhere else."""
    found = []
    for (_, before), (_, after) in zip(frames_of(source), frames_of(output), strict=True):
        luma, *chroma = (old != new for old, new in zip(before, after, strict=True))
        near = luma.reshape(luma.shape[0] // 2, 2, luma.shape[1] // 2, 2).any((1, 3))
        assert all(not (plane & ~_grown(near)).any() for plane in chroma)
        found.append(luma)
    return found


def _grown(mask: np.ndarray) -> np.ndarray:
    """Everything in the rectangle round what is set."""
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    found = np.zeros_like(mask)
    if len(rows):
        found[max(rows[0] - 4, 0) : rows[-1] + 5, max(columns[0] - 4, 0) : columns[-1] + 5] = True
    return found


def refused(capsys: pytest.CaptureFixture[str], code: int, *command: object) -> str:
    """The one line that a command refuses with."""
    assert main(list(map(str, command))) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    return lines[0]


def test_what_lies_in_boxes_is_edited_and_nothing_else(clip: Path, boxes: Path) -> None:
    create("car", "stylegan2-tiny", "--alignment", "center", "--detection", "boxes", "--margin", 1.2, *PLAIN)
    masks = changed(clip, edited(clip, "car", "--boxes", boxes))
    for index, mask in enumerate(masks):
        x0, y0, x1, y1 = shape_at(index)
        middle, half = ((x0 + x1) / 2, (y0 + y1) / 2), 1.2 * (x1 - x0) / 2
        rows, columns = mask.nonzero()
        assert len(rows) > 400, "the edit shows"
        assert abs(columns + 0.5 - middle[0]).max() <= half + 1  # smoothing moves a steady box by nothing
        assert abs(rows + 0.5 - middle[1]).max() <= half + 1


def test_the_report_says_what_was_not_measured(clip: Path, boxes: Path) -> None:
    create("car", "stylegan2-tiny", "--alignment", "center", "--boxes", boxes, *PLAIN)
    output = edited(clip, "car", "--report")
    report = report_of(output)
    assert report["identity"]["arcface"]["edit_mean"] is None and report["gate"] is None
    (track,) = report["identity"]["tracks"]
    assert track["inversion"]["psnr"] is not None and track["inversion"]["lpips"] is None
    assert track["attributes"] == {} and "head_yaw" not in track["per_frame"] and "hidden" not in track["per_frame"]
    assert report["parts"] == [] and report["edits"][0]["calibration"] == {}
    page = page_path(output).read_text()
    assert "Not measured" in page and "Headline figures" not in page
    assert "None of these was seen: poor inversion, no face, tiny face, blur, cut." in page


@pytest.mark.parametrize("alignment", ["center", "none"])
def test_the_whole_frame_is_edited_where_nothing_is_looked_for(clip: Path, alignment: str) -> None:
    create("church", "stylegan2-tiny", "--alignment", alignment, *PLAIN)
    masks = changed(clip, edited(clip, "church"))
    rows, columns = np.stack(masks).any(0).nonzero()
    width, height = SIZE
    reach = width if alignment == "none" else height
    assert 0.8 * reach <= columns.max() - columns.min() + 1 <= reach + 2
    assert 0.8 * height <= rows.max() - rows.min() + 1 <= height + 2
    assert abs(columns.min() + columns.max() + 1 - width) <= 4, "in the middle"


def test_subjects_are_told_apart_by_their_ids(clip: Path, tmp_path: Path) -> None:
    two = tmp_path / "two.csv"
    lines = [f"{k},4,4,30,30,{'ab'[k % 2]}\n{k},90,60,124,94,{'ba'[k % 2]}" for k in range(FRAMES)]
    two.write_text("frame,x0,y0,x1,y1,id\n" + "\n".join(lines))
    create("pair", "stylegan2-tiny", "--alignment", "center", "--detection", "boxes", *PLAIN)
    masks = changed(clip, edited(clip, "pair", "--boxes", two, "--set", "smooth.centre=0", "--set", "smooth.axes=0"))
    left = [bool(mask[:, :45].any()) for mask in masks]
    assert left == [k % 2 == left.index(True) % 2 for k in range(FRAMES)], "the one subject jumps from side to side"
    assert left != [bool(mask[:, 80:].any()) for mask in masks]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_runs_by_optimisation_and_is_edited_by_sefa(family: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "shape.mkv", size=SIZE, frames=2, image=drawn, audio=False)
    create("own", family, "--alignment", "center", *PLAIN)
    output = edited(source, "own", "--blend", "residual")
    assert all(mask.any() for mask in changed(source, output))
    assert report_of(output)["edits"][0]["origin"] == "sefa, component 1"


@pytest.mark.parametrize("family", ["stylegan1-tiny", "stylegan2-tiny", "pggan-tiny", "biggan-tiny"])
def test_an_encoder_that_mirrors_the_generator_inverts_for_it(family: str, tmp_path: Path) -> None:
    source = make_clip(tmp_path / "shape.mkv", size=SIZE, frames=2, image=drawn, audio=False)
    generator = registry.load(family)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = encoder_file.build("adaptive-tiny", generator, 16)
    facts = encoder_file.Facts("adaptive-tiny", generator.space, 16, feature_branch=False)
    path = encoder_file.write(tmp_path / "mirror.safetensors", encoder.state_dict(), facts)
    shown = ["--label", 2] if family == "biggan-tiny" else []
    create("own", family, "--encoder", path, "--alignment", "center", *shown, *PLAIN)
    assert main(["backend", "check", "own"]) == 0
    output = edited(source, "own", "--quality", "fast", "--set", "mask.residual_bad=9", "--blend", "residual")
    assert all(mask.any() for mask in changed(source, output))
    assert list(report_of(output)["weights"]) == ["encoder/mirror"]


@pytest.mark.parametrize("family", FAMILIES)
def test_directions_are_found_in_every_family(family: str, cache: Path) -> None:
    create("own", family, "--alignment", "center", *PLAIN)
    for method in ("sefa", "ganspace"):
        assert main(["directions", "find", "--backend", "own", "--method", method, "--count", "2"]) == 0
    space = registry.load(family).space
    found = [directions.load(name, space) for name in ("sefa.1", "sefa.2", "ganspace.1", "ganspace.2")]
    assert all(each.deviation > 0 and abs(float(each.vector.norm()) - 1) < 1e-4 for each in found)
    assert main(["directions", "show", "ganspace.1", "--backend", "own", "-o", str(cache / "strip.png")]) == 0


def test_an_imported_pair_of_generator_and_encoder_edits_a_clip(clip: Path, boxes: Path, tmp_path: Path) -> None:
    published = registry.load("stylegan2-tiny")
    torch.save({"g_ema": published.state_dict(), "latent_avg": published.w_avg}, tmp_path / "cars.pt")
    torch.save(layouts.feature_style(), tmp_path / "fse.pt")
    assert main(["weights", "import", str(tmp_path / "cars.pt"), "--as", "cars"]) == 0
    assert main(["weights", "import", str(tmp_path / "fse.pt"), "--as", "fse", "--for", "cars"]) == 0
    create("car", "cars", "--encoder", "fse", "--alignment", "center", "--boxes", boxes, *PLAIN)
    assert main(["backend", "check", "car"]) == 0
    output = edited(clip, "car", "--quality", "fast", "--set", "mask.residual_bad=9")
    assert any(mask.any() for mask in changed(clip, output))
    report = report_of(output)
    assert list(report["weights"]) == ["generator/cars", "encoder/fse"]
    assert report["parts"][1]["origin"].startswith("fse.pt") and report["edits"][0]["space"] == "cars-w"


@pytest.mark.parametrize("kind", ["GradualStyleEncoder", "Encoder4Editing"])
def test_a_file_with_encoder_and_generator_is_all_that_a_backend_needs(clip: Path, tmp_path: Path, kind: str) -> None:
    path = psp_file(tmp_path / "faces.pt", {"encoder_type": kind, "start_from_latent_avg": True})
    assert main(["weights", "import", str(path)]) == 0
    create("both", "faces", "--encoder", "faces", "--alignment", "none", *PLAIN)
    output = edited(clip, "both", "--quality", "fast", "--set", "mask.residual_bad=9")
    assert all(mask.any() for mask in changed(clip, output))
    assert set(report_of(output)["weights"]) == {"generator/faces", "encoder/faces"}


def test_an_encoder_and_directions_are_taken_from_files(clip: Path, tmp_path: Path) -> None:
    generator = registry.load("stylegan2-tiny")
    with torch.random.fork_rng():
        encoder = encoder_file.build("light", generator, 16)
    encoder_file.write(
        tmp_path / "own.safetensors", encoder.state_dict(), encoder_file.Facts("light", generator.space, 16)
    )
    vector = torch.nn.functional.normalize(torch.ones(generator.w_dim), dim=0)
    made = directions.write(Direction("wider", vector, 1.0, (0, 4), generator.space), tmp_path)
    description = {"generator": "stylegan2-tiny", "encoder": "own.safetensors", "directions": [str(made)]}
    description |= {"alignment": "none", "detection": "full", "mask": "ellipse", "identity": "none"}
    description |= {"guides": "pixels", "measures": "none"}
    path = tmp_path / "mine.yaml"
    path.write_text(json.dumps(description))  # JSON is YAML; paths are relative to the file
    output = tmp_path / "out.mkv"
    command = ["run", clip, "--backend", path, "--edit", "wider+4", "-o", output, *LEAST, "--quality", "fast"]
    assert main(list(map(str, command))) == 0
    masks = changed(clip, output)
    assert masks[0].any() and not masks[0][:4, :4].any(), "the corners lie outside the ellipse"
    assert set(report_of(output)["weights"]) == {"encoder/own", "direction/wider"}


def test_codes_pictures_and_lessons_work_with_it(clip: Path, boxes: Path, tmp_path: Path) -> None:
    create("car", "stylegan2-tiny", "--alignment", "center", "--boxes", boxes, *PLAIN)
    codes = tmp_path / "codes.safetensors"
    tiny = ["--backend", "car", "--set", "crop=64", "--set", "threads=1", *STEPS]
    assert main(["invert", str(clip), "-o", str(codes), *tiny]) == 0
    assert edited(clip, "car", "--codes", codes).exists()
    picture = tmp_path / "picture.png"
    from vidinv.media import photo

    photo.write(picture, photo.Photo(drawn(0)), {})
    output = tmp_path / "edited.png"
    assert main(["edit", str(picture), "--edit", "sefa.2-3", "-o", str(output), *tiny, *SHOWN]) == 0
    difference = (photo.read(output).rgb != photo.read(picture).rgb).any(2)
    assert difference.any() and not difference[:, 65:].any()
    assert main(["mix", str(picture), str(picture), "-o", str(tmp_path / "mixed.png"), *tiny]) == 0
    module = tmp_path / "red_scorer.py"
    module.write_text("def red(pictures):\n    return pictures[:, 0].mean((1, 2)).numpy()\n")
    asked = [
        "--attribute",
        "red",
        "--scorer",
        "red_scorer:red",
        "--samples",
        "30",
        "--trials",
        "2",
        "--method",
        "ridge",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        assert main(["directions", "learn", "--backend", "car", *asked]) == 0
    learned = directions.load("red", "stylegan2-tiny-w")
    assert learned.calibration["score"] > 0 and learned.kept == {}, "nobody was there to recognise"


def test_a_generator_without_modulation_has_no_style_channels_to_learn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    create("own", "pggan-tiny", "--alignment", "center", *PLAIN)
    capsys.readouterr()
    (tmp_path / "green_scorer.py").write_text("def green(pictures):\n    return pictures[:, 1].mean((1, 2)).numpy()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = ["--attribute", "green", "--scorer", "green_scorer:green", "--samples", "20", "--style"]
    line = refused(capsys, 2, "directions", "learn", "--backend", "own", "--progress", "none", *asked)
    assert "no style channels" in line


def test_two_videos_are_compared_in_boxes(clip: Path, boxes: Path, tmp_path: Path) -> None:
    create("car", "stylegan2-tiny", "--alignment", "center", "--detection", "boxes", *PLAIN)
    page = tmp_path / "page.html"
    command = ["report", clip, edited(clip, "car", "--boxes", boxes), "--backend", "car", "--boxes", boxes, "-o", page]
    assert main(list(map(str, command))) == 0
    report = json.loads(page.with_suffix(".json").read_text())
    (track,) = report["identity"]["tracks"]
    assert track["frames"] == FRAMES and track["per_frame"]["face_px"][0] == pytest.approx(40, abs=0.5)


def test_backends_are_listed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    create("church", "pggan-tiny", "--alignment", "none", *PLAIN)
    capsys.readouterr()
    assert main(["backend", "list", "--json", "-"]) == 0
    listed = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {"default", "tiny", "church"} == set(listed) and listed["church"]["alignment"] == "none"
    assert main(["backend", "show", "church", "--json", "-"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["slots"], shown["space"], shown["needs"]) == (1, "pggan-tiny-z", [])
    assert main(["backend", "show", "default", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["slots"] == 16


MISTAKES: dict[str, tuple[dict[str, Any], int, str]] = {
    "no generator": ({"generator": ""}, 2, "no generator"),
    "unknown generator": ({"generator": "stylegan9"}, 2, "unknown generator 'stylegan9'"),
    "unknown key": ({"aligment": "none"}, 2, "near keys: alignment"),
    "unknown choice": ({"alignment": "centre"}, 2, "alignment 'centre' is not known"),
    "a list where a word stands": ({"alignment": ["none"]}, 2, "alignment must be text"),
    "no such margin": ({"margin": 0}, 2, "margin 0 cannot be"),
    "landmarks of a frame": ({"alignment": "ffhq"}, 2, "needs a face's landmarks"),
    "a face's parts of a box": ({"mask": "face", "identity": "faces"}, 2, "mask and identity read faces"),
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
    clip: Path, tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create("other", "stylegan1-tiny", "--alignment", "none", *PLAIN)
    assert main(["directions", "find", "--backend", "other", "--count", "1"]) == 0
    capsys.readouterr()
    file = cache / "directions" / "stylegan1-tiny-w" / "sefa.1.safetensors"
    make = ["backend", "create", "mine", "--generator", "stylegan2-tiny", "--alignment", "none", *PLAIN]
    line = refused(capsys, 2, *make, "--direction", file)
    assert "'stylegan1-tiny-w'" in line and "'stylegan2-tiny-w'" in line
    facts = encoder_file.Facts("light", "stylegan1-tiny-w", 16)
    encoder_file.write(tmp_path / "own.safetensors", {"x": torch.zeros(1)}, facts)
    assert "encoder of the space 'stylegan1-tiny-w'" in refused(
        capsys, 2, *make, "--encoder", tmp_path / "own.safetensors"
    )
    own = encoder_file.Facts("light", "stylegan2-tiny-w", 16)
    encoder_file.write(tmp_path / "few.safetensors", {"style.base.weight": torch.zeros(1)}, own)
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
    assert "is no proxy head" in refused(capsys, 2, "backend", "check", "headed")


def test_a_class_is_one_of_the_generators(capsys: pytest.CaptureFixture[str]) -> None:
    generator = registry.load("biggan-tiny")
    for label, family, words in ((3, "biggan-tiny", "its classes are 0 to 2"), (0, "pggan-tiny", "has no classes")):
        create(f"of{label}", family, "--label", label, "--alignment", "none", *PLAIN)
        capsys.readouterr()
        assert words in refused(capsys, 2, "backend", "check", f"of{label}")
    begun = of_class.typical(generator, 1)
    assert torch.equal(begun[generator.z_dim :], generator.embeddings.weight[:, 1])
    picture = torch.zeros(1, 3, 32, 32)
    with pytest.raises(UsageError, match="label, 0 to 2"):
        of_class.bound(encoder_file.build("adaptive-tiny", generator, 16), generator, None)
    encoder = encoder_file.build("adaptive-tiny", generator, 16).eval()
    one, two = (of_class.bound(encoder, generator, label)(picture).ws for label in (0, 1))
    assert not torch.equal(one, two)
    torch.testing.assert_close(one, encoder(picture, torch.tensor([[1.0, 0, 0]])).ws)


def test_an_encoder_of_other_rows_is_refused_with_both_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(layouts.feature_style(), tmp_path / "fse.pt")
    assert main(["weights", "import", str(tmp_path / "fse.pt"), "--as", "fse", "--for", "stylegan2-tiny"]) == 0
    known = imported.facts("encoder", "fse")
    imported.record(replace(known, sizes={**known.sizes, "rows": 18}))  # as if of another generator of that name
    capsys.readouterr()
    make = ["backend", "create", "mine", "--generator", "stylegan2-tiny", "--alignment", "none", *PLAIN]
    line = refused(capsys, 2, *make, "--encoder", "fse")
    assert "gives 18 rows of w+, stylegan2-tiny takes 10" in line


def test_a_damaged_generator_is_exit_5(cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = cache / "imported" / "generator"
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
    assert "no parser" in refused(capsys, 2, *with_boxes, "--edit", "sefa.1+1@region=mouth")
    assert "nothing here measures sefa.1" in refused(capsys, 2, *with_boxes, "--edit", "sefa.1=40")
    assert "sefa.1 to sefa.32" in refused(capsys, 2, *with_boxes, "--edit", "sefa.33+1")
    off = ["--set", "refine.first={latent: 0, feature: 0}", "--set", "refine.following={latent: 0, feature: 0}"]
    assert "has no encoder" in refused(capsys, 2, *with_boxes, "--edit", "sefa.1+1", *off)
    assert "choose one of default, tiny, car" in refused(capsys, 2, *begin, "--backend", "cat", "--edit", "sefa.1+1")
    picture = tmp_path / "ref.png"
    picture.write_bytes(b"")
    assert "recognises nobody" in refused(capsys, 2, *with_boxes, "--edit", "sefa.1+1", "--faces", picture)
    empty = tmp_path / "none.csv"
    empty.write_text("frame,x0,y0,x1,y1\n99,1,2,3,4\n")
    assert "no box in shape.mkv" in refused(capsys, 4, *begin, "--boxes", empty, "--edit", "sefa.1+1")
    assert "there is a backend" in refused(
        capsys, 2, "backend", "create", "car", "--generator", "pggan-tiny", "--alignment", "none"
    )
    assert "vidinv's own" in refused(capsys, 2, "backend", "create", "tiny", "--generator", "pggan-tiny")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x0,y0,x1\n1,2,3\n", "line 2: no box"),
        ("x0,y0,x1,y1\n1,2,one,4\n", "line 2: no box"),
        ("x0,y0,x1,y1\n5,2,5,4\n", "of no area"),
        ("x0,y0,x1,y1\n1,2,nan,4\n", "of no area"),
        ("x0,y0,x1,y1\n", "holds no boxes"),
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
