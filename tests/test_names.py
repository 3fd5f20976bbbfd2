"""Names of the house: a class name means one thing, and `stages/` holds the stages of the pipeline and their graph."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# The building blocks of one architecture are called as its paper calls them, in that architecture's file alone.
BLOCKS = {
    "Block",
    "ConditionalBatchNorm",
    "Layer",
    "Modulation",
    "ResBlock",
    "ResidualBlock",
    "StyleHead",
    "StyledConv",
    "Synthesis",
    "ToRGB",
}
ARCHITECTURES = ("vidinv/generators/", "vidinv/encoders/", "vidinv/faces/")
PIPELINE = ("decode", "align", "encode", "edit", "synthesize", "blend", "reencode")
HELPERS = ("mask", "fade_confidence", "watermark", "measure_identity", "codes")


def classes() -> dict[str, list[str]]:
    """The files that define each class, by its name."""
    found: dict[str, list[str]] = defaultdict(list)
    for top in ("vidinv", "stages", "trainers", "scripts"):
        for path in sorted((ROOT / top).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef):
                    found[node.name].append(path.relative_to(ROOT).as_posix())
    return found


def test_a_class_name_is_defined_once() -> None:
    twice = {
        name: files
        for name, files in classes().items()
        if len(files) > 1 and not (name in BLOCKS and all(file.startswith(ARCHITECTURES) for file in files))
    }
    assert not twice


def test_stages_holds_only_stages_and_the_graph_and_names_them_in_order() -> None:
    here = {path.stem for path in (ROOT / "stages").iterdir() if path.name != "__pycache__"}
    assert here == {"__init__", "graph", *PIPELINE, *HELPERS}
    text = ast.get_docstring(ast.parse((ROOT / "stages" / "__init__.py").read_text(encoding="utf-8"))) or ""
    first = {line.split()[0]: number for number, line in enumerate(text.splitlines()) if line.startswith("    ")}
    assert all(name in first for name in (*PIPELINE, *HELPERS))
    assert [first[name] for name in PIPELINE] == sorted(first[name] for name in PIPELINE)


def test_no_stage_imports_another() -> None:
    for name in (*PIPELINE, *HELPERS):
        for node in ast.walk(ast.parse((ROOT / "stages" / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vidinv.stages"):
                assert node.module == "vidinv.stages.graph", f"stages/{name}.py imports {node.module}"
