"""What a weight file may hold: tensors and plain containers; anything else is refused before it is run."""

from __future__ import annotations

import argparse
import pickle
from collections import OrderedDict
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch

from tests.helpers.hostile import Hostile
from vidinv.errors import WeightsUnavailable
from vidinv.weights.unpickling.weight_file import read_weight_file


def test_a_pickle_of_tensors_and_containers_is_read(tmp_path: Path) -> None:
    held = {
        "a": torch.arange(6.0).view(2, 3),
        "b": OrderedDict(c=torch.nn.Parameter(torch.ones(2)), d=[1, 2.5, "x", None, {3}]),
        "e": np.arange(4, dtype=np.float32),
    }
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(held))
    read = read_weight_file(tmp_path / "plain.pkl")
    assert torch.equal(read["a"], held["a"]) and torch.equal(read["b"]["c"], held["b"]["c"])
    assert read["b"]["d"] == held["b"]["d"] and (read["e"] == held["e"]).all()


@pytest.mark.parametrize("zipped", [True, False])
def test_files_of_torch_save_are_read_new_and_old(tmp_path: Path, zipped: bool) -> None:
    torch.save({"a": torch.ones(3)}, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    assert torch.equal(read_weight_file(tmp_path / "x.pt")["a"], torch.ones(3))


@pytest.mark.parametrize("kind", ["pickle", "zip", "legacy"])
def test_a_trainings_arguments_are_read_as_a_dict(tmp_path: Path, kind: str) -> None:
    held = {"a": torch.ones(3), "best": np.float64(0.25), "step": np.int64(7)}
    held["args"] = argparse.Namespace(size=256, out=Path("runs"), more=argparse.Namespace(lr=0.1))
    if kind == "pickle":
        (tmp_path / "x.pt").write_bytes(pickle.dumps(held))
    else:
        torch.save(held, tmp_path / "x.pt", _use_new_zipfile_serialization=kind == "zip")
    if kind != "zip":  # as numpy 1 names it
        content = (tmp_path / "x.pt").read_bytes().replace(b"numpy._core.multiarray\n", b"numpy.core.multiarray\n")
        (tmp_path / "x.pt").write_bytes(content)
    read = read_weight_file(tmp_path / "x.pt")
    assert read["args"] == {"size": 256, "out": PurePosixPath("runs"), "more": {"lr": 0.1}}
    assert (read["best"], read["step"]) == (0.25, 7) and not isinstance(read["args"]["out"], Path)


@pytest.mark.parametrize("kind", ["pickle", "zip", "legacy", "nested"])
def test_a_hostile_file_runs_nothing_and_what_it_asks_for_is_named(tmp_path: Path, kind: str) -> None:
    mark, file = tmp_path / "ran", tmp_path / "hostile.pt"
    held = {"a": torch.zeros(2), "b": Hostile(mark)}
    if kind == "pickle":
        file.write_bytes(pickle.dumps(held))
    elif kind == "nested":  # a tensor's storage that is itself a hostile file
        inner = pickle.dumps(Hostile(mark), protocol=2)

        class Storage:
            def __reduce__(self) -> tuple[object, ...]:
                return torch.storage._load_from_bytes, (inner,)

        file.write_bytes(pickle.dumps({"a": Storage()}))
    else:
        torch.save(held, file, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(WeightsUnavailable, match=r"hostile\.pt") as caught:
        read_weight_file(file)
    assert not mark.exists()
    if kind != "nested":
        assert "posix.system" in str(caught.value)


@pytest.mark.parametrize(
    "name", ["builtins.eval", "builtins.getattr", "torch.load", "torch.hub.load", "numpy.load", "os.system"]
)
def test_no_function_can_be_had_by_name(tmp_path: Path, name: str) -> None:
    module, _, function = name.rpartition(".")
    (tmp_path / "x.pkl").write_bytes(f"c{module}\n{function}\n.".encode())
    with pytest.raises(WeightsUnavailable, match=name.replace(".", r"\.")):
        read_weight_file(tmp_path / "x.pkl")


@pytest.mark.parametrize("keep", [0, 1, 20, 300, -1, -30])
@pytest.mark.parametrize("kind", ["pickle", "zip", "legacy"])
def test_a_file_that_is_cut_off_is_named(tmp_path: Path, kind: str, keep: int) -> None:
    file = tmp_path / "cut.pt"
    if kind == "pickle":
        file.write_bytes(pickle.dumps({"a": torch.zeros(50)}))
    else:
        torch.save({"a": torch.zeros(50)}, file, _use_new_zipfile_serialization=kind == "zip")
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(WeightsUnavailable, match=r"cut\.pt"):
        read_weight_file(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnavailable, match=r"nothing\.pt"):
        read_weight_file(tmp_path / "nothing.pt")
