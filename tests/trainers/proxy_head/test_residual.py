"""What a proxy head gets wrong is measured and added, so that a tuning learns what the whole generator shows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.helpers.interrupted import Stopped
from vidinv.backends.tiny import guides
from vidinv.config import TuneConfig
from vidinv.encoders import registry as encoders
from vidinv.generators import mobile_stylegan
from vidinv.trainers.core.early_stopping import Tuned
from vidinv.trainers.feature_style import fit_to_clip
from vidinv.trainers.feature_style.fit_to_clip import tune
from vidinv.trainers.feature_style.losses import Evaluators, RenderNetworks
from vidinv.trainers.proxy_head.residual import load_or_measure, measure_residual

JUDGES = Evaluators(guides().identity, guides().perceptual, None)
TUNING = TuneConfig(steps=24, batch=4, rate=1e-3)
RED = torch.tensor([0.8, 0.0, 0.0])[:, None, None]
NETWORK = mobile_stylegan.tiny()


def whole(ws: Tensor, feature: Tensor | None = None, at: int | None = None) -> Tensor:
    return NETWORK.synthesize(ws, feature=feature, at=at)


def quick(ws: Tensor, feature: Tensor | None = None, at: int | None = None) -> Tensor:
    """The picture, but redder as soon as there is an F."""
    image = whole(ws, feature, at)
    return image if feature is None else image + RED


DRAWING = RenderNetworks(NETWORK, quick, 2, torch.ones(1))


@pytest.fixture(scope="module")
def faces() -> Tensor:
    return NETWORK.synthesize(NETWORK.broadcast(NETWORK.sample(6, seed=9))).clamp(-1, 1)


def tuned(faces: Tensor, folder: Path, shown: Stopped | None = None, *, corrected: bool = True, held: int = 0) -> Tuned:
    encoder = encoders.load_encoder("feature-style-tiny")
    apart = faces[6 - held :] if held else None
    known = whole if corrected else None
    return tune(encoder, DRAWING, JUDGES, faces[: 6 - held], TUNING, folder, shown, held=apart, whole=known)


@torch.no_grad()
def error(made: Tuned, faces: Tensor) -> float:
    """Squared error of the whole generator's pictures."""
    encoder = encoders.load_encoder("feature-style-tiny")
    encoder.load_state_dict(made.state)
    code = encoder(faces)
    return float((whole(code.ws, code.feature, code.at) - faces).square().mean())


def test_the_gap_is_what_the_quick_picture_lacks(faces: Tensor) -> None:
    gap = measure_residual(quick, whole, encoders.load_encoder("feature-style-tiny"), faces)
    torch.testing.assert_close(gap.float(), -RED.expand_as(faces), atol=0.05, rtol=0)  # bfloat16 in the picture


def test_an_encoder_learns_what_the_generator_shows_and_not_the_head(faces: Tensor, tmp_path: Path) -> None:
    right = error(tuned(faces, tmp_path / "corrected"), faces)
    assert right < 0.85 * error(tuned(faces, tmp_path / "head", corrected=False), faces)


def test_held_out_faces_are_judged_by_the_generator(faces: Tensor, tmp_path: Path) -> None:
    made = tuned(faces, tmp_path, held=2)
    assert made.best is not None
    assert made.best.psnr == pytest.approx(float(10 * torch.log10(torch.tensor(4 / error(made, faces[4:])))), abs=0.1)


@pytest.mark.parametrize(  # at a mark, or between two
    ("held", "after"),
    [(2, 40), *(pytest.param(*other, marks=pytest.mark.slow) for other in ((0, 16), (0, 40), (2, 48)))],
)
def test_an_interruption_changes_nothing(faces: Tensor, tmp_path: Path, held: int, after: int) -> None:
    plain = tuned(faces, tmp_path / "whole", held=held)
    with pytest.raises(KeyboardInterrupt):
        tuned(faces, tmp_path / "stopped", Stopped(after), held=held)
    resumed = tuned(faces, tmp_path / "stopped", held=held)
    assert resumed.curve == plain.curve
    assert all(torch.equal(resumed.state[key], value) for key, value in plain.state.items())


def test_a_gap_is_measured_once_for_each_mark(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "gap.safetensors"
    times = []

    def measure() -> Tensor:
        times.append(len(times))
        return torch.full((1, 3, 2, 2), float(len(times)))

    found = [float(load_or_measure(path, step, measure).mean()) for step in (0, 0, 4, 4)]
    assert found == [1, 1, 2, 2] and len(times) == 2 and fit_to_clip.CHECKS > 1
