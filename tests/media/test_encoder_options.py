"""What encoders are told: parameters from several places stand beside one another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import llvmlite.binding
import pytest

from vidinv.bench.synthetic_clip import make_clip
from vidinv.media import codecs
from vidinv.media.codecs import EncoderOptions
from vidinv.media.probe import probe


@pytest.mark.parametrize("has_them", [True, False])
def test_x264_is_kept_from_routines_whose_result_depends_on_where_memory_lies(
    has_them: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(llvmlite.binding, "get_host_cpu_features", lambda: {"avx512f": has_them})
    monkeypatch.setattr(codecs.platform, "machine", lambda: "x86_64")
    codecs._reproducible.cache_clear()
    info = replace(probe(make_clip(tmp_path / "in.mp4", frames=2)), fields="tff")
    told = codecs.select_encoder(EncoderOptions("h264"), info).options["x264-params"].split(":")
    codecs._reproducible.cache_clear()
    assert told == [*(["asm=FMA3,BMI2,AVX2"] if has_them else []), "tff=1"]
