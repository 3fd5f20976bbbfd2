"""What was imported is listed, located and verified beside the parts of the catalogue."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import layouts
from tests.helpers.psp_files import psp_file
from vidinv.cli.main import main
from vidinv.weights import imported
from vidinv.weights.importers import formats


@pytest.fixture
def brought(tmp_path: Path) -> Path:
    """A pSp file named `faces`, and a parser named `faces` too."""
    psp = psp_file(tmp_path / "psp.pt", {"encoder_type": "GradualStyleEncoder"})
    assert main(["weights", "import", str(psp), "--as", "faces", "--licence", "MIT [as told]"]) == 0
    torch.save(layouts.bisenet(), tmp_path / "parser.pth")
    assert main(["weights", "import", str(tmp_path / "parser.pth"), "--as", "faces"]) == 0
    return tmp_path


def test_list_shows_kind_architecture_and_terms(brought: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "list", "--json", "-"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert [(row["role"], row["architecture"], row["state"]) for row in list(rows.values())[-3:]] == [
        ("generator", "stylegan2", "present"),
        ("encoder", "map2style", "present"),
        ("parser", "bisenet", "present"),
    ]
    assert rows["encoder/faces"]["licence"] == "MIT [as told]" and rows["encoder/faces"]["space"] == "faces-w"
    assert "the terms of the file's publisher" in rows["parser/faces"]["licence"]
    assert main(["weights", "list"]) == 0
    table = capsys.readouterr().out
    assert "encoder/faces" in table and "MIT [as told]" in table and "map2style" in table


def test_path_names_one_file_or_asks_which(brought: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["weights", "path", "encoder/faces"]) == 0
    assert capsys.readouterr().out.strip() == str(brought / "cache" / "imported" / "encoder" / "faces.safetensors")
    assert main(["weights", "path", "faces"]) == 2
    assert "generator/faces, encoder/faces, parser/faces" in capsys.readouterr().err
    assert main(["weights", "path", "nobody"]) == 2


def test_verify_hashes_what_was_imported(brought: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["weights", "verify"]) == 0
    assert capsys.readouterr().out.count("ok ") == 3
    assert main(["weights", "verify", "parser/faces"]) == 0
    assert capsys.readouterr().out.startswith("ok parser/faces ")
    file = imported.path("encoder", "faces")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert main(["weights", "verify", "faces"]) == 5
    assert "encoder/faces.safetensors is damaged" in capsys.readouterr().err
    file.write_bytes(content[:-9])
    assert main(["weights", "list", "--json", "-"]) == 0
    rows = {row["name"]: row["state"] for row in json.loads(capsys.readouterr().out)}
    assert rows["encoder/faces"] == "damaged" and rows["parser/faces"] == "present"
    file.with_suffix(".json").unlink()
    assert main(["weights", "list"]) == 0 and "damaged" in capsys.readouterr().out


def test_the_names_of_the_catalogue_are_taken(brought: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights", "import", str(brought / "parser.pth"), "--as", "bisenet"]) == 2
    assert "a parser named 'bisenet'" in capsys.readouterr().err


def test_directions_are_imported_for_the_spaces_of_imported_generators(
    brought: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boundary = torch.nn.functional.normalize(torch.randn(1, 20, generator=torch.Generator().manual_seed(0)))
    np.save(brought / "older.npy", boundary.numpy())
    made = ["directions", "import", str(brought / "older.npy"), "--backend", "tiny"]
    capsys.readouterr()
    assert main([*made, "--space", "faces-w", "--json", "-"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["space"] == "faces-w" and facts["imported"]["generator"] == "faces"
    assert facts["imported"]["is_measured"] and facts["deviation"] != pytest.approx(1.0, abs=1e-6)
    np.save(brought / "rows.npy", boundary.numpy().repeat(8, 0))  # STIT's: w+ of 8 rows, which is of no other space
    assert main(["directions", "import", str(brought / "rows.npy"), "--backend", "tiny", "--as", "rows"]) == 0
    assert "faces-w (faces, 8x20)" in capsys.readouterr().out
    assert main([*made, "--space", "nobodys-w"]) == 2
    assert "faces-w" in capsys.readouterr().err


def test_every_layout_is_in_the_documentation_with_keys_that_tell_it() -> None:
    page = (Path(__file__).parents[2] / "docs" / "importing.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines() if line[:2] == "| "]
    told = {row[0]: row for row in rows}
    for known in (*formats.FORMATS, *formats.COMPANION_FORMATS):
        _, kind, keys, _ = told[known.name]
        assert kind == known.kind
        shown = [f"{key}{end}" for key in re.findall(r"`([^`]+)`", keys) for end in ("", ".weight", ".0.weight")]
        assert known.fits(shown), (known.name, shown)
