"""Where a corpus comes from, for the card of what is trained on it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vidinv.generators import mobile_stylegan, proxy
from vidinv.trainers.data import corpus
from vidinv.weights import catalog


def test_a_corpus_says_whose_samples_it_holds_and_under_whose_terms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator, name = mobile_stylegan.tiny(), "mobile-stylegan-ffhq-1024"
    monkeypatch.setattr(corpus.registry, "load_generator", lambda name: generator)
    render = proxy.load_proxy(generator, 64)
    monkeypatch.setattr(corpus.proxy, "load_proxy", lambda generator, size: render)
    path = tmp_path / "faces.npy"
    monkeypatch.setattr(sys, "argv", ["corpus", "-o", str(path), "--count", "4", "--size", "16"])
    corpus.main()
    found = corpus.data_origin(str(path), name)
    assert found.what == f"4 samples of {name} at 16 pixels"
    assert catalog.CATALOG["generator/mobile-stylegan-ffhq"].licence in found.terms
    assert corpus.data_origin("", name).terms == found.terms
    assert "not recorded" in corpus.data_origin(str(tmp_path / "own.npy"), name).terms
