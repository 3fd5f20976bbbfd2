"""The documentation names only files, modules, commands and pages that exist."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
MAPPED = ("stages", "trainers", "configs")  # `setup.py` maps these folders into the package vidinv
CODE = re.compile(r"^```.*?^```|`[^`\n]+(?:\n[^`\n]+)?`", re.DOTALL | re.MULTILINE)
TOP = re.compile(r"(?<![\w./*<-])(?:vidinv|stages|trainers|configs|scripts|tests|docs)/[\w./*-]*")
PYTHON_FILE = re.compile(r"(?<![\w./*<-])[a-z_]+(?:/[a-z0-9_]+)*/[a-z0-9_]+\.py\b")
MODULE = re.compile(r"(?<![\w./-])(?:vidinv|scripts)(?:\.[A-Za-z_]\w*)+")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
PLACEHOLDER = re.compile(r"[A-Z]{2,}|\*")  # of a path's part, as in stages/NAME.py


def missing(text: str, folder: Path = ROOT) -> set[str]:
    """Paths, dotted modules and links to local files in a page of `folder` that do not exist."""
    code = "\n".join(CODE.findall(text))
    paths = {path.rstrip("./") for path in [*TOP.findall(code), *PYTHON_FILE.findall(code)]}
    faults = {path for path in paths if not PLACEHOLDER.search(path) and not (ROOT / path).exists()}
    faults |= {name for name in MODULE.findall(code) if not is_named(name)}
    return faults | {link for link in LINK.findall(text) if "://" not in link and not (folder / link).exists()}


def is_named(name: str) -> bool:
    """Whether a dotted name is a module of the repository, or a name at the top of one."""
    parts = name.split(".")
    if parts[0] == "vidinv" and parts[1] in MAPPED:
        parts = parts[1:]
    module, module_package = ROOT.joinpath(*parts), ROOT.joinpath(*parts[:-1])
    if module.is_dir() or module.with_suffix(".py").is_file():
        return True
    holders = (module_package.with_suffix(".py"), module_package / "__init__.py")
    return any(holder.is_file() and parts[-1] in top_names(holder) for holder in holders)


def top_names(path: Path) -> set[str]:
    """Names that a module imports, assigns or defines at its top."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {alias.asname or alias.name for alias in node.names}
        else:
            names |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_what_exists(page: Path) -> None:
    assert not missing(page.read_text(encoding="utf-8"), page.parent)


@pytest.mark.parametrize(
    "text",
    [
        "see `vidinv/stages/encode.py`",
        "see `generators/fused.py`",
        "the recipe `configs/train/near_perfect/full.yaml`",
        "`vidinv.stages.seal` signs",
        "`vidinv.api.no_such_function`",
        "```bash\npython -m scripts.no_such_script --json -\n```",
        "`python scripts/experiments/no_such_script.py\n--json -`",
        "[a page](docs/no-such-page.md#figures)",
    ],
)
def test_a_name_of_nothing_is_found(text: str) -> None:
    assert missing(text)


@pytest.mark.parametrize(
    "text",
    [
        "`stages/encode.py`, `stages/NAME.py`, `trainers/*/config.py` and `tests/helpers/`",
        "`vidinv.trainers.data.generated_samples`, `vidinv.stages` and `vidinv.api.run`",
        "[the stages](stages/__init__.py), [a site](https://example.org/docs/none.md)",
        "no code: vidinv/none.py",
    ],
)
def test_a_name_of_something_is_not(text: str) -> None:
    assert not missing(text)


def test_git_ignores_what_the_commands_of_the_readme_write() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    written = sorted(set(re.findall(r"^vidinv .*? -o (\S+)", readme, re.MULTILINE)))
    assert len(written) > 8
    kept = [name for name in written if subprocess.run(["git", "check-ignore", "-q", name], cwd=ROOT).returncode]
    assert kept == []
