"""What setup.py asks for is what the code imports: nothing is missing, and nothing is asked for that nobody uses."""

from __future__ import annotations

import ast
import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import setuptools

from vidinv.extras import EXTRAS

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ("vidinv", "stages", "trainers", "configs")  # what the wheel holds
BESIDE = ("tests", "scripts")
TOOLS = {"mypy", "pytest", "ruff", "pytest-xdist", "setuptools"}  # of [dev], run and not imported
# Tests that ask these skip where they are not installed: servers and clusters, torchvision, FFmpeg's own libraries.
OPTIONAL_WITNESSES = {"lpips", "moto", "ray", "s3fs", "torchcodec"}
IMPORTING_CALLS = {"load_optional", "require", "importorskip"}  # their first argument is a module's name
REQUIREMENTS = {  # module -> the name under which it is required, where that is another
    "PIL": "pillow",
    "upath": "universal-pathlib",
    "cv2": "opencv-python-headless",
    "yaml": "pyyaml",
} | {module: package for module, (_, package) in EXTRAS.items()}


@pytest.fixture(scope="module")
def asked() -> dict[str, Any]:
    """The arguments that setup.py gives to setuptools."""
    given: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        patch.setattr(setuptools, "setup", given.update)
        runpy.run_path(str(ROOT / "setup.py"))
    return given


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[<>=!~\[; ]", requirement)[0].lower() for requirement in requirements}


def imported(*folders: str) -> set[str]:
    """The required names of all that the files in these folders import when they run."""
    found = {name for folder in folders for path in (ROOT / folder).rglob("*.py") for name in third_party(path)}
    return {REQUIREMENTS.get(name, name).lower() for name in found}


def third_party(path: Path) -> Iterator[str]:
    """Top-level modules of others that a file imports, the type checker's own imports left out."""
    local = {"vidinv", *BESIDE, *PACKAGE}
    if path.is_relative_to(ROOT / "scripts"):  # a script imports the scripts beside it
        local |= {entry.stem for entry in path.parent.glob("*.py")}
    for name in module_names(ast.parse(path.read_text(encoding="utf-8"))):
        if name.startswith("torch.utils.tensorboard"):  # a part of torch that does not load without the package
            yield "tensorboard"
        top = name.partition(".")[0]
        if top not in local and top not in sys.stdlib_module_names:
            yield top


def module_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        return
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        yield node.module
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        called = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if called in IMPORTING_CALLS and isinstance(node.args[0].value, str):
            yield node.args[0].value
    for child in ast.iter_child_nodes(node):
        yield from module_names(child)


def test_the_core_is_what_is_imported_outside_the_trainers_and_no_extra(asked: dict[str, Any]) -> None:
    core, optional = names(asked["install_requires"]), {package for _, package in EXTRAS.values()}
    assert not core & optional
    assert imported("vidinv", "stages", "configs") - optional == core


def test_the_trainers_add_the_extra_train_alone(asked: dict[str, Any]) -> None:
    core, train = names(asked["install_requires"]), names(asked["extras_require"]["train"])
    assert imported("trainers") - core == train | {"lmdb"}
    assert not imported("vidinv", "stages") & train


def test_every_extra_is_used_and_named_by_the_error_for_a_missing_package(asked: dict[str, Any]) -> None:
    extras = {name: names(wanted) for name, wanted in asked["extras_require"].items() if name not in ("all", "dev")}
    told = {extra: {package for name, package in EXTRAS.values() if name == extra} for extra, _ in EXTRAS.values()}
    assert extras == told
    by_fsspec = {"s3fs"}  # which imports it for s3://
    assert set().union(*extras.values()) - by_fsspec <= imported(*PACKAGE)
    assert names(asked["extras_require"]["all"]) == set().union(*extras.values())


def test_dev_is_what_the_tests_and_scripts_need(asked: dict[str, Any]) -> None:
    core, dev = names(asked["install_requires"]), names(asked["extras_require"]["dev"])
    extras = {package for _, package in EXTRAS.values()}
    needed = imported(*BESIDE) - {"setuptools"} - OPTIONAL_WITNESSES
    assert needed <= core | dev
    assert dev - extras - TOOLS <= needed
    assert dev & OPTIONAL_WITNESSES == set()
