"""Clips and outputs that lie elsewhere (an S3 server of this machine), and the workers of a Ray cluster.

The server and the cluster skip, with the reason, where the packages moto and s3fs, or ray, are not installed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers.runs import TINY, same_frames
from vidinv.batch import storage
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.errors import OutputUnwritable, UsageError

ROOT = Path(__file__).resolve().parents[2]
EDIT = ["--edit", "age+3", "--set", "segment_seconds=0.2", "--progress", "none"]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of an empty bucket."""
    pytest.importorskip("s3fs")
    server = pytest.importorskip("moto.server").ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    known = {"AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"}
    for name, value in (known | {"AWS_DEFAULT_REGION": "us-east-1"}).items():
        monkeypatch.setenv(name, value)
    import fsspec

    name = f"clips-{abs(hash(request.node.name))}"  # the server's buckets outlive it
    fsspec.filesystem("s3", skip_instance_cache=True).mkdir(name)
    yield f"s3://{name}"
    server.stop()


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    (tmp_path / "in" / "below").mkdir(parents=True)
    make_clip(tmp_path / "in" / "a.mp4", frames=16, cut_at=9)
    make_clip(tmp_path / "in" / "below" / "b.mp4", frames=8)
    return tmp_path / "in"


def alone(source: Path, output: Path) -> Path:
    assert main(["run", str(source), "-o", str(output), *TINY, *EDIT]) == 0
    return output


def workers_of_ray(driver: int) -> list[int]:
    """Worker processes of the Ray cluster that the process `driver` started."""
    found = psutil.Process(driver).children(recursive=True)
    return [each.pid for each in found if any("ray::" in word for word in each.cmdline()[:4])]


def batch(given: object, output: object, *options: object) -> int:
    return main(["batch", *map(str, (given, "-o", output, *TINY, *EDIT, "--workers", 2, *options))])


def in_a_process(given: object, output: object, *options: object) -> subprocess.Popen[str]:
    command = ["batch", given, "-o", output, *TINY, *EDIT, "--workers", 2, *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "-m", "vidinv", *map(str, command)], cwd=ROOT, env=environment)


@pytest.mark.parametrize("place", ["{folder}", "file://{folder}", "memory://there"])
def test_a_file_is_put_whole_read_listed_and_removed(tmp_path: Path, place: str) -> None:
    folder = place.format(folder=tmp_path / "there")
    (tmp_path / "made").write_bytes(b"made")
    storage.upload(tmp_path / "made", storage.join(folder, "below/a"))
    storage.write_small(storage.join(folder, "below/b"), b"b")
    assert storage.names(storage.join(folder, "below")) == ["a", "b"]
    assert storage.read_small(storage.join(folder, "below/a")) == b"made"
    storage.fetch(storage.join(folder, "below/b"), tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"b"
    both = [storage.join(folder, "below/a"), storage.join(folder, "below/b")]
    assert list(storage.list_files(folder)) == both and storage.exists(both[0]) and storage.is_folder(folder)
    assert list(storage.list_matches(storage.join(folder, "**/[a-b]"))) == both
    storage.remove(folder)
    assert storage.names(folder) == [] and storage.read_small(storage.join(folder, "below/a")) is None


def test_storage_that_shows_half_a_file_gets_it_under_another_name_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage, "OBJECTS", ())  # memory:// stands for such a storage
    (tmp_path / "made").write_bytes(b"made")
    storage.upload(tmp_path / "made", "memory://drafts/below/a")
    storage.write_small("memory://drafts/below/b", b"b")
    assert storage.names("memory://drafts/below") == ["a", "b"]
    assert storage.read_small("memory://drafts/below/a") == b"made"
    with pytest.raises(OutputUnwritable, match="drafts/below/c"):
        storage.upload(tmp_path / "none", "memory://drafts/below/c")
    assert storage.names("memory://drafts/below") == ["a", "b"]
    storage.remove("memory://drafts")


def test_a_kind_of_storage_that_is_not_known_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="nowhere"):
        storage.read_small("nowhere://a/b")


def test_clips_from_s3_become_outputs_on_s3(bucket: str, clips: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "below/b.mp4"):
        storage.upload(clips / name, f"{bucket}/in/{name}")
    assert batch(f"{bucket}/in", f"{bucket}/out", "--split", 0.1) == 0
    own = {"batch.html", "batch.log", "batch.sqlite"}
    outputs = {f"{name}{kind}" for name in ("a.edited.mp4", "below/b.edited.mp4") for kind in ("", ".json")}
    assert {path.removeprefix(f"{bucket}/out/") for path in storage.list_files(f"{bucket}/out")} == own | outputs
    for name in ("a", "below/b"):
        made = tmp_path / "made.mp4"
        storage.fetch(f"{bucket}/out/{name}.edited.mp4", made)
        assert same_frames(made, alone(clips / f"{name}.mp4", tmp_path / f"{Path(name).name}.edited.mp4"))
    before = {name: storage.read_small(f"{bucket}/out/{name}.json") for name in ("a.edited.mp4", "below/b.edited.mp4")}
    assert batch(f"{bucket}/in", f"{bucket}/out", "--split", 0.1) == 0
    storage.remove(f"{bucket}/out/batch.sqlite")  # as where a machine died before it could put its journal there
    assert batch(f"{bucket}/in", f"{bucket}/out", "--split", 0.1) == 0
    assert before == {name: storage.read_small(f"{bucket}/out/{name}.json") for name in before}


@pytest.mark.slow
def test_two_workers_of_a_cluster_make_what_those_of_this_machine_make(clips: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    assert batch(clips, tmp_path / "local", "--split", 0.1) == 0
    running = in_a_process(clips, tmp_path / "ray", "--split", 0.1, "--cluster", "ray", "--memory", 500)
    killed = threading.Event()

    def kill() -> None:
        """A worker, as soon as a part is being rendered."""
        while running.poll() is None and not killed.is_set():
            log = tmp_path / "ray" / "batch.log"
            if log.exists() and "2 parts" in log.read_text():
                for pid in workers_of_ray(running.pid)[:1]:
                    os.kill(pid, signal.SIGKILL)
                    killed.set()
            time.sleep(0.05)

    killer = threading.Thread(target=kill)
    killer.start()
    assert running.wait(timeout=400) == 0
    killer.join()
    for name in ("a.edited.mp4", "below/b.edited.mp4"):
        assert same_frames(tmp_path / "ray" / name, tmp_path / "local" / name)
        reports = [json.loads((tmp_path / pool / f"{name}.json").read_text()) for pool in ("ray", "local")]
        assert reports[0]["identity"] == reports[1]["identity"]
    assert not killed.is_set() or "the worker was lost" in (tmp_path / "ray" / "batch.log").read_text()


@pytest.mark.slow
def test_a_cluster_of_s3_and_ray_needs_no_folder_that_its_machines_share(
    bucket: str, clips: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ray")
    storage.upload(clips / "a.mp4", f"{bucket}/in/a.mp4")
    running = in_a_process(f"{bucket}/in", f"{bucket}/out", "--split", 0.1, "--cluster", "ray", "--memory", 500)
    assert running.wait(timeout=400) == 0
    storage.fetch(f"{bucket}/out/a.edited.mp4", tmp_path / "made.mp4")
    assert same_frames(tmp_path / "made.mp4", alone(clips / "a.mp4", tmp_path / "a.edited.mp4"))


def test_a_cluster_without_the_package_says_how_to_get_it(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert batch(clips, tmp_path / "out", "--cluster", "ray") == 2
    assert "vidinv[ray]" in capsys.readouterr().err
