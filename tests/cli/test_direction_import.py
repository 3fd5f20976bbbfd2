"""`vidinv directions import`: every published format edits as its publisher says; nothing in a file is run."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import direction_files as files
from tests.helpers.runs import TINY
from vidinv.backends import registry as backends
from vidinv.backends import tiny
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.editing import directions, feature_edit, spaces
from vidinv.editing.directions import Direction
from vidinv.frames import Code
from vidinv.generators import registry

IMPORT = ["directions", "import", "--backend", "tiny"]
OURS = ["--space", tiny.SPACE]
DIM = 32
VECTOR = np.random.default_rng(1).normal(size=DIM)
UNIT = VECTOR / np.linalg.norm(VECTOR)
ROWS = np.outer(np.ones(tiny.SLOTS), VECTOR)
UNEVEN = np.random.default_rng(2).normal(size=(tiny.SLOTS, DIM))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))


def taken(name: str = "taken", space: str = tiny.SPACE) -> Direction:
    return directions.read_direction(directions.own_folder() / space / f"{name}.safetensors")


# what a file is made of, what is given with it, and what its strength 1 adds to w+ [8,32] by its publisher's rule
CASES: dict[str, tuple[Callable[[Path], Path], list[str], np.ndarray]] = {
    "fse": (lambda path: files.fse(path, UNEVEN), [], 15 * UNEVEN / np.linalg.norm(UNEVEN)),
    "stit": (lambda path: files.stit(path, VECTOR, 8, 0.731), [], np.tile(0.731 / 2 * UNIT, (8, 1))),
    "interfacegan": (lambda path: files.interfacegan(path, VECTOR), OURS, np.tile(UNIT, (8, 1))),
    "e4e": (lambda path: files.e4e(path, VECTOR), OURS, np.tile(UNIT, (8, 1))),
    "e4e-rows": (
        lambda path: files.e4e(path, UNEVEN),
        [],
        UNEVEN / np.linalg.norm(UNEVEN, axis=1, keepdims=True),
    ),
    "ganspace": (
        lambda path: files.ganspace(path, VECTOR, std=2.5, at=3),
        [*OURS, "--component", "3", "--rows", "2-5"],
        np.outer([0, 0, 1, 1, 1, 1, 0, 0], 2.5 * UNIT),
    ),
    "sefa": (lambda path: files.sefa(path, VECTOR, at=4), [*OURS, "--component", "4"], np.tile(UNIT, (8, 1))),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_edits_as_its_publisher_says_and_strength_one_is_ours(case: str, tmp_path: Path) -> None:
    make, given, step = CASES[case]
    assert main([*IMPORT, str(make(tmp_path / "theirs.npy")), "--as", "taken", *given]) == 0
    found = taken()
    facts = found.imported
    assert facts is not None and facts.format == case.split("-")[0] and facts.is_measured
    generator = backends.choose_backend("tiny").models("cpu", "").generator
    own = facts.native / found.deviation  # the file's own strength 1, as a strength of ours
    torch.testing.assert_close(found.offset(own, tiny.SLOTS).double(), torch.from_numpy(step), rtol=0, atol=1e-5)
    # ours moves w+ along the step by one standard deviation of the samples' w+ along it
    samples = generator.sample(10_000, seed=13).double()
    along = torch.from_numpy(step / np.linalg.norm(step)).sum(0)
    moved = (found.offset(1.0, tiny.SLOTS).double() * torch.from_numpy(step)).sum() / np.linalg.norm(step)
    assert float(moved) == pytest.approx(float((samples @ along).std()), rel=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_a_direction_of_ours_comes_back_from_every_format_as_the_same_edit(case: str, tmp_path: Path) -> None:
    generator = backends.choose_backend("tiny").models("cpu", "").generator
    layers = (2, 6)
    ours = directions.of_vector("ours", torch.from_numpy(UNIT).float(), layers, generator, origin="")
    given = ["--rows", "2-5"] + [part for part in CASES[case][1] if part not in ("--rows", "2-5")]
    held = np.zeros((tiny.SLOTS, DIM))
    held[slice(*layers)] = UNIT
    path = files.fse(tmp_path / "theirs.npy", held) if case == "fse" else CASES[case][0](tmp_path / "theirs.npy")
    if case == "e4e-rows":
        files.e4e(path, ROWS)
    assert main([*IMPORT, str(path), "--as", "taken", *given]) == 0
    torch.testing.assert_close(taken().offset(1.0, 8), ours.offset(1.0, 8), rtol=1e-4, atol=1e-5)
    assert taken().layers == layers


@pytest.mark.slow
@pytest.mark.weights
def test_a_shipped_direction_comes_back_from_every_format_as_the_same_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # the weights lie in the real cache
    chosen = backends.choose_backend("default")
    ours = directions.load_direction("smile", chosen.space)
    generator = registry.load_generator(chosen.generator)
    vector, (first, last) = ours.vector.double().numpy(), ours.layers
    held = np.zeros((16, 512))
    held[first:last] = vector
    code = Code(generator.broadcast(generator.sample(1, seed=3)), space=generator.space)
    before = generator.picture(code, 512)
    wanted = generator.picture(feature_edit.edit(generator, code, [(ours, 1.0)]), 512)
    assert float((wanted - before).abs().mean()) > 0.01
    rows, space = ["--rows", f"{first}-{last - 1}"], ["--space", chosen.space]
    made = {
        "fse": (files.fse(tmp_path / "fse.npy", held), []),
        "stit": (files.stit(tmp_path / "stit.npy", vector, 16, 1.007), rows),
        "interfacegan": (files.interfacegan(tmp_path / "interfacegan.npy", vector), rows + space),
        "e4e": (files.e4e(tmp_path / "e4e.pt", vector), rows + space),
        "ganspace": (files.ganspace(tmp_path / "g.pt", vector, 1.7, 2), [*rows, *space, "--component", "2"]),
        "sefa": (files.sefa(tmp_path / "sefa.pt", vector, 7), [*rows, *space, "--component", "7"]),
    }
    for name, (path, given) in made.items():
        assert main(["directions", "import", str(path), "--as", name, "--out", str(tmp_path), "--offline", *given]) == 0
        found = directions.read_direction(tmp_path / chosen.space / f"{name}.safetensors")
        picture = generator.picture(feature_edit.edit(generator, code, [(found, 1.0)]), 512)
        torch.testing.assert_close(picture, wanted, rtol=0, atol=1e-3)


def test_what_is_imported_edits_a_clip_and_says_where_it_is_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = files.stit(tmp_path / "age.npy", VECTOR, 8, 1.0)
    given = ["--as", "older", "--licence", "for research", "--attribute", "age", "--json", str(tmp_path / "facts.json")]
    assert main([*IMPORT, str(path), *given]) == 0
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["licence"] == "for research" and facts["space"] == tiny.SPACE and facts["layers"] == [0, 8]
    assert facts["imported"]["shape"] == "8x32" and facts["imported"]["native"] == pytest.approx(0.5)
    assert facts["imported"]["generator"] == "mobile-stylegan-tiny" and "age" in facts["imported"]["sign"]
    assert facts["calibration"].keys() == {"years"} and "+1" in facts["kept"]
    capsys.readouterr()
    assert main(["directions", "list", "--backend", "tiny", "--json", "-"]) == 0
    assert [row for row in json.loads(capsys.readouterr().out) if row["name"] == "older"] == [facts]
    clip = make_clip(tmp_path / "in.mp4", frames=4)
    assert main(["run", str(clip), "--edit", "older+1", "-o", str(tmp_path / "out.mp4"), *TINY]) == 0
    assert main(["directions", "show", "older", "-o", str(tmp_path / "strip.png"), "--backend", "tiny"]) == 0


def test_of_another_generator_the_files_own_strength_rules_and_its_use_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uneven = np.random.default_rng(3).normal(size=(18, 512))
    path = files.fse(tmp_path / "smiling.npy", uneven)
    assert main([*IMPORT, str(path), "--as", "imported"]) == 0
    told = capsys.readouterr().out
    assert "ffhq-stylegan2-w" in told and "not available" in told
    found = taken("imported", "ffhq-stylegan2-w")
    assert found.imported is not None and not found.imported.is_measured and found.deviation == found.imported.native
    step = torch.from_numpy(15 * uneven / np.linalg.norm(uneven))
    torch.testing.assert_close(found.offset(1.0, 18).double(), step, rtol=0, atol=1e-5)
    clip = make_clip(tmp_path / "in.mp4", frames=4)
    assert main(["run", str(clip), "--edit", "imported+1", "-o", str(tmp_path / "out.mp4"), *TINY]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "ffhq-stylegan2-w" in error and tiny.SPACE in error and "--space" in error
    assert not (tmp_path / "out.mp4").exists()
    assert main(["run", str(clip), "--edit", "imported+1", "-o", str(tmp_path / "out.mp4")]) == 2
    assert "mobile-stylegan-ffhq-w" in capsys.readouterr().err
    assert main(["directions", "list", "--backend", "tiny"]) == 0 and "imported" in capsys.readouterr().out


def array(shape: tuple[int, ...], scale: float = 1.0) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape) * scale


def npy(path: Path, header: str) -> None:
    """A .npy file with any header."""
    text = ("{" + header + "\n").encode()
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(2048))


REFUSED = {
    "bare": (lambda path: files.interfacegan(path, array((512,))), [], 2, "give --space"),
    "no norm": (lambda path: np.save(path, array((1, 512))), [], 2, "give --format"),
    "no space": (lambda path: files.stit(path, array((512,)), 7, 1.0), [], 2, "fits no latent space"),
    "flat, no space": (lambda path: files.fse(path, array((7, 512))), [], 2, "fits no latent space"),
    "wrong space": (lambda path: files.stit(path, array((512,)), 18, 1.0), OURS, 2, "generator's --space"),
    "unknown space": (lambda path: files.stit(path, VECTOR, 8, 1.0), ["--space", "z"], 2, "choose one of"),
    "wrong format": (lambda path: files.sefa(path, VECTOR, 0), [*OURS, "--format", "stit"], 2, "cannot be read as"),
    "unknown format": (lambda path: files.sefa(path, VECTOR, 0), ["--format", "magic"], 2, "choose one of fse"),
    "which": (lambda path: files.sefa(path, VECTOR, 0), OURS, 2, "--component N"),
    "not of many": (lambda path: files.stit(path, VECTOR, 8, 1.0), ["--component", "0"], 2, "remove --component"),
    "no such": (lambda path: files.sefa(path, VECTOR, 0), [*OURS, "--component", "99"], 2, "cannot be read as sefa"),
    "no such mean": (
        lambda path: files.ganspace(path, VECTOR, 1.0, 0),
        [*OURS, "--component", "9"],
        2,
        "cannot be read as ganspace",
    ),
    "zeros": (lambda path: np.save(path, np.zeros((8, 32))), [], 2, "holds no direction"),
    "empty rows": (lambda path: files.fse(path, ROWS * np.eye(8)[0][:, None]), ["--rows", "3-4"], 2, "moves nothing"),
    "unmeasured": (lambda path: files.stit(path, VECTOR, 8, 1.0), ["--attribute", "charm"], 2, "cannot be measured"),
    "absent": (
        lambda path: files.stit(path, array((512,)), 18, 1.0),
        ["--attribute", "age"],
        2,
        "stylegan2-ffhq-1024 is not available",
    ),
    "missing": (lambda path: None, [], 3, "cannot read"),
    "nan": (lambda path: np.save(path, np.full((8, 32), np.nan)), [], 5, "does not hold arrays of finite numbers"),
    "objects": (lambda path: np.save(path, np.array([{}]), allow_pickle=True), [], 5, "not a plain array of numbers"),
    "odd header": (lambda path: npy(path, "'descr': '<f8', 'shape': (8, (32"), [], 5, "not a plain array of numbers"),
    "structure": (
        lambda path: npy(path, "'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (8, 32)}"),
        [],
        5,
        "not a plain array of numbers",
    ),
    "overflow": (lambda path: np.save(path, np.full((8, 32), 1e300)), [], 2, "holds no direction"),
    "repeated": (
        lambda path: torch.save(torch.ones(1).half().expand(1 << 25), path),
        [],
        5,
        "which no file of directions does",
    ),
    "large square": (lambda path: torch.save(torch.eye(1000), path), [], 2, "has no known format"),
    "text": (lambda path: path.write_text("hello"), [], 5, "neither a .npy nor a torch file"),
    "cut": (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00"), [], 5, "not a plain array of numbers"),
    "torn": (lambda path: path.write_bytes(b"PK\x03\x04torn"), [], 5, "zip archive is damaged"),
    "network": (lambda path: torch.save(torch.nn.Linear(2, 2), path), [], 5, "does not hold arrays of finite numbers"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_imported_is_one_line(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make, given, code, said = REFUSED[case]
    path = tmp_path / "theirs.npy"
    make(path)
    assert main([*IMPORT, str(path), *given]) == code
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and said in error and "internal" not in error
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


class Hostile:
    """A pickle of it writes a file when it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("how", ["torch", "legacy", "pickle", "numpy", "among tensors"])
def test_a_hostile_file_is_not_run(how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace, path = tmp_path / "trace", tmp_path / "theirs.npy"
    evil = Hostile(trace)
    if how == "numpy":
        np.save(path, np.array([evil]), allow_pickle=True)
    elif how == "pickle":
        path.write_bytes(pickle.dumps(evil))
    elif how == "among tensors":
        torch.save({"mean": torch.zeros(1, 32), "comp": torch.eye(32)[:, None], "std": torch.ones(32), "x": evil}, path)
    else:
        torch.save(evil, path, _use_new_zipfile_serialization=how == "torch")
    assert main([*IMPORT, str(path), *OURS]) == 5
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and not trace.exists()


def test_rows_of_stylegan2_are_laid_where_the_default_reads_them() -> None:
    step = torch.arange(18.0)[:, None].expand(18, 512)
    laid = spaces.step_in_space(step, spaces.SPACES["mobile-stylegan-ffhq-w"])
    assert laid[:, 0].tolist() == [*range(15), 17]


@pytest.mark.parametrize(
    "space", ["mobile-stylegan-tiny-w", pytest.param("mobile-stylegan-ffhq-w", marks=pytest.mark.weights)]
)
def test_a_space_is_said_to_be_as_its_generator_has_it(space: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the weights lie in the real cache
    said = spaces.SPACES[space]
    generator = registry.load_generator(said.generator)
    assert (generator.space, generator.num_ws, generator.w_dim) == (said.name, said.rows, said.dim)


DEFAULT = spaces.SPACES["mobile-stylegan-ffhq-w"]


@pytest.mark.parametrize("shape", [(512,), (18, 512)])
def test_what_was_published_for_ffhq_is_taken_for_the_default_generator(shape: tuple[int, ...]) -> None:
    related = spaces.shared_by(shape, DEFAULT)
    assert related is not None and related.name == "ffhq-stylegan2-w"
    numbers = torch.arange(18.0)[:, None].expand(18, 512) if len(shape) == 2 else torch.ones(512)
    rows = spaces.step_in_space(numbers, DEFAULT)
    assert rows.shape == (16, 512)
    if len(shape) == 2:
        assert rows[:, 0].tolist() == [*range(15), 17]


def test_other_shapes_and_generators_share_nothing() -> None:
    assert spaces.shared_by((16, 512), DEFAULT) is None and spaces.shared_by((32,), DEFAULT) is None
    assert spaces.shared_by((32,), spaces.SPACES[tiny.SPACE]) is None


def test_messages_list_no_test_networks_but_ones_own() -> None:
    assert not any("tiny" in str(space) for space in spaces.user_spaces(DEFAULT))
    own = spaces.SPACES[tiny.SPACE]
    assert own in spaces.user_spaces(own)
