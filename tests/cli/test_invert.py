"""`vidinv invert` and `vidinv run --codes`: one inversion, many edits."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.helpers import code_files
from tests.helpers.interrupted import Stopped
from tests.helpers.runs import STEPS, TINY, frames_of, left_behind, seconds
from vidinv import config as configs
from vidinv.bench.synthetic_clip import make_clip
from vidinv.cli.main import main
from vidinv.encoders import encoder_file
from vidinv.encoders.code_file import CodeReader
from vidinv.generators import mobile_stylegan
from vidinv.jobs import render_codes, video_job
from vidinv.jobs.request import Request
from vidinv.media import probe
from vidinv.stages import codes as stored_codes


def vidinv(*arguments: object) -> int:
    return main([*map(str, arguments), *TINY])


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return make_clip(tmp_path / "in.mp4", frames=12)


def test_a_clips_codes_are_kept_and_an_edit_of_them_is_the_edit_of_the_clip(clip: Path) -> None:
    folder = clip.parent
    codes, first, again = folder / "codes.safetensors", folder / "first.mp4", folder / "again.mp4"
    assert vidinv("invert", clip, "-o", codes) == 0
    assert left_behind(folder, but={"in.mp4"}) == {"codes.safetensors"}
    assert CodeReader(codes).rows.frame.tolist() == list(range(12))
    assert vidinv("run", clip, "--edit", "age+2", "-o", first, "--codes", folder / "own.safetensors") == 0
    assert (folder / "own.safetensors").read_bytes() == codes.read_bytes()
    assert vidinv("run", clip, "--edit", "age+2", "-o", again, "--codes", codes) == 0
    assert again.read_bytes() == first.read_bytes()
    stages = json.loads((folder / "again.mp4.json").read_text())["timing"]["stages"]
    assert "keep" not in stages and "encode" in stages
    plain, stored = folder / "plain.mkv", folder / "stored.mkv"
    assert vidinv("run", clip, "--edit", "age+2", "-o", plain, "--codec", "lossless") == 0
    assert vidinv("run", clip, "--edit", "age+2", "-o", stored, "--codec", "lossless", "--codes", codes) == 0
    for (_, here), (_, there) in zip(frames_of(plain), frames_of(stored), strict=True):  # float16 of F is not seen
        assert max(np.abs(a.astype(int) - b.astype(int)).max() for a, b in zip(here, there, strict=True)) <= 1


def test_a_picture_has_one_code_and_a_sheet(clip: Path) -> None:
    picture, codes, sheet = clip.with_name("face.png"), clip.with_name("c.safetensors"), clip.with_name("sheet.png")
    cv2.imwrite(str(picture), np.full((96, 96, 3), 120, np.uint8))
    assert vidinv("invert", picture, "-o", codes, "--render", sheet) == 0
    assert len(CodeReader(codes)) == 1
    shown = cv2.imread(str(sheet))
    assert shown is not None and shown.shape == (24 + 256, 3 * 256, 3)
    assert shown[:24].min() < 100  # the labels
    shown = shown[24:]
    assert abs(float(shown[:, :256].mean()) - 120) < 3  # the face itself comes first
    assert np.abs(shown[:, 256:512].astype(int) - shown[:, 512:]).max() > 3  # G(w) is not G(w, F)


def test_a_clips_rendering_has_its_times(clip: Path) -> None:
    codes, film = clip.with_name("c.safetensors"), clip.with_name("film.mp4")
    assert vidinv("invert", clip, "-o", codes, "--render", film) == 0
    assert probe.probe(film).width == 3 * 256 and b"ftyp" in film.read_bytes()[:16]
    assert seconds(film) == pytest.approx(seconds(clip))
    assert len(frames_of(film)) == 12 and not left_behind(clip.parent, but={"in.mp4", "c.safetensors", "film.mp4"})


@pytest.mark.parametrize(
    ("arguments", "code"), [(("--render", "x.gif"), 2), (("--render", "none/x.png"), 7), (("--quality", "superb"), 2)]
)
def test_a_wrong_request_is_refused_before_any_work(clip: Path, arguments: tuple[str, ...], code: int) -> None:
    assert vidinv("invert", clip, "-o", clip.with_name("c.safetensors"), *arguments) == code
    assert not left_behind(clip.parent, but={"in.mp4"})


def test_codes_that_exist_are_replaced_only_when_told(clip: Path) -> None:
    codes = clip.with_name("c.safetensors")
    codes.write_text("mine")
    assert vidinv("invert", clip, "-o", codes) == 7 and codes.read_text() == "mine"
    assert vidinv("invert", clip, "-o", codes, "--overwrite") == 0 and len(CodeReader(codes)) == 12


def test_codes_of_another_clip_or_of_other_settings_are_refused(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    codes, other = clip.with_name("c.safetensors"), make_clip(clip.with_name("other.mp4"), frames=10)
    assert vidinv("invert", clip, "-o", codes) == 0
    out = clip.with_name("out.mp4")
    assert vidinv("run", other, "--edit", "age+2", "-o", out, "--codes", codes) == 2
    assert "another source" in capsys.readouterr().err
    assert (
        main(["run", str(clip), "--edit", "age+2", "-o", str(out), "--codes", str(codes), *TINY, "--set", "batch=3"])
        == 2
    )
    assert "batch=6 and not 3" in capsys.readouterr().err
    codes.write_bytes(b"nothing")
    assert vidinv("run", clip, "--edit", "age+2", "-o", out, "--codes", codes) == 3
    assert not left_behind(clip.parent, but={"in.mp4", "other.mp4", "c.safetensors"})


@pytest.mark.parametrize("harm", ["flipped bit", "not finite", "other space", "other layer"])
def test_changed_codes_end_the_run_before_any_frame_is_written(
    clip: Path, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    codes = clip.with_name("c.safetensors")
    assert vidinv("invert", clip, "-o", codes) == 0
    if harm == "flipped bit":
        data = bytearray(codes.read_bytes())
        data[len(data) // 2] ^= 4
        codes.write_bytes(data)
    else:
        tensors, metadata = code_files.contents(codes)
        if harm == "not finite":
            tensors["ws"][5:8] = float("nan")
        metadata |= {"other space": {"space": "another"}, "other layer": {"at": "0"}}.get(harm, {})
        code_files.rewrite(codes, tensors, metadata, sealed=True)
    capsys.readouterr()
    assert vidinv("run", clip, "--edit", "age+2", "-o", clip.with_name("out.mp4"), "--codes", codes) == 3
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
    assert not left_behind(clip.parent, but={"in.mp4", "c.safetensors"})


def test_the_stored_faces_are_the_clips_own_and_evenly_chosen(clip: Path) -> None:
    codes = clip.with_name("c.safetensors")
    assert vidinv("invert", clip, "-o", codes) == 0
    stored = CodeReader(codes)
    wanted = render_codes.spread_faces(stored, 4)
    assert wanted == {(0, 0), (4, 0), (7, 0), (11, 0)}
    found = list(render_codes.iterate_faces(clip, stored, wanted))
    assert [batch.index[0] for batch, _, _ in found] == [0, 4, 7, 11]
    for batch, face, code in found:
        assert face.shape == (1, 3, 64, 64) and torch.equal(code.ws, stored.get(batch.index[0], 0).ws)


def test_no_edit_with_codes_leaves_the_clip_as_it_is(clip: Path) -> None:
    codes, out = clip.with_name("c.safetensors"), clip.with_name("out.mkv")
    for edit in ((), ("--edit", "age+0", "--blend", "replace")):
        options = ("-o", out, "--codes", codes, "--codec", "lossless", "--overwrite")
        assert vidinv("run", clip, *edit, *options) == 0  # codes are made at first, then taken
        for (_, here), (_, there) in zip(frames_of(clip), frames_of(out), strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(here, there, strict=True))


def test_stored_codes_serve_a_preview_of_a_part(clip: Path) -> None:
    codes, out = clip.with_name("c.safetensors"), clip.with_name("out.mp4")
    assert vidinv("invert", clip, "-o", codes) == 0
    options = ("--preview", "--at", "0.2", "--set", "preview_seconds=0.1", "--codes", codes)
    assert vidinv("run", clip, "--edit", "age+2", "-o", out, *options) == 0
    assert 0 < len(frames_of(clip.with_name("out.mp4.preview.mp4"))) < 12


def test_files_that_would_be_written_twice_over_are_refused(clip: Path) -> None:
    out = clip.with_name("out.mp4")
    assert vidinv("run", clip, "--edit", "age+2", "-o", out, "--codes", out) == 2
    assert vidinv("run", clip, "--edit", "age+2", "-o", out, "--codes", clip.with_name("out.mp4.json")) == 2
    assert vidinv("invert", clip, "-o", clip.with_name("x.png"), "--render", clip.with_name("x.png")) == 2
    assert vidinv("invert", clip, "-o", clip.with_name("c"), "--render", clip, "--overwrite") == 2
    assert not left_behind(clip.parent, but={"in.mp4"}) and len(frames_of(clip)) == 12


def test_a_job_whose_codes_are_gone_begins_anew(clip: Path) -> None:
    codes = stored_codes.Codes(clip.with_name("gone"), None, None)  # type: ignore[arg-type]
    assert not codes.can_go_on()
    clip.with_name("gone").write_bytes(b"")
    assert codes.can_go_on()


def test_a_part_of_a_clip_leaves_no_codes(clip: Path) -> None:
    codes = clip.with_name("c.safetensors")
    assert vidinv("run", clip, "--edit", "age+2", "--preview", "--at", "0", "--codes", codes) == 2
    assert not left_behind(clip.parent, but={"in.mp4"})


def test_an_interrupted_inversion_resumes_to_the_same_codes(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=20)
    changes = ["backend=tiny", "crop=64", *(key for key in STEPS if key != "--set"), "segment_seconds=0.2"]
    settings = configs.load_run_config("balanced", changes)
    whole, killed = tmp_path / "whole.safetensors", tmp_path / "killed.safetensors"
    video_job.run(Request(source, whole, settings, codes=whole, only_codes=True))
    stopped = Stopped(20 + 11)  # frames analysed, frames inverted
    with pytest.raises(KeyboardInterrupt):
        video_job.run(Request(source, killed, settings, codes=killed, only_codes=True), stopped)
    assert not killed.exists()
    video_job.run(Request(source, killed, settings, codes=killed, only_codes=True))
    assert killed.read_bytes() == whole.read_bytes() and left_behind(tmp_path, but={"in.mp4"}) == {
        "whole.safetensors",
        "killed.safetensors",
    }


TUNE = [
    *("--tune", "encoder", "--set", "tuning.steps=8", "--set", "tuning.rate=0.001", "--set", "tuning.faces=5"),
    *("--set", "tuning.cache=false"),  # each test tunes for itself
]


def test_a_tuned_encoder_gives_other_codes_and_says_so(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, tuned, again = (clip.with_name(f"{name}.codes") for name in ("plain", "tuned", "again"))
    assert vidinv("invert", clip, "-o", plain) == vidinv("invert", clip, "-o", tuned, *TUNE) == 0
    assert vidinv("invert", clip, "-o", again, *TUNE, "--json", clip.with_name("again.json")) == 0
    assert not torch.equal(CodeReader(plain).get(0, 0).feature, CodeReader(tuned).get(0, 0).feature)
    assert tuned.read_bytes() == again.read_bytes()
    assert json.loads(clip.with_name("again.json").read_text())["output"]["tune"] == "encoder"
    edit = ("run", clip, "--edit", "age+2", "-o", clip.with_name("out.mp4"), "--codes", tuned)
    assert vidinv(*edit) == 2 and "made with tune=encoder and not none" in capsys.readouterr().err
    assert vidinv(*edit, *TUNE) == 0
    assert not list(clip.parent.glob("*.vidinv"))


@pytest.mark.slow
def test_a_job_stopped_while_it_tunes_or_after_goes_on_to_the_same_codes(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "in.mp4", frames=20)
    changes = ["backend=tiny", "crop=64", *(key for key in STEPS if key != "--set"), "segment_seconds=0.2"]
    settings = configs.load_run_config(
        "balanced", [*changes, "tune=encoder", *TUNE[3::2], "tuning.held=0"]
    )  # to the end
    whole = tmp_path / "whole.safetensors"
    video_job.run(Request(source, whole, settings, codes=whole, only_codes=True))
    for after in (20 + 20, 20 + 32 + 11):  # frames analysed, faces tuned on, frames inverted
        killed = tmp_path / f"killed{after}.safetensors"
        request = Request(source, killed, settings, codes=killed, only_codes=True)
        with pytest.raises(KeyboardInterrupt):
            video_job.run(request, Stopped(after))
        video_job.run(request)
        assert killed.read_bytes() == whole.read_bytes()


def own_encoder(path: Path, seed: int) -> Path:
    tiny = mobile_stylegan.tiny()
    torch.manual_seed(seed)
    state = encoder_file.build_encoder("light", tiny, 16).state_dict()
    return encoder_file.write_encoder(path, state, encoder_file.EncoderFacts("light", tiny.space, 16))


def test_codes_are_of_one_encoder(clip: Path, capsys: pytest.CaptureFixture[str]) -> None:
    encoder = own_encoder(clip.with_name("my #1 [x].safetensors"), seed=3)
    shipped, own = clip.with_name("shipped.codes"), clip.with_name("own.codes")
    assert vidinv("invert", clip, "-o", shipped) == vidinv("invert", clip, "-o", own, "--encoder", encoder) == 0
    assert not torch.equal(CodeReader(shipped).get(0, 0).ws, CodeReader(own).get(0, 0).ws)
    edit = ("run", clip, "--edit", "age+2", "-o", clip.with_name("out.mp4"))
    assert vidinv(*edit, "--codes", shipped, "--encoder", encoder) == 2
    assert vidinv(*edit, "--codes", own) == 2
    assert capsys.readouterr().err.count("were made with another encoder") == 2
    assert vidinv(*edit, "--codes", own, "--encoder", encoder) == 0


def test_a_job_is_not_continued_with_another_encoder(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = own_encoder(clip.with_name("encoder.safetensors"), seed=3)
    out = clip.with_name("out.mp4")
    command = ("run", clip, "--edit", "age+2", "-o", out, "--encoder", encoder, "--set", "segment_seconds=0.2")
    with monkeypatch.context() as patched:
        patched.setattr(video_job.finalize, "finish", interrupt)
        assert vidinv(*command) == 130
    own_encoder(encoder, seed=4)
    assert vidinv(*command) == 2
    own_encoder(encoder, seed=3)
    assert vidinv(*command) == 0


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt
