"""A user without a name, a home or folders of its own, as in a container: the commands work all the same."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.containers import UNKNOWN, USER, needs_unknown_user, vidinv
from tests.helpers.runs import TINY
from vidinv.bench.synthetic_clip import make_clip

HOMES = {
    "no HOME": {},
    "a HOME that is missing": {"HOME": "/nonexistent"},
    "a HOME of another user": {"HOME": "/root"},
    "the root folder as HOME": {"HOME": "/"},
    "a cache folder of another user": {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/usr/share"},
}


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of the unknown user, with a clip in it and an empty folder `tmp`."""
    needs_unknown_user()
    made = tmp_path_factory.mktemp("container")
    make_clip(made / "in.mp4", frames=3)
    (made / "tmp").mkdir()
    for place in (made, made / "tmp", made / "in.mp4"):
        os.chown(place, USER, USER)
    return made


@pytest.mark.parametrize("home", HOMES)
def test_weights_are_listed_with_one_warning(home: str, folder: Path) -> None:
    done = vidinv(
        "weights", "list", "--json", "-", folder=folder, environment=HOMES[home] | {"TMPDIR": str(folder / "tmp")}
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["state"] == "missing"
    assert done.stderr.count("UserWarning") == 1 and "set VIDINV_CACHE" in done.stderr
    made = folder / "tmp" / f"vidinv-{USER}"
    assert stat.S_IMODE(made.stat().st_mode) == 0o700 and made.stat().st_uid == USER


def test_doctor_says_which_folder_is_used(folder: Path) -> None:
    done = vidinv("doctor", "--json", "-", folder=folder, environment={"TMPDIR": str(folder / "tmp")})
    assert "internal error" not in done.stderr and json.loads(done.stdout)
    assert f"vidinv-{USER}" in done.stdout + done.stderr


def test_a_clip_and_a_batch_are_edited(folder: Path) -> None:
    """The package's folder belongs to another user, so that numba cannot write beside it."""
    environment = {"TMPDIR": str(folder / "tmp")}
    done = vidinv("run", "in.mp4", "--edit", "age+2", "-o", "out.mp4", *TINY, folder=folder, environment=environment)
    assert done.returncode == 0, done.stderr
    assert {entry.name for entry in folder.iterdir()} == {"in.mp4", "out.mp4", "out.mp4.json", "tmp"}
    given = ["batch", ".", "--pattern", "in.mp4", "-o", "out", "--edit", "age+2", *TINY]
    again = vidinv(*given, folder=folder, environment=environment)
    assert again.returncode == 0, again.stderr
    assert list((folder / "out").glob("*.mp4"))


LOOP = """
from vidinv.compiled import compiled

@compiled
def twice(number):
    return 2 * number

print(twice(3))
"""


@pytest.mark.parametrize("place", ["private", "none"])
def test_machine_code_is_kept_in_a_private_folder_or_nowhere(place: str, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text(LOOP)  # in a folder of root
    if place == "none":
        (folder / "tmp" / f"vidinv-{USER}").write_bytes(b"")
    command = [*UNKNOWN, sys.executable, str(tmp_path / "loop.py")]
    environment = {"PATH": os.environ["PATH"], "TMPDIR": str(folder / "tmp")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "6\n", done.stderr
    assert len(list((folder / "tmp").rglob("*.nbi"))) == (place == "private")
    assert not (folder / "~").exists()


@pytest.mark.parametrize("planted", ["a link", "a folder of another user", "a folder for everybody", "a file"])
def test_a_planted_cache_is_not_used(planted: str, folder: Path, tmp_path: Path) -> None:
    place, target = folder / "tmp" / f"vidinv-{USER}", tmp_path / "target"
    target.mkdir()
    match planted:
        case "a link":
            os.chown(target, USER, USER)
            place.symlink_to(target)
        case "a folder of another user":
            place.mkdir(0o700)
        case "a folder for everybody":
            place.mkdir()
            os.chown(place, USER, USER)
            place.chmod(0o777)
        case _:
            place.write_bytes(b"")
    environment = {"TMPDIR": str(folder / "tmp")}
    done = vidinv("run", "in.mp4", "--edit", "age+2", "-o", "out.mp4", *TINY, folder=folder, environment=environment)
    assert done.returncode == 0, done.stderr
    assert not list(target.iterdir()) and (place.is_file() or not list(place.iterdir()))
    listed = vidinv("weights", "list", folder=folder, environment=environment)
    assert listed.returncode == 0 and "no cache is used" in listed.stderr


def test_the_shared_memory_is_used_where_no_other_folder_can_be_written(folder: Path) -> None:
    """In a mount namespace whose usual folders are read-only; the working folder is not littered."""
    script = 'mount -t tmpfs -o ro none /tmp && mount -t tmpfs -o ro none /var/tmp && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", script, "sh", *UNKNOWN]
    if subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("this machine permits no mounts")
    if subprocess.run([*prefix, sys.executable, "-c", ""], capture_output=True).returncode:
        pytest.skip(f"{sys.executable} is in one of the folders that are hidden")
    where = Path("/dev/shm") / f"vidinv-{USER}"
    shutil.rmtree(where, ignore_errors=True)
    try:
        done = vidinv("weights", "list", folder=Path("/"), environment={}, prefix=prefix)
        assert done.returncode == 0, done.stderr
        assert str(where) in done.stderr and where.stat().st_uid == USER
    finally:
        shutil.rmtree(where, ignore_errors=True)


def test_a_cache_that_was_given_is_read_though_it_cannot_be_written(folder: Path) -> None:
    environment = {"VIDINV_CACHE": "/usr/share/vidinv", "TMPDIR": str(folder / "tmp")}
    done = vidinv("directions", "list", "--backend", "tiny", folder=folder, environment=environment)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert not (folder / "tmp" / f"vidinv-{USER}" / "directions").exists()
