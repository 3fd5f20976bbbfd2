"""The `vidinv weights` commands; errors propagate to the main command, which turns them into exit codes."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from vidinv.cli.weights import app
from vidinv.errors import WeightsUnavailable


def run(*arguments):
    return CliRunner().invoke(app, list(arguments))


def test_list_shows_every_part_and_its_state(shelf):
    run("pull", "toy/one", "--from", str(shelf.folder))
    rows = {row["name"]: row for row in json.loads(run("list", "--json", "-").stdout)}
    assert {name: row["state"] for name, row in rows.items()} == {
        "toy/one": "present",
        "toy/two": "missing",
        "other/three": "missing",
    }
    table = run("list").stdout
    assert all(name in table for name in shelf.entries)


def test_list_writes_json_to_a_file(shelf, tmp_path):
    assert run("list", "--json", str(tmp_path / "parts.json")).exit_code == 0
    assert len(json.loads((tmp_path / "parts.json").read_text())) == 3


def test_pull_verify_and_path(shelf):
    assert run("pull", "--from", str(shelf.folder), "--accept-licences").exit_code == 0
    assert run("verify").stdout.count("ok ") == 3
    assert run("path", "toy/two").stdout.strip() == str(shelf.cache / "toy" / "two.safetensors")


@pytest.mark.parametrize(
    "arguments", [("pull", "toy/one", "--offline"), ("pull", "toy/two", "--offline"), ("path", "toy/one")]
)
def test_errors_reach_the_main_command(shelf, arguments):
    result = run(*arguments)
    assert isinstance(result.exception, WeightsUnavailable)


def test_verify_names_the_damaged_file(shelf):
    run("pull", "toy/one", "--from", str(shelf.folder))
    file = shelf.cache / "toy" / "one.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    assert "toy/one.safetensors" in str(run("verify").exception)
