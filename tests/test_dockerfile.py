"""The Dockerfile installs this tree, runs it as a user without rights, and depends on no host that it names."""

from __future__ import annotations

import re
from pathlib import Path

from tests.helpers.registry_hosts import HOSTS

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Every instruction and its arguments, continued lines joined."""
    lines = [line for line in TEXT.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def last(word: str) -> str:
    return [rest for name, rest in instructions() if name == word][-1]


def test_the_tree_is_installed_without_leaving_a_cache() -> None:
    assert ("COPY", ". /source") in instructions()
    (install,) = [rest for word, rest in instructions() if word == "RUN" and "pip install" in rest]
    assert install.endswith("/source") and "--no-cache-dir" in install
    assert all("slim" in rest for word, rest in instructions() if word == "FROM")


def test_it_runs_vidinv_as_a_user_whose_cache_is_a_volume() -> None:
    assert last("USER") not in ("root", "0") and last("USER") in last("RUN")
    assert last("ENTRYPOINT") == '["vidinv"]'
    assert f"VIDINV_CACHE={last('VOLUME')}" in last("ENV").split()
    assert last("VOLUME") in last("RUN")  # made for the user, whom a volume would not belong to otherwise


def test_no_host_is_named() -> None:
    assert "://" not in TEXT and not [host for host in HOSTS if host in TEXT]


def test_the_context_holds_what_setup_installs_and_nothing_of_the_user() -> None:
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert "*" in kept  # everything is left out that is not named
    named = {line[1:] for line in kept if line.startswith("!")}
    assert named == {"setup.py", "pyproject.toml", "README.md", "LICENSE", "vidinv", "stages", "trainers", "configs"}


def test_the_readme_shows_how_it_is_built_and_run() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "docker build -t vidinv ." in text and "docker run --rm" in text
