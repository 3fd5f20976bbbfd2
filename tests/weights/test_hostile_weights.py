"""Checkpoints that were made to crash, to run something or to fill the memory end in one line, within bounds.

Each is read in a process of its own, whose peak memory is measured: a crash of the interpreter is then a failure too.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vidinv.cli.main import main

MOST_MEMORY, MOST_SECONDS = 1 << 30, 60  # beside what importing takes; seconds are generous, for a busy machine
READ = """
import resource, sys
from pathlib import Path
import torch, numpy
from vidinv.errors import WeightsUnavailable
from vidinv.weights.importers.checkpoint import read_checkpoint
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    read_checkpoint(Path(sys.argv[1]))
    print("read")
except WeightsUnavailable as error:
    print("refused:", error)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


class Reduced:
    """An object that is pickled as a call of `function` with `arguments`, and with a `state`."""

    def __init__(self, function: Any, arguments: tuple[Any, ...], *state: Any) -> None:
        self.reduced = (function, arguments, *state)

    def __reduce__(self) -> Any:
        return self.reduced


def forged(offset: int, flags: int, kind: str) -> Reduced:
    """A type of numpy with a field that lies about itself."""
    state = (3, "|", None, ("a",), {"a": (np.dtype(kind), offset)}, 8, 1, flags)
    return Reduced(np.dtype, ("V8", False, True), state)


def pickled(value: Any) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(pickle.dumps({"a": value}, 4)) and None


def compressed(path: Path) -> None:
    """A torch file whose storage is gigabytes of zeros in a few megabytes of deflate."""
    plain = io.BytesIO()
    torch.save({"conv.weight": torch.zeros(4)}, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for member in source.infolist():
            content = source.read(member)
            if member.filename.endswith("data/0"):
                with made.open(member.filename, "w", force_zip64=True) as stream:
                    for _ in range(48):
                        stream.write(bytes(1 << 24))
            else:
                made.writestr(member.filename, content)


def many_keys(path: Path) -> None:
    head = json.dumps(
        {f"t{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(300_000)}
    ).encode()
    path.write_bytes(struct.pack("<Q", len(head)) + head)


def expanded(path: Path) -> None:
    torch.save({"decoder.x": torch.zeros(1).expand(1 << 34)}, path)


def beyond_its_storage(path: Path) -> None:
    """A tensor that claims numbers behind those of its storage: reading them would read foreign memory."""
    torch.save({"a": torch.zeros(4)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            # the tensor's size, a tuple of one small number, is made larger
            archive.writestr(
                name, content.replace(b"K\x04\x85", b"K\xff\x85") if name.endswith("data.pkl") else content
            )


def copied_text(path: Path) -> None:
    """A megabyte of text that is encoded again for every three bytes of the file."""
    text = pickle.dumps("x" * (1 << 20), 4)[:-1]
    head = text.replace(b"\x94", b"") + b"q\x010" + b"c_codecs\nencode\nq\x020" + b"X\x06\x00\x00\x00latin1q\x030]"
    path.write_bytes(head + b"h\x02h\x01h\x03\x86Ra" * 20_000 + b".")


def network_without_end(path: Path) -> None:
    """Modules that share modules, so that there are 2**60 names."""
    here: Any = {"_parameters": {"w": torch.zeros(1)}, "_modules": {}}
    code = b"\x80\x04" + b"ctorch_utils.persistence\n_reconstruct_persistent_obj\nq\x01"
    body = b"}"
    del here
    levels = b""
    for level in range(60):
        inner = b"" if level == 0 else f"U\x01ag{level + 9}\nsU\x01bg{level + 9}\ns".encode("latin-1")
        levels += b"h\x01}U\x05state}U\x08_modules}" + inner + b"ss\x85R" + f"p{level + 10}\n0".encode()
    path.write_bytes(code + b"0" + levels + body + b"U\x05g_ema" + b"g69\ns.")


def nested_types(path: Path) -> None:
    path.write_bytes(b"\x80\x04" + b"(" * 200_000 + b".")


HOSTILE: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "a forged type": ("a.pkl", pickled(Reduced(np.ndarray, ((1,), forged(0, 0, "O"), b"AAAAAAAA")))),
    "a field beyond its item": ("a.pkl", pickled(Reduced(np.ndarray, ((1,), forged(1 << 30, 0, "f8"), b"AAAAAAAA")))),
    "a forged type in a set": ("a.pkl", pickled(Reduced(frozenset, ([Reduced(np.dtype, ("O",))],)))),
    "an array of objects": ("a.pkl", pickled(np.array([object], object))),
    "an array shorter than its shape": (
        "a.pkl",
        lambda path: path.write_bytes(pickle.dumps({"a": np.zeros(4)}, 2).replace(b"K\x04\x85", b"K\xff\x85")),
    ),
    "a huge memo": ("a.pkl", lambda path: path.write_bytes(bytes.fromhex("80025d72ffffff1f2e"))),
    "a huge length": ("a.pkl", lambda path: path.write_bytes(b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x.")),
    "text copied again and again": ("a.pkl", copied_text),
    "marks without end": ("a.pkl", nested_types),
    "a network without end": ("a.pkl", network_without_end),
    "an expanded tensor": ("a.pt", expanded),
    "a compressed storage": ("a.pt", compressed),
    "a tensor beyond its storage": ("a.pt", beyond_its_storage),
    "many keys": ("a.safetensors", many_keys),
    "a header without end": ("a.safetensors", lambda path: path.write_bytes(struct.pack("<Q", 1 << 60) + b"{}")),
    "a web page": ("a.pt", lambda path: path.write_text("<!DOCTYPE html><html>Sign in</html>")),
    "a Git LFS pointer": ("a.pt", lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid x\n")),
}


FAST = ("a forged type", "text copied again and again", "a compressed storage", "many keys")
CASES = [case if case in FAST else pytest.param(case, marks=pytest.mark.slow) for case in HOSTILE]


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_checkpoint_is_refused_within_bounds(case: str, tmp_path: Path) -> None:
    name, make = HOSTILE[case]
    make(tmp_path / name)
    begin = time.monotonic()
    command = [sys.executable, "-c", READ, str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS)
    assert done.returncode == 0, (done.returncode, done.stderr[-300:])
    said, memory = done.stdout.strip().splitlines()
    assert said.startswith("refused:") and name in said
    assert int(memory) < MOST_MEMORY
    print(f"{case}: {int(memory) / 1e6:.0f} MB, {time.monotonic() - begin:.1f} s; {said}")


def damaged_archives() -> dict[str, bytes]:
    """Archives that Python's reader of zip files fails on in several ways."""
    stream, packed = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(stream, "w") as made:
        made.writestr("a/data.pkl", b"}.")
    plain = stream.getvalue()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_LZMA) as made:
        made.writestr("a/data.pkl", b"}.")
    index = plain.rfind(b"PK\x01\x02")
    encrypted = bytearray(plain)
    encrypted[index + 8] |= 1
    end = plain.rfind(b"PK\x05\x06")
    moved = plain[: end + 12] + struct.pack("<L", 1 << 30) + plain[end + 16 :]
    named = plain[: index + 8] + b"\x00\x08" + plain[index + 10 : index + 46] + b"\xff\xfe" + plain[index + 48 :]
    return {"LZMA": packed.getvalue(), "encrypted": bytes(encrypted), "index beyond": moved, "name": named}


@pytest.mark.parametrize("case", damaged_archives())
def test_a_damaged_archive_is_refused_in_one_line(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from vidinv.errors import WeightsUnavailable
    from vidinv.weights.unpickling.weight_file import read_weight_bytes

    with pytest.raises(WeightsUnavailable, match="archive"):
        read_weight_bytes(damaged_archives()[case], "a.pt")
    (tmp_path / "a.pt").write_bytes(damaged_archives()[case])
    assert main(["weights", "import", str(tmp_path / "a.pt")]) == 5
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("command", [["weights", "import"], ["directions", "import"]], ids=" ".join)
def test_a_pipe_is_refused_and_not_waited_for(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe.pt")
    assert main([*command, str(tmp_path / "pipe.pt")]) in (3, 5)
    assert "not a regular file" in (said := capsys.readouterr().err) and said.count("\n") == 1


def test_what_lies_beside_the_weights_does_not_refuse_a_file(tmp_path: Path) -> None:
    """Settings of classes that are not installed are stand-ins without code; the weights beside them are read."""
    from vidinv.weights.unpickling.machine import Opaque
    from vidinv.weights.unpickling.weight_file import read_weight_file

    content = b"\x80\x02}(X\x06\x00\x00\x00configcyacs.config\nCfgNode\n)\x81}X\x01\x00\x00\x00aK\x01sb"
    content += b"X\x01\x00\x00\x00nK\x07u."
    (tmp_path / "x.pkl").write_bytes(content)
    held = read_weight_file(tmp_path / "x.pkl")
    assert held["n"] == 7 and isinstance(held["config"], Opaque) and str(held["config"].symbol) == "yacs.config.CfgNode"


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_numbers_of_every_protocol_are_read(tmp_path: Path, protocol: int) -> None:
    from vidinv.weights.unpickling.weight_file import read_weight_file

    arrays = [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)), np.array(2.5)]
    held = {"arrays": arrays, "number": np.float32(0.5), "flags": np.array([True, False]), "empty": np.zeros((0, 3))}
    (tmp_path / "x.pkl").write_bytes(pickle.dumps(held, protocol))
    read = read_weight_file(tmp_path / "x.pkl")
    assert all(np.array_equal(a, b) for a, b in zip(read["arrays"], arrays, strict=True)) and read["number"] == 0.5
    assert np.array_equal(read["flags"], held["flags"]) and read["empty"].shape == (0, 3)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_views_of_one_storage_are_those_that_torch_reads(tmp_path: Path, zipped: bool) -> None:
    base = torch.arange(24.0).view(4, 6)
    held = {"whole": base, "turned": base.t(), "part": base[1:3, ::2], "row": torch.ones(3).expand(5, 3)}
    held |= {"half": torch.ones(3, dtype=torch.bfloat16), "flag": torch.tensor([True]), "none": torch.zeros(0, 4)}
    torch.save(held, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped)
    from vidinv.weights.unpickling.weight_file import read_weight_file

    ours = read_weight_file(tmp_path / "x.pt")
    theirs = torch.load(tmp_path / "x.pt", weights_only=True)
    for name, value in theirs.items():
        assert (
            torch.equal(ours[name], value) and ours[name].dtype == value.dtype and ours[name].stride() == value.stride()
        )
