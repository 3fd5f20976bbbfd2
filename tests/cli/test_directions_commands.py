"""`vidinv directions` with the tiny backend: a scorer of one's own becomes a direction that edits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers.runs import TINY, frames_of
from vidinv.backends import registry as backends
from vidinv.backends import tiny
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.editing import direction_training, directions
from vidinv.media import photo

LEARN = ["directions", "learn", "--backend", "tiny", "--progress", "none"]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))


def redness(pictures: torch.Tensor) -> torch.Tensor:
    return (pictures[:, 0] - pictures[:, 1]).mean((1, 2))


def warmth(pictures: torch.Tensor) -> torch.Tensor:
    return (pictures[:, 0] - pictures[:, 2]).mean((1, 2))


def flat(pictures: torch.Tensor) -> torch.Tensor:
    return torch.ones(len(pictures))


def raising(pictures: torch.Tensor) -> torch.Tensor:
    raise KeyError("boo")


def broken(pictures: torch.Tensor) -> float:
    return 1.0


SCORER = ["--scorer", "tests.cli.test_directions_commands:redness"]


def test_a_scorer_of_ones_own_becomes_a_direction_that_edits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wanted = ["--attribute", "redness", *SCORER, "--unit", "R-G", "--method", "ridge", "--samples", "400"]
    assert main([*LEARN, *wanted, "--free-of", "age"]) == 0
    assert main(["directions", "list", "--backend", "tiny", "--json", "-"]) == 0
    (entry,) = [row for row in json.loads(capsys.readouterr().out) if row["name"] == "redness"]
    assert entry["calibration"]["R-G"] > 0 and "age" in entry["leak"] and entry["kept"]["+1"] > 0
    clip = make_clip(tmp_path / "in.mp4", frames=4)
    assert main(["run", str(clip), "--edit", "redness+1", "-o", str(tmp_path / "out.mp4"), *TINY]) == 0
    report = json.loads((tmp_path / "out.mp4.json").read_text())
    assert report["edits"][0]["calibration"] == entry["calibration"]


def test_a_strip_shows_seven_strengths_of_every_person(tmp_path: Path) -> None:
    path = tmp_path / "age.png"
    assert main(["directions", "show", "age", "-o", str(path), "--people", "2", "--backend", "tiny"]) == 0
    drawn = photo.read_photo(path).rgb
    assert drawn.shape == (2 * 160, 7 * 160, 3)
    panels = [drawn[:160, 160 * k : 160 * (k + 1)].astype(int) for k in range(7)]
    moved = [abs(panel - panels[3]).mean() for panel in panels]
    assert moved[0] > moved[1] > moved[2] > 0 == moved[3] < moved[4] < moved[5] < moved[6]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["--attribute", "charm"], "no network measures 'charm'"),
        (["--attribute", "a b", *SCORER], "not a valid direction name"),
        (["--attribute", "redness", "--scorer", "nowhere:redness"], "cannot be imported"),
        (
            ["--attribute", "redness", "--scorer", "tests.cli.test_directions_commands:broken"],
            "return one score per picture",
        ),
        (["--attribute", "redness", *SCORER, "--method", "magic"], "choose one of ridge"),
        (["--attribute", "redness", *SCORER, "--rows", "4-8"], "FIRST-LAST of 0-7"),
        (["--attribute", "redness", *SCORER, "--free-of", "charm"], "no network measures 'charm'"),
        (["--attribute", "redness", *SCORER, "--free-of", "redness"], "cannot be free of itself"),
        (["--attribute", "flat", "--scorer", "tests.cli.test_directions_commands:flat"], "is the same on all 20 faces"),
        (["--attribute", "redness", "--scorer", "tests.cli.test_directions_commands:raising"], "--scorer failed"),
        (["--attribute", "redness", *SCORER, "--region", "toes"], "choose one of face"),
        (["--attribute", "redness", *SCORER, "--style", "--rows", "0-3"], "not to --style"),
        (["--attribute", "redness", *SCORER, "--channels", "3"], "--channels needs --style"),
        (["--attribute", "redness", *SCORER, "--device", "gpu"], "choose one of auto"),
    ],
)
def test_what_cannot_be_learned_is_one_line(
    wanted: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*LEARN, *wanted, "--samples", "20", "--trials", "2"]) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("error: ") and said in error and "internal" not in error
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


def test_faces_are_drawn_by_seed_and_their_scores_teach(tmp_path: Path) -> None:
    folder = tmp_path / "faces"
    assert main(["directions", "faces", "-o", str(folder), "--count", "60", "--backend", "tiny"]) == 0
    lines = (folder / "faces.csv").read_text().split()
    assert lines[0] == "seed,file" and len(lines) == 61
    red = [float(photo.read_photo(folder / line.split(",")[1]).rgb[..., 0].mean()) for line in lines[1:]]
    table = [f"{lines[0]},red", *(f"{line},{score}" for line, score in zip(lines[1:], red, strict=True))]
    (folder / "faces.csv").write_text("\n".join(table))
    given = ["--attribute", "red", "--scores", str(folder / "faces.csv"), "--method", "ridge", "--trials", "2"]
    assert main([*LEARN, *given]) == 0
    made = directions.load_direction("red", tiny.SPACE)
    assert made.calibration == {} and "age" in made.leak and "faces.csv" in made.origin
    generator = backends.choose_backend("tiny").models("cpu", "").generator
    w = direction_training.samples(generator, 8, seed=900)
    low, high = (
        generator.synthesize(generator.broadcast(w) + made.offset(strength, tiny.SLOTS)) for strength in (-1.0, 1.0)
    )
    assert float((high - low)[:, 0].mean()) > 0  # faces that taught nothing


def painted(folder: Path, count: int) -> list[float]:
    """Pictures of noise, ever bluer; how blue each is."""
    folder.mkdir()
    for seed in range(count):
        picture = np.random.default_rng(seed).integers(40, 120, (64, 64, 3), np.uint8)
        picture[..., 2] += seed * 3
        photo.write_photo(folder / f"{seed:02}.png", photo.Photo(picture), {})
    return [float(seed) for seed in range(count)]


def test_photos_teach_by_the_encoders_own_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    how_blue = painted(tmp_path / "photos", 24)
    (tmp_path / "photos" / "broken.png").write_bytes(b"no picture")
    photo.write_photo(
        tmp_path / "photos" / "dark.png", photo.Photo(np.zeros((64, 64, 3), np.uint8)), {}
    )  # without a face
    given = ["--photos", str(tmp_path / "photos"), "--trials", "2", "--rows", "2-5"]
    learn = [*LEARN[:-1], "json", *given]
    assert main([*learn, "--attribute", "warmth", "--scorer", "tests.cli.test_directions_commands:warmth"]) == 0
    assert "2 of 26 pictures left out" in capsys.readouterr().err
    made = directions.load_direction("warmth", tiny.SPACE)
    assert made.vector.shape == (8, 32) and made.calibration["score"] > 0 and "codes of 24 pictures" in made.origin
    table = tmp_path / "scores.csv"
    table.write_text("file,blueness\n" + "".join(f"{k:02}.png,{score}\n" for k, score in enumerate(how_blue)))
    assert main([*LEARN, *given, "--attribute", "blueness", "--scores", str(table), "--method", "ridge"]) == 0
    assert float((directions.load_direction("blueness", tiny.SPACE).vector * made.vector).sum()) < -0.3
    clip = make_clip(tmp_path / "in.mp4", frames=4)
    assert main(["run", str(clip), "--edit", "blueness+1", "-o", str(tmp_path / "out.mp4"), *TINY]) == 0


@pytest.mark.parametrize(
    ("text", "given", "code", "said"),
    [
        ("seed,glow\n1,2\n", [], 2, "line 1: no column 'tan'"),
        ("seed,tan\n1,2\n2,much\n", [], 2, "line 3: tan 'much' is not a number"),
        ("file,tan\nnobody.png,2\n", [], 2, "line 2: the picture"),
        ("seed,tan\n1,2\n2,3\n", [], 2, "2 faces have a score of tan; give at least 10"),
        ("seed,tan\n" + "".join(f"{k},2\n" for k in range(12)), [], 2, "is the same on all 12 faces"),
        (
            "seed,tan\n" + "".join(f"{k},{k}\n" for k in range(1, 13)),
            ["--method", "difference"],
            2,
            "or none, have tan",
        ),
        ("seed,tan\n1,2\n", ["--photos", "."], 2, "remove one"),
        ("seed,tan\n1,2\n", ["--samples", "50"], 2, "--samples applies to sampled faces only"),
        ("seed,tan\n1,2\n", ["--photos", "nowhere"], 2, "remove one"),
    ],
)
def test_scores_that_cannot_teach_are_one_line(
    text: str, given: list[str], code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.csv").write_text(text)
    scores = ["--attribute", "tan", "--scores", str(tmp_path / "s.csv")]
    assert main([*LEARN, *scores, *given, "--trials", "2"]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error and "internal" not in error


def test_a_scorer_beside_the_user_is_found_by_the_console_script(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def blue(pictures):\n    return pictures[:, 2].mean((1, 2)).numpy()\n")
    script = (
        "import sys; from vidinv.cli.main import main; "
        "sys.path = [place for place in sys.path if place]; sys.exit(main(sys.argv[1:]))"
    )
    wanted = ["--attribute", "blue", "--scorer", "mine:blue", "--samples", "20", "--trials", "2", "--method", "ridge"]
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", script, *LEARN, *wanted],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": root},
        check=False,
    )
    assert done.returncode == 0 and directions.load_direction("blue", tiny.SPACE).origin.endswith("scored by mine:blue")


def test_style_channels_are_learned_shown_and_edit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    learn = ["--attribute", "age", "--as", "redness", "--style", "--channels", "3", "--samples", "60", "--trials", "2"]
    assert main([*LEARN, *learn]) == 0
    made = directions.load_direction("redness", tiny.SPACE)
    assert made.kind == "style" and 1 <= len(made.channels) <= 3 and made.calibration["years"] > 0
    assert made.name == "redness"
    strip = tmp_path / "redness.png"
    assert main(["directions", "show", "redness", "-o", str(strip), "--people", "1", "--backend", "tiny"]) == 0
    drawn = photo.read_photo(strip).rgb.astype(int)
    assert abs(drawn[:, :160] - drawn[:, 480:640]).mean() > 0.5  # -3 against 0
    clip, output = make_clip(tmp_path / "in.mp4", frames=4), tmp_path / "out.mp4"
    assert main(["run", str(clip), "--edit", "redness+3@region=mouth", "-o", str(output), *TINY]) == 0
    report = json.loads((tmp_path / "out.mp4.json").read_text())
    assert report["edits"][0]["kind"] == "style"
    still = tmp_path / "still.mp4"
    assert main(["run", str(clip), "--edit", "redness+0", "-o", str(still), *TINY]) == 0
    pairs = zip(frames_of(output), frames_of(still), strict=True)
    assert any(not np.array_equal(a, b) for (_, one), (_, two) in pairs for a, b in zip(one, two, strict=True))
    capsys.readouterr()
    assert main(["run", str(clip), "--edit", "redness+1@layers=0-3", "-o", str(still), *TINY, "--overwrite"]) == 2
    assert "style channels" in capsys.readouterr().err


def test_a_direction_is_not_replaced_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    find = ["directions", "find", "--count", "1", "--backend", "tiny"]
    assert main(find) == 0 and main(find) == 7 and main([*find, "--overwrite"]) == 0
    assert "exists" in capsys.readouterr().err


def test_a_job_does_not_go_on_with_another_direction_of_that_name(tmp_path: Path) -> None:
    clip, output = make_clip(tmp_path / "in.mp4", frames=8), tmp_path / "out.mp4"
    run = ["run", str(clip), "--edit", "sefa.1+2", "-o", str(output), *TINY, "--keep-job"]
    assert main(["directions", "find", "--count", "1", "--backend", "tiny"]) == 0 and main(run) == 0
    assert main([*run, "--overwrite"]) == 0  # the same job
    find = ["directions", "find", "--count", "1", "--rows", "0-2", "--backend", "tiny", "--overwrite"]
    assert main(find) == 0 and main([*run, "--overwrite"]) == 2


def test_what_is_found_can_be_edited_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["directions", "find", "--method", "sefa", "--count", "2", "--rows", "0-3", "--backend", "tiny"]) == 0
    assert main(["directions", "find", "--method", "ganspace", "--count", "1", "--backend", "tiny"]) == 0
    assert [line.rsplit("/", 1)[1] for line in capsys.readouterr().out.splitlines()] == [
        "sefa.1.safetensors",
        "sefa.2.safetensors",
        "ganspace.1.safetensors",
    ]
    clip = make_clip(tmp_path / "in.mp4", frames=4)
    assert main(["run", str(clip), "--edit", "sefa.2-1.5", "-o", str(tmp_path / "out.mp4"), *TINY]) == 0


def test_a_few_pictures_make_a_direction(tmp_path: Path) -> None:
    for folder, low in (("bright", 140), ("dark", 20)):
        (tmp_path / folder).mkdir()
        for seed in range(3):
            picture = np.random.default_rng(seed).integers(low, low + 100, (64, 64, 3), np.uint8)
            photo.write_photo(tmp_path / folder / f"{seed}.png", photo.Photo(picture), {})
    given = ["--with", str(tmp_path / "bright"), "--without", str(tmp_path / "dark"), "--backend", "tiny"]
    assert main(["directions", "from-pictures", "bright", *given, "--rows", "0-3"]) == 0
    made = directions.load_direction("bright", tiny.SPACE)
    assert made.layers == (0, 4) and "3 and 3 pictures" in made.origin and made.deviation > 0
    encoder = backends.choose_backend("tiny").models("cpu", "").encoder
    with torch.no_grad():
        bright, dark = (encoder(torch.full((1, 3, 64, 64), value)).ws.mean((0, 1)) for value in (0.4, -0.6))
    assert float((bright - dark) @ made.vector) > 0


@pytest.mark.parametrize(
    ("wanted", "code", "said"),
    [
        (["find", "--method", "magic"], 2, "choose one of sefa"),
        (["find", "--rows", "3-9"], 2, "FIRST-LAST"),
        (["from-pictures", "a b", "--with", "x", "--without", "y"], 2, "not a valid direction name"),
        (["from-pictures", "frown", "--with", "none", "--without", "none"], 3, "none"),
        (["from-pictures", "frown", "--with", "README.mp4", "--without", "README.mp4"], 3, "no picture"),
    ],
)
def test_what_cannot_be_found_is_one_line(
    wanted: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["directions", *wanted, "--backend", "tiny"]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error
