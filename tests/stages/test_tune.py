"""Which faces an encoder is tuned to, and what it is then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from stages import align, decode, parts, tune
from stages.folder import JobFolder
from tests.clips import make_clip
from trainers import tune_encoder
from vidinv import config as configs
from vidinv.encoders import encoder_file
from vidinv.errors import OutputUnwritable, VidinvError
from vidinv.frames import Shot, Track
from vidinv.generators import mobile_stylegan
from vidinv.media import reader


def track(number: int, frames: range, shift: float) -> Track:
    """A face of 64 pixels, somewhere near the corner."""
    to_frame = np.tile(np.array([[1.0, 0, shift], [0, 1.0, shift]]), (len(frames), 1, 1))
    landmarks = np.zeros((len(frames), 106, 2), np.float32)
    return Track(number, np.array(frames), to_frame, landmarks, np.zeros(1), crop=64)


TRACKS = (track(0, range(0, 12), 10.0), track(3, range(4, 7), 30.0))
TOLD = tune.Told(lambda name, frames, already: None, lambda frames: None)


def test_every_track_has_its_share_inside_the_span() -> None:
    wanted = tune.spread(TRACKS, (2, 12), 6, 64)
    assert sorted(wanted) == [(2, 0), (4, 0), (4, 3), (6, 0), (9, 0), (11, 0)]
    assert set(tune.spread(TRACKS, (0, 12), 1, 64)) == {(0, 0), (4, 3)}
    assert tune.spread(TRACKS, (50, 60), 6, 64) == {}


def test_it_learns_from_the_crops_that_the_run_will_invert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip, models = make_clip(tmp_path / "in.mp4", frames=12), parts.choose("tiny").models("cpu", "")
    size = models.proxy.head.spec.size
    plan = [(0, 12)]
    frames = reader.read(clip, batch=1)
    (work,) = align.build(TRACKS, size)(decode.decode(frames, plan, (Shot(0, 12),), plan))
    assert work.faces is not None
    places = list(zip(work.faces.frame.tolist(), work.faces.track.tolist(), strict=True))
    seen: dict[str, Any] = {}

    def note(encoder: Any, drawing: Any, judges: Any, faces: Tensor, *rest: Any, **options: Any) -> dict[str, Tensor]:
        seen.update(faces=faces, **options)
        return {key: value + 1 for key, value in encoder.state_dict().items()}

    monkeypatch.setattr(tune_encoder, "tune", note)
    wanted = tune.spread(TRACKS, (2, 12), 6, size)
    with JobFolder(tmp_path / "out.mp4") as folder:
        after = tune.tuned(models, clip, wanted, configs.load("best"), folder, TOLD)
        again = tune.tuned(models, clip, {}, configs.load("best"), folder, TOLD)  # taken from the folder
    expected = work.faces.image[[places.index(key) for key in sorted(wanted)]]
    assert torch.equal(seen["faces"], expected) and seen["feature_branch"]
    before = models.encoder.state_dict()
    for made in (after.encoder, again.encoder):
        assert all(torch.equal(value, before[key] + 1) for key, value in made.state_dict().items())


@pytest.mark.parametrize("branch", [True, False])
def test_an_encoder_of_ones_own_is_tuned_with_what_it_has(tmp_path: Path, branch: bool) -> None:
    clip, network = make_clip(tmp_path / "in.mp4", frames=4), mobile_stylegan.tiny()
    torch.manual_seed(3)
    state = encoder_file.build("light", network, 16).state_dict()
    facts = encoder_file.Facts("light", network.space, 16, feature_branch=branch)
    own = encoder_file.write(tmp_path / "own.safetensors", state, facts)
    models = parts.choose("tiny").models("cpu", str(own))
    size = models.proxy.head.spec.size
    settings = configs.load("best", ["tuning.steps=2", "tuning.batch=2"])
    with JobFolder(tmp_path / "out.mp4") as folder:
        wanted = tune.spread((track(0, range(0, 4), 10.0),), (0, 4), 4, size)
        after = tune.tuned(models, clip, wanted, settings, folder, TOLD)
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

    monkeypatch.setattr(tune_encoder, "tune", fail)
    clip, models = make_clip(tmp_path / "in.mp4", frames=4), parts.choose("tiny").models("cpu", "")
    wanted = tune.spread(TRACKS, (0, 4), 4, models.proxy.head.spec.size)
    with JobFolder(tmp_path / "out.mp4") as folder, pytest.raises(expected, match="--tune none"):
        tune.tuned(models, clip, wanted, configs.load("best"), folder, TOLD)
