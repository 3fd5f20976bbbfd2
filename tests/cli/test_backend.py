"""Backends of one's own, in whole runs: generators of every family, boxes and whole frames, parts that are absent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import layouts
from tests.helpers.own_backend import FRAMES, LEAST, PLAIN, SIZE, create, drawn, refused, shape_at
from tests.helpers.psp_files import psp_file
from tests.helpers.runs import SHOWN, STEPS, frames_of, report_of
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.editing import directions
from vidinv.editing.directions import Direction
from vidinv.encoders import encoder_file
from vidinv.generators import registry
from vidinv.jobs.request_files import page_path

FAMILIES = ("stylegan1-tiny", "stylegan2-tiny", "stylegan3-t-tiny", "stylegan3-r-tiny", "pggan-tiny", "biggan-tiny")


pytestmark = pytest.mark.usefixtures("own_cache")


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
    assert "None of these was found: poor inversion, no face, tiny face, blur, cut." in page


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
    generator = registry.load_generator(family)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = encoder_file.build_encoder("adaptive-tiny", generator, 16)
    facts = encoder_file.EncoderFacts("adaptive-tiny", generator.space, 16, feature_branch=False)
    path = encoder_file.write_encoder(tmp_path / "mirror.safetensors", encoder.state_dict(), facts)
    shown = ["--label", 2] if family == "biggan-tiny" else []
    create("own", family, "--encoder", path, "--alignment", "center", *shown, *PLAIN)
    assert main(["backend", "check", "own"]) == 0
    output = edited(source, "own", "--quality", "fast", "--set", "mask.residual_bad=9", "--blend", "residual")
    assert all(mask.any() for mask in changed(source, output))
    assert list(report_of(output)["weights"]) == ["encoder/mirror"]


@pytest.mark.parametrize("family", FAMILIES)
def test_directions_are_found_in_every_family(family: str, own_cache: Path) -> None:
    create("own", family, "--alignment", "center", *PLAIN)
    for method in ("sefa", "ganspace"):
        assert main(["directions", "find", "--backend", "own", "--method", method, "--count", "2"]) == 0
    space = registry.load_generator(family).space
    found = [directions.load_direction(name, space) for name in ("sefa.1", "sefa.2", "ganspace.1", "ganspace.2")]
    assert all(each.deviation > 0 and abs(float(each.vector.norm()) - 1) < 1e-4 for each in found)
    assert main(["directions", "show", "ganspace.1", "--backend", "own", "-o", str(own_cache / "strip.png")]) == 0


def test_an_imported_pair_of_generator_and_encoder_edits_a_clip(clip: Path, boxes: Path, tmp_path: Path) -> None:
    published = registry.load_generator("stylegan2-tiny")
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
    generator = registry.load_generator("stylegan2-tiny")
    with torch.random.fork_rng():
        encoder = encoder_file.build_encoder("light", generator, 16)
    encoder_file.write_encoder(
        tmp_path / "own.safetensors", encoder.state_dict(), encoder_file.EncoderFacts("light", generator.space, 16)
    )
    vector = torch.nn.functional.normalize(torch.ones(generator.w_dim), dim=0)
    made = directions.write_direction(Direction("wider", vector, 1.0, (0, 4), generator.space), tmp_path)
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

    photo.write_photo(picture, photo.Photo(drawn(0)), {})
    output = tmp_path / "edited.png"
    assert main(["edit", str(picture), "--edit", "sefa.2-3", "-o", str(output), *tiny, *SHOWN]) == 0
    difference = (photo.read_photo(output).rgb != photo.read_photo(picture).rgb).any(2)
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
    learned = directions.load_direction("red", "stylegan2-tiny-w")
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
