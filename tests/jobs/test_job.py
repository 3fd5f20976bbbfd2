"""One fingerprint for a job: every field of its request and settings counts unless it is marked as deciding nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.own_backend import refused
from tests.helpers.runs import SHOWN, TINY
from vidinv import config as configs
from vidinv import fileio
from vidinv.backends import tiny
from vidinv.bench.synthetic_clip import make_clip
from vidinv.config import RunConfig
from vidinv.fingerprint import CODES, JOB, KEY
from vidinv.jobs import check
from vidinv.jobs.job import OpenJob
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.request import CheckedRequest, Request
from vidinv.jobs.request_files import RequestFiles
from vidinv.jobs.source_check import SourceState
from vidinv.jobs.timing import Clock
from vidinv.report.gate import Gate
from vidinv.stages import codes as stored_codes

# What decides nothing a job writes by itself; whoever adds a field to this says why in its dataclass.
IN_REQUEST = {"source", "output", "overwrite", "keep_job", "report", "thumbnails", "gate", "command", "c2pa"}
IN_REQUEST |= {"force"}
IN_CONFIG = {"stall_seconds", "encoder", "generator", "boxes", "c2pa.certificate", "c2pa.key", "tuning.cache"}


def other(value: Any) -> Any:
    """A value of the same kind that is not equal."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case tuple():
            return (*value, "smile+1")
        case Gate():
            return Gate(0.5, None)
        case Path():
            return value.with_name("other")
        case None:
            return 1.5
    return f"{value}x"


def changes(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a dataclass by its dotted name, with the instance in which that one is changed."""
    for entry in fields(value):
        inner = getattr(value, entry.name)
        if is_dataclass(inner) and not isinstance(inner, Gate | RunConfig):
            for name, changed in changes(inner, f"{prefix}{entry.name}."):
                yield name, replace(value, **{entry.name: changed})
        elif not isinstance(inner, RunConfig):
            yield prefix + entry.name, replace(value, **{entry.name: other(inner)})


CONFIG = configs.with_edits(RunConfig(backend="tiny"), ["age+2"])
REQUEST = Request(Path("in.mp4"), Path("out.mp4"), CONFIG, thumbnails=False)


def job(request: Request, content: str = "s", encoder: str = "", backend: Any = tiny.BACKEND) -> OpenJob:
    moves = check.resolve_edits(["age+2"], tiny.BACKEND)
    checked = CheckedRequest(request, RequestFiles(), backend, moves, None, touches_faces=True)  # type: ignore[arg-type]
    source = SourceState(request.source, (), content)
    return OpenJob(checked, source, encoder, None, JobFolder(request.output), Clock.now())


def mark(config: RunConfig | None = None, **others: Any) -> str:
    return job(REQUEST if config is None else replace(REQUEST, config=config), **others).fingerprint()


@pytest.mark.parametrize(("name", "changed"), changes(REQUEST))
def test_every_field_of_a_request_counts_unless_it_is_marked(name: str, changed: Request) -> None:
    assert (job(changed).fingerprint() == mark()) == (name in IN_REQUEST)


@pytest.mark.parametrize(("name", "changed"), [pair for pair in changes(CONFIG) if pair[0] != "generator"])
def test_every_setting_counts_unless_it_is_marked(name: str, changed: RunConfig) -> None:
    assert (mark(changed) == mark()) == (name in IN_CONFIG)


def test_what_is_in_the_files_counts_and_not_where_they_are(tmp_path: Path) -> None:
    marks = []
    for path, text in (("a", "one"), ("b", "one"), ("b", "two")):
        (tmp_path / path).write_text(text)
        marks.append(mark(replace(CONFIG, generator=str(tmp_path / path))))
    assert marks[0] == marks[1] != marks[2] and mark() not in marks
    assert len({mark(), mark(content="t"), mark(encoder="t"), mark(backend=replace(tiny.BACKEND, digest="t"))}) == 4


def test_pictures_of_faces_that_are_kept_for_a_page_count_whoever_asks_for_them() -> None:
    shown = replace(REQUEST, thumbnails=True)
    asked = (replace(shown, report=True), replace(shown, keep_job=True), replace(shown, report=True, keep_job=True))
    marks = {job(each).fingerprint() for each in asked}
    assert len(marks) == 1 and mark() not in marks and job(shown).fingerprint() == mark()


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"preview": True, "at": None}, {"preview": True, "at": 0.0}),
        ({"codes": Path("False")}, {"only_codes": True, "codes": Path("Fals")}),
        ({"at": 1.0, "codes": Path("1")}, {"at": 1.01, "codes": None}),
        ({"watermark": True, "only_tuned": False}, {"watermark": False, "only_tuned": True}),
    ],
)
def test_neighbouring_fields_do_not_run_into_each_other(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert job(replace(REQUEST, **one)).fingerprint() != job(replace(REQUEST, **two)).fingerprint()


@pytest.mark.parametrize(("name", "changed"), changes(CONFIG))
def test_a_setting_decides_stored_codes_unless_it_is_marked(name: str, changed: RunConfig) -> None:
    tuned = replace(CONFIG, tune="encoder")  # then what the tuning is told decides too
    if name.startswith("tuning."):
        changed = replace(changed, tune="encoder")
    before, after = (stored_codes.origin(each, tiny.BACKEND, "s", "") for each in (tuned, changed))
    if not name.startswith("tuning."):
        before = stored_codes.origin(CONFIG, tiny.BACKEND, "s", "")
    (entry,) = (entry for entry in fields(RunConfig) if entry.name == name.partition(".")[0])
    counts = CODES in entry.metadata.get(KEY, (CODES, JOB)) and name not in IN_CONFIG
    assert (before.differs_from(after) is not None) == counts


def test_a_job_folder_of_an_earlier_version_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip, output = make_clip(tmp_path / "in.mp4", frames=2), tmp_path / "out.mp4"
    with JobFolder(output) as folder:
        folder.claim(fileio.content_sha256(clip) + "FalseNoneNoneFalseFalse", configs.to_yaml(CONFIG))
        (folder.path / "journal.jsonl").touch()  # some of it is finished
    command = ["run", clip, "--edit", "age+2", "-o", output, *TINY, *SHOWN]
    assert "holds an unfinished job with another" in refused(capsys, 2, *command)
    (folder.path / "config.yaml").write_text("near: {}\n")
    refused(capsys, 2, *command)
    assert not output.exists() and (folder.path / "job.json").exists()
