"""`vidinv inspect`, and what `run` and `edit` put into a file for it: metadata, report, C2PA manifest, watermark."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.helpers import certificates, ffprobe
from tests.helpers.certificates import Signer
from tests.helpers.runs import TINY, edited, frames_of, left_behind, rects, report_of
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.media import photo
from vidinv.provenance import payload

SIZE = (640, 480)


def inspected(path: Path, *options: object) -> dict[str, Any]:
    """What `vidinv inspect --json` writes of a file."""
    target = path.parent / "inspected.json"
    assert main(["inspect", str(path), "--json", str(target), *map(str, options)]) == 0
    found = json.loads(target.read_text())
    target.unlink()
    return dict(found)


def smooth(index: int) -> np.ndarray:
    """A picture as smooth as a face, [H,W,3]."""
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    wave = np.sin((x + index) / 37) * np.cos(y / 41)
    return np.stack([130 + 50 * wave, 120 + 40 * wave, 110 + 30 * wave], -1).astype(np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=6, size=SIZE, image=smooth)


@pytest.fixture
def signer(tmp_path_factory: pytest.TempPathFactory) -> Signer:
    return certificates.make(tmp_path_factory.mktemp("signer"))


def test_metadata_and_report_are_shown_and_agree(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = edited(clip, clip.parent / "out.mp4")
    found = inspected(output)
    assert found["made_by_vidinv"] and found["metadata"]["edits"] == "age+3" and not found["notes"]
    assert found["sidecar"]["name_agrees"] and found["sidecar"]["sha256_agrees"]
    assert found["c2pa"] is found["watermark"] is None
    said = capsys.readouterr().out
    assert "age+3" in said and "made by vidinv, according to its metadata, its report file" in said


def test_a_file_of_others_is_said_to_hold_nothing(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = inspected(clip)
    assert not found["made_by_vidinv"]
    assert all(found[part] is None for part in ("metadata", "sidecar", "c2pa", "watermark"))
    assert "no trace of vidinv was found" in " ".join(capsys.readouterr().out.split())


def test_a_file_that_was_changed_since_its_report_is_noted(clip: Path) -> None:
    output = edited(clip, clip.parent / "out.mp4")
    clip.replace(output)
    found = inspected(output)
    assert found["sidecar"]["sha256_agrees"] is False and "changed afterwards" in found["notes"][0]
    assert found["metadata"] is None


@pytest.mark.parametrize("name", ["none.mp4", "text.mp4", "text.png"])
def test_an_unreadable_file_exits_3(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name != "none.mp4":
        (tmp_path / name).write_bytes(b"only text\n" * 100)
    assert main(["inspect", str(tmp_path / name)]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_json_on_standard_output_stands_alone(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(clip), "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["file"] == "in.mp4"


def test_the_watermark_lies_in_the_masks_rectangle_and_is_read(clip: Path) -> None:
    plain = edited(clip, clip.parent / "plain.mp4", "--codec", "lossless")
    marked = edited(clip, clip.parent / "marked.mp4", "--codec", "lossless", "--watermark")
    changes = 0
    for (_, before), (_, after), (x0, y0, x1, y1) in zip(
        frames_of(plain), frames_of(marked), rects(marked), strict=True
    ):
        difference = after[0].astype(int) - before[0]
        changes += int((difference != 0).sum())
        difference[y0:y1, x0:x1] = 0
        assert not difference.any() and all(map(np.array_equal, before[1:], after[1:]))
    assert changes > 0
    found, report = inspected(marked), report_of(marked)
    expected = payload.identity(report["input"]["sha256"], ["age+3"])
    assert found["watermark"]["identity"] == expected == report["output"]["watermark"] and not found["notes"]
    assert inspected(plain)["watermark"] is None and report_of(plain)["output"]["watermark"] is None


def test_the_watermark_is_read_when_all_else_is_lost(clip: Path) -> None:
    marked = edited(clip, clip.parent / "marked.mp4", "--watermark")
    bare = clip.parent / "bare.mkv"
    ffprobe.ffmpeg("-i", marked, "-map", "0:v", "-map_metadata", "-1", "-c:v", "libx264", "-crf", 20, bare)
    found = inspected(bare)
    assert found["metadata"] is None and found["made_by_vidinv"] and found["watermark"]["version"] == 1


def test_a_picture_is_marked_as_well(tmp_path: Path) -> None:
    photo.write_photo(tmp_path / "in.png", photo.Photo(smooth(0)), {})
    output = tmp_path / "out.jpg"
    shown = ["--set", "mask.residual_good=1", "--set", "mask.residual_bad=2"]
    command = ["edit", str(tmp_path / "in.png"), "--edit", "age+3", "-o", str(output), "--watermark", *TINY, *shown]
    assert main(command) == 0
    found = inspected(output)
    assert found["watermark"] and not found["notes"] and found["metadata"]["edits"] == "age+3"


def test_a_signed_video_holds_the_claim_and_the_same_frames(clip: Path, signer: Signer) -> None:
    plain = edited(clip, clip.parent / "plain.mp4")
    signed = edited(clip, clip.parent / "signed.mp4", "--watermark", *signer.options)
    assert not left_behind(clip.parent, but={"in.mp4", "plain.mp4", "plain.mp4.json", "signed.mp4", "signed.mp4.json"})
    found = inspected(signed)
    manifest, report = found["c2pa"], report_of(signed)
    assert manifest["state"] == "Valid" and manifest["problems"] == ["signingCredential.untrusted"]
    assert "vidinv test signer" in manifest["signer"] and manifest["generator"].startswith("vidinv")
    assert manifest["actions"] == ["c2pa.opened", "c2pa.edited"] and manifest["edit"]["edits"] == ["age+3"]
    assert manifest["edit"]["source_sha256"] == report["input"]["sha256"]
    assert manifest["edit"]["weights_sha256"] == report["weights"]
    assert manifest["edit"]["watermark"] == found["watermark"]["identity"]
    assert found["sidecar"]["sha256_agrees"] and report["output"]["c2pa"] and not found["notes"]
    assert inspected(signed, "--trust", signer.root)["c2pa"]["state"] == "Trusted"
    assert inspected(plain)["c2pa"] is None


def test_signing_keeps_every_frame(clip: Path, signer: Signer) -> None:
    plain = edited(clip, clip.parent / "plain.mp4")
    signed = edited(clip, clip.parent / "signed.mp4", *signer.options)
    assert np.array_equal(ffprobe.samples(plain, "yuv420p"), ffprobe.samples(signed, "yuv420p"))
    assert ffprobe.frame_times(plain) == ffprobe.frame_times(signed)
    assert ffprobe.packets(plain, "a:0") == ffprobe.packets(signed, "a:0")


def test_a_signed_file_that_is_changed_is_invalid(clip: Path, signer: Signer) -> None:
    signed = edited(clip, clip.parent / "signed.mp4", *signer.options)
    data = bytearray(signed.read_bytes())
    data[data.index(b"mdat") + 4000] ^= 1
    signed.write_bytes(data)
    found = inspected(signed)
    assert found["c2pa"]["state"] == "Invalid"
    assert any("manifest is invalid" in note for note in found["notes"])


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_is_signed_as_well(tmp_path: Path, signer: Signer, suffix: str) -> None:
    photo.write_photo(tmp_path / "in.png", photo.Photo(smooth(0)), {})
    output = tmp_path / f"out{suffix}"
    command = ["edit", str(tmp_path / "in.png"), "--edit", "age+1", "-o", str(output), *TINY, *signer.options]
    assert main(command) == 0
    assert not left_behind(tmp_path, but={"in.png", output.name, f"{output.name}.json"})
    found = inspected(output)
    assert found["c2pa"]["state"] == "Valid" and found["metadata"]["edits"] == "age+1"


def test_no_picture_of_the_source_is_put_into_the_manifest(tmp_path: Path, signer: Signer) -> None:
    c2pa = pytest.importorskip("c2pa", reason=certificates.WHY)
    photo.write_photo(tmp_path / "in.jpg", photo.Photo(smooth(0)), {})
    output = tmp_path / "out.jpg"
    assert main(["edit", str(tmp_path / "in.jpg"), "--edit", "age+1", "-o", str(output), *TINY, *signer.options]) == 0
    with c2pa.Reader("image/jpeg", output.open("rb")) as reader:
        assert "thumbnail" not in reader.json()


def test_the_environment_names_the_signer(clip: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDINV_C2PA_CERTIFICATE", str(signer.chain))
    monkeypatch.setenv("VIDINV_C2PA_KEY", str(signer.key))
    signed = edited(clip, clip.parent / "signed.mp4", "--c2pa")
    assert inspected(signed)["c2pa"]["state"] == "Valid"
    assert str(signer.key) not in signed.with_name("signed.mp4.json").read_text()


@pytest.mark.parametrize("wrong", ["output", "no key", "key", "self-signed"])
def test_what_cannot_be_signed_exits_2_before_any_work(
    clip: Path, signer: Signer, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = certificates.make(clip.parent / "other")
    options = {
        "output": signer.options,
        "no key": signer.options[:3],
        "key": [*signer.options, "--set", f"c2pa.key={other.key}"],
        "self-signed": [*signer.options, "--set", f"c2pa.certificate={signer.root}"],
    }[wrong]
    output = clip.parent / ("out.mkv" if wrong == "output" else "out.mp4")
    assert main(["run", str(clip), "--edit", "age+1", "-o", str(output), *TINY, *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and said.count("\n") == 1
    assert not left_behind(clip.parent, but={"in.mp4", "other"})


def test_without_c2pa_python_signing_exits_2_with_the_line_that_installs_it(
    clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "c2pa", None)
    assert main(["run", str(clip), "--edit", "age+1", "--c2pa", *TINY]) == 2
    assert 'pip install "vidinv[c2pa]"' in capsys.readouterr().err


def test_without_c2pa_python_a_manifest_is_noted_and_the_rest_is_read(
    clip: Path, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = edited(clip, clip.parent / "signed.mp4", *signer.options)
    monkeypatch.setitem(sys.modules, "c2pa", None)
    found = inspected(signed)
    assert found["c2pa"]["state"] == "Unread" and "pip install" in found["notes"][0] and found["metadata"]
