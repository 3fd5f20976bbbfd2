"""Bringing parts into the cache from a folder, and noticing when what lies there is not what was written."""

from __future__ import annotations

import dataclasses
import os

import pytest
from safetensors import safe_open

from vidinv import weights
from vidinv.errors import OutputUnwritable, UsageError, WeightsUnavailable
from vidinv.weights import cache, catalog, converted


def test_pull_from_a_folder_converts_every_part(shelf):
    pulled = weights.pull(source=shelf.folder, accept=True)
    assert [part.name for part in pulled if part.converted] == ["toy/one", "toy/two", "other/three"]
    for name, entry in shelf.entries.items():
        file = weights.path(name)
        assert file == shelf.cache / f"{name}.safetensors"
        with safe_open(file, "pt") as opened:
            assert bytes(opened.get_tensor(entry.members[0].path).tolist())[:5] in (b"first", b"secon", b"third")
            assert opened.metadata()["licence"] == entry.licence
            assert opened.metadata()["made"] == "by the toy importer"
    assert sorted(path.name for path in shelf.folder.iterdir()) == sorted(
        {entry.archive_file for entry in shelf.entries.values()}
    )
    assert not [path for path in shelf.cache.rglob("*") if path.name.endswith(".part")]


def test_a_second_pull_does_nothing(shelf):
    weights.pull(source=shelf.folder, accept=True)
    stamps = {path: path.stat().st_mtime_ns for path in shelf.cache.rglob("*")}
    for archive in shelf.folder.iterdir():
        archive.unlink()
    again = weights.pull(offline=True)
    assert not any(part.converted for part in again)
    assert len(shelf.importer.calls) == 3
    assert stamps == {path: path.stat().st_mtime_ns for path in shelf.cache.rglob("*")}


def test_conversion_gives_the_same_bytes_every_time(shelf):
    def convert():
        weights.pull(["toy/one"], source=shelf.folder)
        file = weights.path("toy/one")
        content = file.read_bytes()
        file.unlink()
        return content

    assert len({convert() for _ in range(5)}) == 1


def test_a_new_importer_version_converts_again(shelf):
    weights.pull(["toy/one"], source=shelf.folder)
    shelf.importer.VERSION = 2
    with pytest.raises(WeightsUnavailable, match="another version"):
        weights.path("toy/one")
    assert weights.pull(["toy/one"], source=shelf.folder)[0].converted
    assert weights.path("toy/one").is_file()


def test_a_corrupted_archive_is_refused_and_named(shelf):
    archive = shelf.folder / "fake_source-2.0.tar.gz"
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(WeightsUnavailable, match=r"fake_source-2\.0\.tar\.gz is corrupted") as raised:
        weights.pull(["other/three"], source=shelf.folder)
    assert raised.value.exit_code == 5
    assert not (shelf.cache / "other").exists()


def test_a_member_that_is_not_the_pinned_one_is_refused_and_named(shelf, monkeypatch):
    entry = shelf.entries["toy/one"]
    other = dataclasses.replace(entry.members[0], sha256="0" * 64)
    monkeypatch.setitem(catalog.CATALOG, "toy/one", dataclasses.replace(entry, members=(other,)))
    with pytest.raises(WeightsUnavailable, match=r"carrier/one\.bin in .* is not the pinned file"):
        weights.pull(["toy/one"], source=shelf.folder)


def test_an_archive_missing_from_the_folder_is_named(shelf, tmp_path):
    with pytest.raises(WeightsUnavailable, match=r"fake_carrier-1\.0-py3-none-any\.whl is not in"):
        weights.pull(["toy/one"], source=tmp_path)


@pytest.mark.parametrize("same_size", [True, False])
def test_a_corrupted_cache_file_is_detected_named_and_replaced_by_the_next_pull(shelf, same_size):
    weights.pull(["toy/one"], source=shelf.folder)
    file = weights.path("toy/one")
    content = bytearray(file.read_bytes())
    content[-1] ^= 0xFF
    file.write_bytes(content if same_size else content[:-4])
    for check in (weights.path, weights.verify):
        with pytest.raises(WeightsUnavailable, match=r"toy/one\.safetensors are corrupted") as raised:
            check("toy/one")
        assert raised.value.exit_code == 5
    assert weights.pull(["toy/one"], source=shelf.folder)[0].converted
    assert weights.verify("toy/one") == file


def test_verify_sees_damage_that_leaves_size_and_time_alone(shelf):
    weights.pull(["toy/one"], source=shelf.folder)
    file = weights.path("toy/one")
    before = file.stat()
    content = bytearray(file.read_bytes())
    content[-1] ^= 0xFF
    file.write_bytes(content)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(WeightsUnavailable, match="corrupted"):
        weights.verify("toy/one")


def test_missing_weights_say_what_to_run(shelf):
    with pytest.raises(WeightsUnavailable, match="run: vidinv weights pull") as raised:
        weights.path("toy/one")
    assert raised.value.exit_code == 5


def test_offline_without_the_parts_is_exit_5_and_says_what_to_run(shelf):
    with pytest.raises(WeightsUnavailable, match="toy/one") as raised:
        weights.pull(["toy/one"], offline=True)
    assert raised.value.exit_code == 5
    assert "vidinv weights pull --from DIR" in str(raised.value)


def test_an_unknown_name_is_a_usage_error_with_near_names(shelf):
    with pytest.raises(UsageError, match="toy/one"):
        weights.pull(["toy/onne"], source=shelf.folder)
    with pytest.raises(UsageError, match="other/three"):
        weights.path("other/thre")


def test_roles_and_all_select_entries():
    assert [entry.name for entry in cache.select(["lpips"])] == ["lpips/vgg16", "lpips/alexnet"]
    assert len(cache.select(["all"])) == len(catalog.CATALOG)
    assert "features/mobilenet-v2" not in [entry.name for entry in cache.select()]


def test_a_cache_that_cannot_be_written_is_exit_7(shelf, tmp_path, monkeypatch):
    blocked = tmp_path / "a-file"
    blocked.write_text("in the way")
    monkeypatch.setenv("VIDINV_CACHE", str(blocked))
    with pytest.raises(OutputUnwritable, match="VIDINV_CACHE"):
        weights.pull(["toy/one"], source=shelf.folder)


def test_the_catalogue_is_consistent():
    sums: dict[str, str] = {}
    for name, entry in catalog.CATALOG.items():
        assert name == entry.name and name.startswith(f"{entry.role}/")
        assert sums.setdefault(entry.archive_file, entry.archive_sha256) == entry.archive_sha256
        assert all(len(member.sha256) == 64 for member in entry.members)
        assert converted.importers.version(entry.importer) == converted.importers.get(entry.importer).VERSION
