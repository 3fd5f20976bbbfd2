"""Codes on the disk: what is written row by row is read back, by this reader and by safetensors' own."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vidinv.encoders.code_file import CodeOrigin, CodeReader, CodeRows, CodeWriter
from vidinv.errors import InputUnreadable
from vidinv.frames import Code

ORIGIN = CodeOrigin("abc", {"crop": 64, "refine.gap": 0.1})
ROWS = CodeRows(
    frame=np.array([0, 0, 3]), track=np.array([0, 2, 0]), to_frame=np.arange(18, dtype=float).reshape(3, 2, 3), crop=64
)


def code(seed: int) -> Code:
    noise = torch.Generator().manual_seed(seed)
    return Code(torch.randn(1, 5, 8, generator=noise), torch.randn(1, 4, 3, 3, generator=noise), 2, space="tiny-w")


def test_rows_put_in_any_order_come_back_as_put_promised(tmp_path: Path) -> None:
    path = tmp_path / "codes.safetensors"
    writer = CodeWriter(path, ROWS, code(0), ORIGIN)
    promised = {pair: writer.put(*pair, code(n)) for n, pair in enumerate([(3, 0), (0, 0), (0, 2)])}
    writer.close()
    stored = CodeReader(path)
    for n, (pair, kept) in enumerate(promised.items()):
        found = stored.get(*pair)
        assert torch.equal(found.ws, code(n).ws) and torch.equal(found.ws, kept.ws)
        assert found.feature is not None and kept.feature is not None and torch.equal(found.feature, kept.feature)
        torch.testing.assert_close(found.feature, code(n).feature, rtol=1e-3, atol=1e-3)  # float16 on the disk
        assert (found.at, found.space) == (2, "tiny-w")
    assert stored.origin == ORIGIN and stored.rows.crop == 64 and np.array_equal(stored.rows.to_frame, ROWS.to_frame)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_safetensors_own_reader_sees_the_same(tmp_path: Path) -> None:
    path = tmp_path / "codes.safetensors"
    writer = CodeWriter(path, ROWS, code(0), ORIGIN)
    writer.put(0, 2, code(7))
    writer.close()
    tensors = load_file(path)
    assert tensors["frame"].tolist() == [0, 0, 3] and tensors["feature"].dtype == torch.float16
    assert torch.equal(tensors["ws"][1], code(7).ws[0]) and not tensors["ws"][0].any()


def test_a_file_begun_before_is_gone_on_with_and_one_of_other_codes_is_not(tmp_path: Path) -> None:
    path = tmp_path / "codes.safetensors"
    for origin, kept in ((ORIGIN, True), (CodeOrigin("another", {}), False)):
        begun = CodeWriter(path, ROWS, code(0), ORIGIN)
        begun.put(0, 0, code(1))
        begun.close()
        CodeWriter(path, ROWS, code(0), origin).close()
        assert bool(load_file(path)["ws"][0].any()) is kept


def test_what_differs_is_named() -> None:
    assert ORIGIN.differs_from(ORIGIN) is None
    assert "another source" in str(ORIGIN.differs_from(CodeOrigin("xyz", ORIGIN.settings)))
    changed = CodeOrigin("abc", {"crop": 64, "refine.gap": 0.2})
    assert ORIGIN.differs_from(changed) == "were made with refine.gap=0.1 and not 0.2"


@pytest.mark.parametrize("content", [b"", b"no codes at all " * 9])
def test_what_is_no_code_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "codes.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputUnreadable, match="code file"):
        CodeReader(path)
    with pytest.raises(InputUnreadable):
        CodeReader(tmp_path / "missing.safetensors")
