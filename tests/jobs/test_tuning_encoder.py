"""Which faces an encoder is tuned to, and what it is then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.helpers.tuning_clips import TRACKS, clip_of, track
from vidinv import config as configs
from vidinv.backends import registry as backends
from vidinv.bench.synthetic_clip import make_clip
from vidinv.encoders import encoder_file
from vidinv.errors import OutputUnwritable, VidinvError
from vidinv.frames import Shot
from vidinv.generators import mobile_stylegan
from vidinv.generators.ops import resize
from vidinv.jobs.job_folder import JobFolder
from vidinv.jobs.tuning import common as tuning
from vidinv.jobs.tuning import encoder as encoder_tuning
from vidinv.media import reader
from vidinv.progress import SilentProgress
from vidinv.stages import align, decode
from vidinv.trainers.core.early_stopping import Check, Tuned
from vidinv.trainers.feature_style import fit_to_clip

pytestmark = pytest.mark.usefixtures("own_cache")


def test_every_track_has_its_share_inside_the_span() -> None:
    wanted = tuning.spread_faces(TRACKS, (2, 12), 6, 64)
    assert sorted(wanted) == [(2, 0), (4, 0), (4, 3), (6, 0), (9, 0), (11, 0)]
    assert set(tuning.spread_faces(TRACKS, (0, 12), 1, 64)) == {(0, 0), (4, 3)}
    assert tuning.spread_faces(TRACKS, (50, 60), 6, 64) == {}


def noted(seen: dict[str, Any]) -> Any:
    """A tuning that adds 1 to every weight, and keeps what it was given in `seen`."""

    def note(encoder: Any, drawing: Any, judges: Any, faces: Tensor, *rest: Any, **options: Any) -> Tuned:
        seen.update(faces=faces, times=seen.get("times", 0) + 1, **options)
        state = {key: value + 1 for key, value in encoder.state_dict().items()}
        return Tuned(state, (Check(0, 2.0, 20.0), Check(40, 1.0, 24.0), Check(80, 1.5, 23.0)))

    return note


def test_it_learns_from_the_crops_that_the_run_will_invert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, models = make_clip(tmp_path / "in.mp4", frames=12), backends.choose_backend("tiny").models("cpu", "")
    size = models.proxy.size
    plan = [(0, 12)]
    frames = reader.read_frames(source, batch=1)
    (work,) = align.build_align_stage(TRACKS, size)(decode.decode(frames, plan, (Shot(0, 12),), plan))
    assert work.faces is not None
    places = list(zip(work.faces.frame.tolist(), work.faces.track.tolist(), strict=True))
    seen: dict[str, Any] = {}
    monkeypatch.setattr(fit_to_clip, "tune", noted(seen))
    clip, config = clip_of(source, TRACKS, 12), configs.load_run_config("best", ["backend=tiny"])
    with JobFolder(tmp_path / "out.mp4") as folder:
        after, said = encoder_tuning.tune_encoder(models, clip, config, folder, SilentProgress())
        again, later = encoder_tuning.tune_encoder(
            models, clip, config, folder, SilentProgress()
        )  # taken from the folder
    assert said is not None and seen["feature_branch"] and seen["times"] == 1 and later == said
    for name, keys in (("faces", said["key_faces"]), ("held", said["held_out"])):
        assert torch.equal(seen[name], work.faces.image[[places.index(tuple(key)) for key in keys]])
    assert len(said["key_faces"]) + len(said["held_out"]) == 15 and len(said["held_out"]) == 3
    assert said["best_step"] == 40 and said["validation"][1] == {"step": 40, "loss": 1.0, "psnr": 24.0}
    before = models.encoder.state_dict()
    for made in (after.encoder, again.encoder):
        assert all(torch.equal(value, before[key] + 1) for key, value in made.state_dict().items())


def test_a_head_that_draws_the_output_teaches_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    source, models = make_clip(tmp_path / "in.mp4", frames=4), backends.choose_backend("tiny").models("cpu", "")
    clip = clip_of(source, (track(0, range(0, 4), 10.0),), 4)
    whole, head = models.generator.sizes[0], models.proxy.size
    for crop, corrected in ((whole, True), (96, False)):
        seen: dict[str, Any] = {}
        monkeypatch.setattr(fit_to_clip, "tune", noted(seen))
        config = configs.load_run_config("best", ["backend=tiny", f"crop={crop}"])
        with JobFolder(tmp_path / f"{crop}.mp4") as folder:
            encoder_tuning.tune_encoder(models, clip, config, folder, SilentProgress())
        assert seen["times"] == 1 and (seen["whole"] is not None) == corrected
    code = models.encoder(torch.zeros(1, 3, head, head))
    drawn = encoder_tuning.build_full_renderer(models)(code.ws, code.feature, code.at)
    torch.testing.assert_close(
        drawn.clamp(-1, 1), resize(models.generator.picture(code, whole), head), atol=0.1, rtol=0
    )


def test_another_edit_of_the_clip_does_not_tune_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    source, models = make_clip(tmp_path / "in.mp4", frames=12), backends.choose_backend("tiny").models("cpu", "")
    seen: dict[str, Any] = {}
    monkeypatch.setattr(fit_to_clip, "tune", noted(seen))
    config = configs.load_run_config("best", ["backend=tiny"])
    others = {
        "same": (clip_of(source, TRACKS, 12), configs.load_run_config("best", ["backend=tiny", "refine.gap=0.2"]), 1),
        "another clip": (clip_of(source, TRACKS, 12, "another"), config, 2),
        "other faces": (clip_of(source, TRACKS[:1], 12), config, 3),
        "longer": (clip_of(source, TRACKS, 12), configs.load_run_config("best", ["backend=tiny", "tuning.steps=7"]), 4),
        "not kept": (
            clip_of(source, TRACKS, 12),
            configs.load_run_config("best", ["backend=tiny", "tuning.cache=false"]),
            5,
        ),
    }
    with JobFolder(tmp_path / "first.mp4") as folder:
        _, said = encoder_tuning.tune_encoder(models, clip_of(source, TRACKS, 12), config, folder, SilentProgress())
    assert said is not None and not said["from_cache"]
    for name, (clip, settings, times) in others.items():
        with JobFolder(tmp_path / f"{name}.mp4") as folder:
            after, said = encoder_tuning.tune_encoder(models, clip, settings, folder, SilentProgress())
        assert seen["times"] == times, name
        assert said is not None and said["from_cache"] == (name == "same")
        first = next(iter(models.encoder.state_dict()))
        assert torch.equal(after.encoder.state_dict()[first], models.encoder.state_dict()[first] + 1)
    tuned = own_cache / "tuned"
    assert tuned.stat().st_mode & 0o777 == 0o700
    kept = list(tuned.iterdir())
    assert len(kept) == tuning.CACHED_TUNINGS and all(path.stat().st_mode & 0o777 == 0o600 for path in kept)


def test_a_damaged_cache_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path) -> None:
    source, models = make_clip(tmp_path / "in.mp4", frames=4), backends.choose_backend("tiny").models("cpu", "")
    seen: dict[str, Any] = {}
    monkeypatch.setattr(fit_to_clip, "tune", noted(seen))
    clip = clip_of(source, (track(0, range(0, 4), 10.0),), 4)
    for times in (1, 2):
        with JobFolder(tmp_path / f"{times}.mp4") as folder:
            encoder_tuning.tune_encoder(
                models, clip, configs.load_run_config("best", ["backend=tiny"]), folder, SilentProgress()
            )
        assert seen["times"] == times
        (kept,) = (own_cache / "tuned").iterdir()
        kept.write_bytes(kept.read_bytes()[:-3])


def test_a_clip_without_faces_changes_nothing(tmp_path: Path) -> None:
    models = backends.choose_backend("tiny").models("cpu", "")
    with JobFolder(tmp_path / "out.mp4") as folder:
        assert encoder_tuning.tune_encoder(
            models,
            clip_of(tmp_path, (), 4),
            configs.load_run_config("best", ["backend=tiny"]),
            folder,
            SilentProgress(),
        ) == (
            models,
            None,
        )


@pytest.mark.parametrize("branch", [True, False])
def test_an_encoder_of_ones_own_is_tuned_with_what_it_has(tmp_path: Path, branch: bool) -> None:
    clip, network = make_clip(tmp_path / "in.mp4", frames=4), mobile_stylegan.tiny()
    torch.manual_seed(3)
    state = encoder_file.build_encoder("light", network, 16).state_dict()
    facts = encoder_file.EncoderFacts("light", network.space, 16, feature_branch=branch)
    own = encoder_file.write_encoder(tmp_path / "own.safetensors", state, facts)
    models = backends.choose_backend("tiny").models("cpu", str(own))
    settings = configs.load_run_config("best", ["backend=tiny", "tuning.steps=2", "tuning.batch=2"])
    with JobFolder(tmp_path / "out.mp4") as folder:
        after, _ = encoder_tuning.tune_encoder(
            models, clip_of(clip, (track(0, range(0, 4), 10.0),), 4), settings, folder, SilentProgress()
        )
        assert not (folder.path / "tuning").exists()
    old, new = models.encoder.state_dict(), after.encoder.state_dict()
    assert old.keys() == new.keys()
    moved = [key.removeprefix("encoder.") for key in old if not torch.equal(old[key], new[key])]
    assert any(key.startswith("style.") for key in moved)
    assert any(key.startswith("feature.") for key in moved) == branch


@pytest.mark.parametrize(
    ("raised", "expected"), [(OSError("no space left"), OutputUnwritable), (VidinvError("not finite"), VidinvError)]
)
def test_a_tuning_that_fails_says_how_to_do_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: Exception, expected: type[VidinvError]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise raised

    monkeypatch.setattr(fit_to_clip, "tune", fail)
    clip, models = make_clip(tmp_path / "in.mp4", frames=4), backends.choose_backend("tiny").models("cpu", "")
    with JobFolder(tmp_path / "out.mp4") as folder, pytest.raises(expected, match="--tune none"):
        encoder_tuning.tune_encoder(
            models,
            clip_of(clip, (track(0, range(0, 4), 10.0),), 4),
            configs.load_run_config("best", ["backend=tiny"]),
            folder,
            SilentProgress(),
        )
