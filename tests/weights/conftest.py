"""A made-up catalogue: two parts in one wheel and one in an sdist, with an importer that writes bytes as tensors."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import types
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from vidinv.weights import catalog, importers
from vidinv.weights.catalog import Entry, Member

CONTENT = {"carrier/one.bin": b"first part" * 50, "carrier/two.bin": b"second part" * 70, "src/three.bin": b"third" * 9}


@dataclass
class Shelf:
    """The made-up world: the folder of archives, the cache, the importer and the entries by name."""

    folder: Path
    cache: Path
    importer: types.ModuleType
    entries: dict[str, Entry]


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    folder = tmp_path / "archives"
    folder.mkdir()
    wheel = folder / "fake_carrier-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in ("carrier/one.bin", "carrier/two.bin"):
            archive.writestr(name, CONTENT[name])
    sdist = folder / "fake_source-2.0.tar.gz"
    with tarfile.open(sdist, "w:gz") as archive:
        for name, content in (("setup.py", b"raise SystemExit('ran')"), ("src/three.bin", CONTENT["src/three.bin"])):
            info = tarfile.TarInfo(f"fake_source-2.0/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    entries = {
        "toy/one": _entry("toy/one", "fake_carrier==1.0", wheel, "carrier/one.bin", "free"),
        "toy/two": _entry("toy/two", "fake_carrier==1.0", wheel, "carrier/two.bin", "non-commercial"),
        "other/three": _entry("other/three", "fake_source==2.0", sdist, "src/three.bin", "free"),
    }
    monkeypatch.setattr(catalog, "CATALOG", entries)
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("VIDINV_ACCEPT_LICENCES", raising=False)
    importer = _importer()
    monkeypatch.setitem(sys.modules, f"{importers.__name__}.toy", importer)
    return Shelf(folder, tmp_path / "cache", importer, entries)


def _importer():
    import torch

    module = types.ModuleType("toy")
    module.VERSION = 1
    module.calls = []

    def convert(members):
        module.calls.append(sorted(members))
        tensors = {name: torch.tensor(list(content), dtype=torch.uint8) for name, content in members.items()}
        return tensors, {"made": "by the toy importer"}

    module.convert = convert
    return module


def _entry(name, archive, file, member, terms):
    content = CONTENT[member]
    return Entry(
        name=name,
        role=name.partition("/")[0],
        archive=archive,
        archive_file=file.name,
        archive_sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        archive_bytes=file.stat().st_size,
        members=(Member(member, hashlib.sha256(content).hexdigest(), len(content)),),
        importer="toy",
        licence="made up for the tests",
        terms=terms,
        origin="these tests",
        preprocessing="none",
    )
