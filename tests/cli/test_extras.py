"""A command whose package is not installed ends with one line that names the extra; all else works without it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.runs import TINY
from vidinv.bench.synthetic_clip import make_clip
from vidinv.extras import EXTRAS

# Runs command lines in one process, each as if the modules that stand beside it were not installed.
PROGRAM = """
import contextlib, io, json, sys
from vidinv.cli.main import main

found = {}
for name, (blocked, arguments) in json.loads(sys.stdin.read()).items():
    before = {module: sys.modules.pop(module) for module in blocked if module in sys.modules}
    sys.modules.update(dict.fromkeys(blocked))  # to the import system, None is a module that is not there
    said, errors = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(errors):
        code = main(arguments)
    found[name] = [code, said.getvalue(), errors.getvalue()]
    for module in blocked:
        del sys.modules[module]
    sys.modules.update(before)
print(json.dumps(found))
"""
TRAINED = ["feature-style", "gan-encoder", "ae-stylegan", "automodulator", "near-perfect"]


def outcomes(commands: Mapping[str, Sequence[str]], present: Sequence[str] = ()) -> dict[str, Any]:
    """Exit code, standard output and standard error of each command, where only the extras `present` are installed."""
    blocked = [module for module, (extra, _) in EXTRAS.items() if extra not in present]
    asked = {name: [blocked, list(arguments)] for name, arguments in commands.items()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(asked), capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_the_core_promises_works_and_the_rest_names_its_extra(tmp_path: Path) -> None:
    clip = str(make_clip(tmp_path / "in.mp4", frames=4))
    run = ["run", clip, "--edit", "age+1", *TINY]
    refused = {
        **{f"train {what}": (["train", what, "-o", str(tmp_path / what)], "train") for what in TRAINED},
        "tune encoder": ([*run, "-o", str(tmp_path / "t.mp4"), "--tune", "encoder"], "train"),
        "tune generator": ([*run, "-o", str(tmp_path / "g.mp4"), "--tune", "generator"], "train"),
        "openvino": ([*run, "-o", str(tmp_path / "v.mp4"), "--engine", "openvino"], "openvino"),
        "onnx": ([*run, "-o", str(tmp_path / "x.mp4"), "--engine", "onnx"], "onnx"),
        "decord": ([*run, "-o", str(tmp_path / "d.mp4"), "--set", "reader=decord"], "decord"),
        "torchcodec": ([*run, "-o", str(tmp_path / "c.mp4"), "--set", "reader=torchcodec"], "torchcodec"),
        "fan": ([*run, "-o", str(tmp_path / "f.mp4"), "--set", "landmarks=fan"], "face-alignment"),
        "c2pa": ([*run, "-o", str(tmp_path / "s.mp4"), "--c2pa"], "c2pa"),
        "lpips": (["evaluate", "inversion", "--data", clip, "--lpips", "package"], "lpips"),
        "s3": (["batch", "s3://bucket/clips", "-o", str(tmp_path / "b"), "--edit", "age+1"], "s3"),
        "ray": (
            ["batch", str(tmp_path), "-o", str(tmp_path / "r"), "--edit", "age+1", "--cluster", "ray", *TINY],
            "ray",
        ),
    }
    kept = {
        "help": ["--help"],
        "train help": ["train", "feature-style", "--help"],
        "run": [*run, "-o", str(tmp_path / "out.mp4"), "--report"],
    }
    found = outcomes(kept | {name: arguments for name, (arguments, _) in refused.items()})
    for name in kept:
        assert found[name][0] == 0, found[name]
    assert (tmp_path / "out.mp4").exists() and (tmp_path / "out.mp4.json").exists()
    for name, (_, extra) in refused.items():
        code, _, errors = found[name]
        lines = errors.strip().splitlines()
        assert (code, len(lines)) == (2, 1), (name, found[name])
        assert lines[0].startswith("error: ") and f'run: pip install "vidinv[{extra}]"' in lines[0], lines[0]
    assert sorted(path.name for path in tmp_path.glob("*.mp4")) == ["in.mp4", "out.mp4"]


@pytest.mark.slow
def test_a_database_of_pictures_without_lmdb_names_the_extra(tmp_path: Path) -> None:
    pytest.importorskip("lightning_fabric", reason="the extra [train] is not installed")
    database = tmp_path / "faces"
    database.mkdir()
    (database / "data.mdb").write_bytes(b"")
    command = ["train", "automodulator", "-o", str(tmp_path / "a"), "--config", "tiny", "--set", f"data={database}"]
    code, _, errors = outcomes({"lmdb": command}, present=["train"])["lmdb"]
    assert code == 2 and 'run: pip install "vidinv[lmdb]"' in errors.splitlines()[-1]
