"""The design's floors: imports only go down, no circles, no torch before it is needed, no machine's own paths."""

from __future__ import annotations

import ast
import contextlib
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.helpers.registry_hosts import HOSTS

ROOT = Path(__file__).resolve().parent.parent
FLOORS = (
    (
        *("vidinv.frames", "vidinv.errors", "vidinv.extras", "vidinv.process", "vidinv.progress"),
        *("vidinv.fileio", "vidinv.fingerprint", "vidinv.bounded_yaml", "vidinv.terminal", "vidinv.compiled"),
        *("vidinv.memory", "vidinv.exit_codes"),
    ),
    ("vidinv.media", "vidinv.weights", "vidinv.config", "vidinv.config_loading", "vidinv.configs"),
    ("vidinv.faces", "vidinv.generators"),
    ("vidinv.encoders", "vidinv.losses"),
    ("vidinv.editing", "vidinv.metrics", "vidinv.importing", "vidinv.engines"),
    ("vidinv.provenance", "vidinv.report"),
    ("vidinv.trainers",),
    ("vidinv.backends", "vidinv.analysis"),
    ("vidinv.stages",),
    ("vidinv.jobs",),
    ("vidinv.batch", "vidinv.bench"),
    ("vidinv.api", "vidinv.cli", "vidinv.__main__", "vidinv"),
)
FOLDERS = {"vidinv": "vidinv", "stages": "vidinv.stages", "trainers": "vidinv.trainers", "configs": "vidinv.configs"}
SKIPPED = {"build", "dist", "__pycache__"}
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:home|Users|work|[r]oot)/\w")


def module_name(path: Path) -> str:
    """The name that a file is imported by: `setup.py` maps the FOLDERS beside `vidinv/` into the one package."""
    top, *parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([FOLDERS[top], *(parts[:-1] if parts[-1] == "__init__" else parts)])


MODULES = {module_name(path): path for top in FOLDERS for path in (ROOT / top).rglob("*.py")}


def floor(module: str) -> int:
    found = [
        (len(name), level)
        for level, names in enumerate(FLOORS)
        for name in names
        if module == name or module.startswith(name + ".")
    ]
    return max(found)[1]


def imports(module: str, *, types: bool) -> set[str]:
    """Modules of the project that `module` imports anywhere; `types`: those for the type checker alone as well."""
    found: set[str] = set()
    for node in _nodes(ast.parse(MODULES[module].read_text(encoding="utf-8")), types):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(module, node)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                found.add(inner if inner in MODULES else base)
    return {name for name in found if name in MODULES and name != module}


def _nodes(node: ast.AST, types: bool) -> Iterator[ast.AST]:
    yield node
    if isinstance(node, ast.If) and not types and "TYPE_CHECKING" in ast.dump(node.test):
        return
    for child in ast.iter_child_nodes(node):
        yield from _nodes(child, types)


def _absolute(module: str, node: ast.ImportFrom) -> str:
    if node.level == 0:
        return node.module or ""
    package = module if MODULES[module].name == "__init__.py" else module.rpartition(".")[0]
    base = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def test_every_module_stands_on_a_named_floor() -> None:
    named = {name for names in FLOORS for name in names} - {"vidinv"}
    stray = [m for m in MODULES if m != "vidinv" and not any(m == n or m.startswith(n + ".") for n in named)]
    assert not stray


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_only_go_down(module: str) -> None:
    upward = {name for name in imports(module, types=True) - {"vidinv"} if floor(name) > floor(module)}
    assert not upward


def _imported(path: Path) -> set[str]:
    """Every dotted name that a file imports, also inside functions and in the programs that it holds as text."""
    trees = [ast.parse(path.read_text(encoding="utf-8"))]
    for node in ast.walk(trees[0]):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "import " in node.value:
            with contextlib.suppress(SyntaxError):
                trees.append(ast.parse(textwrap.dedent(node.value)))
    found: set[str] = set()
    for node in (node for tree in trees for node in ast.walk(tree)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


# The fuzzing of readers and the table of hostile files run for seconds as tests and for minutes as scripts: one body.
SHARED_BY_STRESS = ("scripts.stress.", "tests.fuzz.", "tests.helpers.")
STRESS = ("scripts/stress/", "tests/fuzz/")


def test_scripts_and_tests_do_not_import_each_other_and_tests_share_through_helpers_alone() -> None:
    faults = []
    for top, ours in (("scripts", "scripts"), ("tests", "tests.helpers"), *((top, "vidinv") for top in FOLDERS)):
        for path in (ROOT / top).rglob("*.py"):
            names = {name for name in _imported(path) if name.split(".")[0] in ("scripts", "tests")}
            own = str(path.relative_to(ROOT))
            allowed = SHARED_BY_STRESS if own.startswith(STRESS) else (f"{ours}.",)
            faults += [f"{own}: {name}" for name in names if not name.startswith(allowed)]
    assert not faults


def test_there_are_no_circles_between_modules() -> None:
    try:
        TopologicalSorter({module: imports(module, types=False) for module in MODULES}).prepare()
    except CycleError as error:
        pytest.fail(f"circle of imports: {' -> '.join(error.args[1])}")


@pytest.mark.parametrize("module", ["vidinv", "vidinv.cli.main"])
def test_importing_the_front_does_not_import_torch(module: str) -> None:
    program = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=120).returncode == 0


def texts() -> Iterator[tuple[Path, str]]:
    """Every text file of the tree, caches and build folders left out."""
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        hidden = any(part.startswith(".") and part not in {".ci", ".gitignore"} for part in parts)
        built = any(part in SKIPPED or part.endswith((".egg-info", ".vidinv")) for part in parts)
        if hidden or built or not path.is_file():
            continue
        try:
            yield path, path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def test_no_file_names_a_registry_host_or_a_machines_own_path() -> None:
    faults = [
        f"{path.relative_to(ROOT)}: {found}"
        for path, text in texts()
        for found in [*(host for host in HOSTS if host in text.lower()), *MACHINE_PATH.findall(text)]
    ]
    assert not faults
