"""An encoder tuned to a few faces inverts them better, keeps w+ where told, and forgets nothing when interrupted."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.helpers.interrupted import Stopped
from tests.helpers.tuning_recipes import TUNING
from vidinv.backends.tiny import guides
from vidinv.encoders import registry as encoders
from vidinv.encoders.base import Encoder
from vidinv.generators import mobile_stylegan
from vidinv.trainers.feature_style.fit_to_clip import tune
from vidinv.trainers.feature_style.losses import Evaluators, RenderNetworks

JUDGES = Evaluators(guides().identity, guides().perceptual, None)


@pytest.fixture(scope="module")
def renderer() -> RenderNetworks:
    network = mobile_stylegan.tiny()

    def render(ws: Tensor, feature: Tensor | None = None, at: int | None = None) -> Tensor:
        return network.synthesize(ws, feature=feature, at=at)

    return RenderNetworks(network, render, 2, torch.ones(1))


@pytest.fixture(scope="module")
def faces(renderer: RenderNetworks) -> Tensor:
    network = mobile_stylegan.tiny()
    return network.synthesize(network.broadcast(network.sample(6, seed=9))).clamp(-1, 1)


def inverted(
    encoder: Encoder, state: dict[str, Tensor], renderer: RenderNetworks, faces: Tensor
) -> tuple[Tensor, Tensor]:
    """w+ of the faces by an encoder in `state`, and the squared error of G(w, F)."""
    other = deepcopy(encoder)
    other.load_state_dict(state)
    with torch.no_grad():
        code = other(faces)
        error = (renderer.render(code.ws, code.feature, renderer.at) - faces).square().mean()
    return code.ws, error


def test_a_tuned_encoder_inverts_its_faces_better(renderer: RenderNetworks, faces: Tensor, tmp_path: Path) -> None:
    encoder = encoders.load_encoder("feature-style-tiny")
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    state = tune(encoder, renderer, JUDGES, faces, TUNING, tmp_path).state
    _, was = inverted(encoder, before, renderer, faces)
    _, now = inverted(encoder, state, renderer, faces)
    assert now < 0.9 * was
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items()), "it tunes a copy"
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    statistics = [key for key in before if "running" in key]
    assert statistics and all(torch.equal(state[key], before[key]) for key in statistics)


def test_w_stays_where_it_was_when_it_is_kept(renderer: RenderNetworks, faces: Tensor, tmp_path: Path) -> None:
    encoder = encoders.load_encoder("feature-style-tiny")
    moved = {}
    first, _ = inverted(encoder, encoder.state_dict(), renderer, faces)
    for keep in (0.0, 100.0):
        state = tune(encoder, renderer, JUDGES, faces, replace(TUNING, w_reg=keep), tmp_path / str(keep)).state
        moved[keep] = float((inverted(encoder, state, renderer, faces)[0] - first).norm())
    assert moved[100.0] < 0.5 * moved[0.0]


def test_f_stays_near_what_w_draws_when_it_is_pulled(renderer: RenderNetworks, faces: Tensor, tmp_path: Path) -> None:
    encoder, away = encoders.load_encoder("feature-style-tiny"), {}
    for near in (0.0, 20.0):
        state = tune(encoder, renderer, JUDGES, faces, replace(TUNING, feature_reg=near), tmp_path / str(near)).state
        other = deepcopy(encoder)
        other.load_state_dict(state)
        with torch.no_grad():
            code = other(faces)
            own = renderer.generator.synthesize(code.ws, stop=renderer.at)
        away[near] = float((code.feature - own).square().mean())
    assert away[20.0] < 0.8 * away[0.0]


def test_an_interrupted_tuning_goes_on_as_if_it_had_not_been(
    renderer: RenderNetworks, faces: Tensor, tmp_path: Path
) -> None:
    encoder = encoders.load_encoder("feature-style-tiny")
    whole = tune(encoder, renderer, JUDGES, faces, TUNING, tmp_path / "whole").state
    with pytest.raises(KeyboardInterrupt):
        tune(encoder, renderer, JUDGES, faces, TUNING, tmp_path / "stopped", Stopped(60))
    later = Stopped(10_000)
    resumed = tune(encoder, renderer, JUDGES, faces, TUNING, tmp_path / "stopped", later).state
    assert later.begun_at == 48  # the second checkpoint of four
    assert all(torch.equal(resumed[key], value) for key, value in whole.items())


def test_nothing_to_tune_to_is_refused(renderer: RenderNetworks, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="tuned to faces"):
        tune(encoders.load_encoder("feature-style-tiny"), renderer, JUDGES, torch.zeros(0, 3, 64, 64), TUNING, tmp_path)


def test_held_out_faces_choose_the_weights(renderer: RenderNetworks, faces: Tensor, tmp_path: Path) -> None:
    encoder = encoders.load_encoder("feature-style-tiny")
    made = tune(encoder, renderer, JUDGES, faces[:4], TUNING, tmp_path, held=faces[4:])
    assert [check.step for check in made.curve] == [0, 4, 8, 12, 16, 20, 24]
    assert made.best is not None and made.best.step > 0 and made.best.loss < made.curve[0].loss
    _, error = inverted(encoder, made.state, renderer, faces[4:])
    assert made.best.psnr == pytest.approx(float(10 * torch.log10(4 / error)), abs=0.1)  # bfloat16 there


def test_it_stops_when_the_held_out_faces_gain_nothing(renderer: RenderNetworks, faces: Tensor, tmp_path: Path) -> None:
    encoder = encoders.load_encoder("feature-style-tiny")
    told = Stopped(10_000)
    made = tune(encoder, renderer, JUDGES, faces, replace(TUNING, rate=1e-12), tmp_path, told, held=faces)
    assert [check.step for check in made.curve] == [0, 4, 8] and told.left == 10_000 - 32
    assert all(torch.allclose(made.state[key], value) for key, value in encoder.state_dict().items())


def test_one_that_is_judged_goes_on_as_if_it_had_not_been_interrupted(
    renderer: RenderNetworks, faces: Tensor, tmp_path: Path
) -> None:
    encoder = encoders.load_encoder("feature-style-tiny")
    whole = tune(encoder, renderer, JUDGES, faces[:4], TUNING, tmp_path / "whole", held=faces[4:])
    with pytest.raises(KeyboardInterrupt):
        tune(encoder, renderer, JUDGES, faces[:4], TUNING, tmp_path / "stopped", Stopped(60), held=faces[4:])
    later = Stopped(10_000)
    resumed = tune(encoder, renderer, JUDGES, faces[:4], TUNING, tmp_path / "stopped", later, held=faces[4:])
    assert later.begun_at == 48 and resumed.curve == whole.curve
    assert all(torch.equal(resumed.state[key], value) for key, value in whole.state.items())
