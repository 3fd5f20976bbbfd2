"""Twenty faults of a file of each kind: each ends with 5 and one line that names the key, and nothing is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.helpers import layouts, published_stylegan2
from tests.helpers.checkpoint_layouts import LAYOUTS
from tests.helpers.hostile import Hostile
from vidinv.cli.main import main
from vidinv.weights import imported

State = dict[str, Tensor]


def psp() -> State:
    """Encoder and decoder, as a pSp checkpoint's `state_dict` has them."""
    encoder = layouts.map2style(8, published_stylegan2.W)
    decoder = published_stylegan2.published_state()
    return {f"encoder.{key}": value for key, value in encoder.items()} | {
        f"decoder.{key}": value for key, value in decoder.items()
    }


@dataclass(frozen=True)
class Kind:
    """A state in a published layout, what else its file holds, and what the command is told."""

    state: Callable[[], State]
    beside: tuple[tuple[str, object], ...] = ()
    arguments: tuple[str, ...] = ()


KINDS = {
    "feature-style": Kind(layouts.feature_style, arguments=("--for", "stylegan2-tiny")),
    "psp": Kind(psp, (("opts", {"encoder_type": "GradualStyleEncoder"}),)),
    "e4e": Kind(psp, (("opts", {"encoder_type": "Encoder4Editing"}),)),
    "iresnet": Kind(layouts.iresnet),
    "ir-se": Kind(layouts.ir_se),
    "bisenet": Kind(layouts.bisenet),
    "lpips-alexnet": Kind(lambda: layouts.lpips_whole("alexnet")),
    "lpips-vgg16": Kind(lambda: layouts.lpips_whole("vgg16")),
    "fan": Kind(layouts.fan),
    **{layout: Kind(state) for layout, state in LAYOUTS.items()},
}
SHAPES: tuple[Callable[[Tensor], Tensor], ...] = (
    lambda value: torch.zeros(2, 3, 5),
    lambda value: torch.zeros(0),
    lambda value: value.flatten().repeat(2),
    lambda value: torch.zeros(*value.shape, 2),
)
COUNTS = {"shape": 8, "missing": 6, "extra": 2, "nan": 1, "cut": 2, "hostile": 1}
CASES = [(kind, number) for kind, count in COUNTS.items() for number in range(count)]
NAMELESS = ("num_batches_tracked", "kernel", "filter", "blur.weight", "lins.", "scaling_layer", "w_avg", "_u", "_v")


def picked(state: State, count: int) -> list[str]:
    """Keys all over the state, which say something."""
    keys = [key for key in state if not key.endswith(NAMELESS) and not key.startswith(NAMELESS)]
    return [keys[i * len(keys) // count] for i in range(count)]


def mutated(state: State, case: str, number: int) -> tuple[str, State]:
    """The key that is to be named, and the state with its fault."""
    key = picked(state, COUNTS[case])[number]
    if case == "shape":
        return key, state | {key: SHAPES[number % len(SHAPES)](state[key])}
    if case == "missing":
        return key, {name: value for name, value in state.items() if name != key}
    if case == "extra":
        name = f"{key}.more" if number else f"{key.rpartition('.')[0]}.more.weight"
        return name, state | {name: torch.ones(3)}
    spoiled = state[key].clone()
    spoiled.view(-1)[0] = torch.nan
    return key, state | {key: spoiled}


@pytest.mark.parametrize(("case", "number"), CASES, ids=[f"{case}-{number}" for case, number in CASES])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_with_a_fault_is_refused_in_one_line_that_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, case: str, number: int
) -> None:
    of = KINDS[kind]
    state, path, named = of.state(), tmp_path / "mutated.pt", "mutated.pt"
    if case in ("shape", "missing", "extra", "nan"):
        named, state = mutated(state, case, number)
    held = {"state_dict": state, **dict(of.beside)}
    if case == "hostile":
        held["more"], named = Hostile(tmp_path / "ran"), "posix.system"
    torch.save(held, path)
    if case == "cut":
        path.write_bytes(path.read_bytes()[: (2000, -40)[number]])
    assert main(["weights", "import", str(path), *of.arguments]) == 5
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and named.removesuffix("_orig") in lines[0], (named, lines)
    assert not imported.parts() and not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_fault_it_is_kept(tmp_path: Path, kind: str) -> None:
    torch.save({"state_dict": KINDS[kind].state(), **dict(KINDS[kind].beside)}, tmp_path / "whole.pt")
    assert main(["weights", "import", str(tmp_path / "whole.pt"), *KINDS[kind].arguments]) == 0
    assert all(part.endswith("/whole") for part in imported.parts()) and imported.parts()


@pytest.mark.parametrize("kind", KINDS)
def test_in_part_it_is_taken_when_told_and_what_is_left_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    of = KINDS[kind]
    key, state = mutated(of.state(), "missing", 3)
    torch.save({"state_dict": state | {"odd.key": torch.ones(2)}, **dict(of.beside)}, tmp_path / "part.pt")
    assert main(["weights", "import", str(tmp_path / "part.pt"), "--partial", *of.arguments]) == 0
    said = capsys.readouterr().err
    assert f"not filled: {key.removesuffix('_orig')}" in said and "odd.key" in said


@pytest.mark.parametrize(
    ("key", "value", "named"),
    [
        ("bn1.bias", torch.zeros(6).to_sparse(), "bn1.bias"),
        ("bn1.bias", torch.zeros(6, dtype=torch.complex64), "bn1.bias is a tensor of strided complex64"),
        ("layer2.99999999.bn1.bias", torch.zeros(6), "layer2.99999999.bn1.bias"),
        ("layer3.0.prelu.weight", torch.zeros(10**5), "layer3.0.prelu.weight"),
    ],
)
def test_a_tensor_of_an_odd_kind_is_refused_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], key: str, value: Tensor, named: str
) -> None:
    torch.save(layouts.iresnet() | {key: value}, tmp_path / "odd.pt")
    assert main(["weights", "import", str(tmp_path / "odd.pt")]) == 5
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert named in line


@pytest.mark.parametrize(
    "average", [torch.zeros(0), torch.zeros(3, 0), torch.zeros(()), torch.full((8, 20), torch.nan)]
)
def test_an_average_that_is_none_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], average: Tensor
) -> None:
    held = {"state_dict": psp(), "opts": {"encoder_type": "Encoder4Editing"}, "latent_avg": average}
    torch.save(held, tmp_path / "odd.pt")
    assert main(["weights", "import", str(tmp_path / "odd.pt")]) == 5
    assert "latent_avg" in capsys.readouterr().err
