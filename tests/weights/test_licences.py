"""Non-commercial terms are accepted once, knowingly, or the pull stops with exit code 5."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from vidinv import weights
from vidinv.errors import WeightsUnavailable
from vidinv.weights import catalog, licences


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())


def test_refused_terms_are_exit_5_and_nothing_is_written(shelf):
    output = io.StringIO()
    with pytest.raises(WeightsUnavailable, match="--accept-licences") as raised:
        weights.pull(["toy/two"], source=shelf.folder, console=Console(file=output))
    assert raised.value.exit_code == 5
    assert not shelf.cache.exists()
    for told in ("toy/two", "made up for the tests", "these tests"):
        assert told in output.getvalue()


def test_free_terms_need_no_acceptance(shelf):
    assert weights.pull(["toy/one"], source=shelf.folder)[0].converted


def test_acceptance_is_remembered_until_the_terms_change(shelf, monkeypatch):
    entry = shelf.entries["toy/two"]
    licences.require_accepted([entry], accept=True, console=Console(file=io.StringIO()))
    silent = io.StringIO()
    licences.require_accepted([entry], accept=False, console=Console(file=silent))
    assert silent.getvalue() == ""
    changed = dataclasses.replace(entry, licence="stricter now")
    with pytest.raises(WeightsUnavailable):
        licences.require_accepted([changed], accept=False, console=Console(file=io.StringIO()))


def test_the_environment_accepts(shelf, monkeypatch):
    monkeypatch.setenv("VIDINV_ACCEPT_LICENCES", "1")
    assert weights.pull(["toy/two"], source=shelf.folder)[0].converted


@pytest.mark.parametrize("answer", [True, False])
def test_a_person_at_a_terminal_is_asked(shelf, monkeypatch, answer):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr(licences.Confirm, "ask", lambda *_, **__: answer)
    if answer:
        assert weights.pull(["toy/two"], source=shelf.folder)[0].converted
    else:
        with pytest.raises(WeightsUnavailable):
            weights.pull(["toy/two"], source=shelf.folder)


def test_every_non_commercial_part_says_so():
    for entry in catalog.CATALOG.values():
        assert entry.licence and entry.origin
        assert (entry.terms == "non-commercial") == ("non-commercial" in entry.licence)
