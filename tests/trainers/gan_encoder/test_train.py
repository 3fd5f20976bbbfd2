"""Training a GAN encoder: folds and seeds, what each strategy teaches, that it learns, and that it can be resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.helpers.gan_recipes import TINY
from tests.helpers.interrupted import Stopped
from vidinv import config_loading
from vidinv.backends.tiny import MeanDifference
from vidinv.encoders import encoder_file
from vidinv.errors import UsageError
from vidinv.generators import registry as generators
from vidinv.trainers.gan_encoder import evaluate as gan_evaluate
from vidinv.trainers.gan_encoder import train as gan_encoder
from vidinv.trainers.gan_encoder.config import GanRecipe
from vidinv.trainers.gan_encoder.train import GanEncoderSetup, GanEvaluators


def set_up(recipe: GanRecipe) -> GanEncoderSetup:
    generator = generators.load_generator(recipe.generator)
    return gan_encoder.set_up(gan_encoder.render_context(recipe, generator, GanEvaluators(MeanDifference())))


def test_folds_hold_out_what_no_training_of_theirs_sees() -> None:
    paper = GanRecipe()
    splits = [gan_encoder.split_fold(replace(paper, fold=fold)) for fold in range(7)]
    for seeds, held in splits:
        assert len(held) == 4500 and len(seeds) == 25_500 and not set(seeds) & set(held)
    assert len({tuple(held) for _, held in splits}) == 7
    assert paper.images == 7 * 25_500


@pytest.mark.parametrize("name", config_loading.presets("train/gan_encoder"))
def test_every_shipped_recipe_can_be(name: str) -> None:
    fine = ["photos=some", "start=some"] if "fine" in name else []
    config_loading.load_dataclass(GanRecipe, "train/gan_encoder", name, fine).check()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strategy": "3"}, "choose one of paper, 1, 2"),
        ({"attention": "at2"}, "at1"),
        ({"held_out": 30_000}, "below samples"),
        ({"size": 100}, "multiple of 32"),
        ({"photos": "here"}, "start=FILE"),
        ({"epochs": 0}, "at least 1"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        replace(GanRecipe(), **changes).check()  # type: ignore[arg-type]


def test_the_strategies_weigh_as_the_paper_says() -> None:
    assert GanRecipe().mu == (0.375, 0.625)
    assert GanRecipe(strategy="1").mu == (1, 1) and not GanRecipe(strategy="1").teaches_pixels
    assert GanRecipe(strategy="2").mu == (5, 9) and GanRecipe(strategy="2").teaches_pixels
    assert GanRecipe(attention="none").mu == () and GanRecipe(attention="at1").mu == (0.375,)


def test_a_sample_depends_on_its_seed_alone() -> None:
    context = set_up(TINY).context
    several, one = gan_encoder.draw_samples(context, [5, 9, 2]), gan_encoder.draw_samples(context, [9])
    torch.testing.assert_close(several.image[1:2], one.image, atol=2e-2, rtol=0)  # bfloat16
    torch.testing.assert_close(several.ws[1], one.ws[0])
    whole = gan_encoder.draw_samples(set_up(replace(TINY, truncation=1.0)).context, [9])
    average = context.generator.w_avg
    torch.testing.assert_close(one.ws - average, 0.7 * (whole.ws - average))


@pytest.mark.parametrize("strategy", ["1", "2"])
def test_without_pixels_the_perceptual_part_alone_teaches_the_encoder(strategy: str) -> None:
    norms = {}
    for perceptual in (2.0, 0.0):
        setup = set_up(replace(TINY, strategy=strategy, perceptual=perceptual))
        network = setup.networks["encoder"]
        loss, _ = gan_encoder.losses(network, setup.context, gan_encoder.draw_samples(setup.context, range(4)))
        loss.backward()
        grads = [p.grad.norm() for p in network.parameters() if p.grad is not None]
        norms[perceptual] = float(torch.stack(grads).sum())
    assert norms[2.0] > 0
    assert (norms[0.0] > 0) == (strategy == "2")


def test_only_the_encoder_learns() -> None:
    setup = set_up(TINY)
    loss, _ = gan_encoder.losses(
        setup.networks["encoder"], setup.context, gan_encoder.draw_samples(setup.context, range(4))
    )
    loss.backward()
    assert all(parameter.grad is None for parameter in setup.context.generator.parameters())
    assert setup.encoder.scale.grad.abs().sum() > 0  # the constant is learned


@pytest.mark.parametrize("generator", ["mobile-stylegan-tiny", "stylegan1-tiny", "pggan-tiny", "biggan-tiny"])
def test_thirty_steps_teach_something(generator: str, tmp_path: Path) -> None:
    setup = set_up(replace(TINY, generator=generator, samples=128, latent=0.1))
    held = gan_encoder.split_fold(setup.context.recipe)[1]
    setup.encoder.eval()
    before = gan_evaluate.evaluate_encoder(
        setup.encoder, setup.context, gan_evaluate.sample_batches(setup.context, held)
    )
    setup.encoder.train()
    state = gan_encoder.pretrain(setup, tmp_path)
    setup.encoder.load_state_dict(state)
    after = gan_evaluate.evaluate_encoder(
        setup.encoder.eval(), setup.context, gan_evaluate.sample_batches(setup.context, held)
    )
    assert after["whole"]["psnr"] > before["whole"]["psnr"] and after["whole"]["n"] == 8
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["images"] == 120 and set(lines[-1]) >= {"encoder/mse", "encoder/ssim2", "encoder/latent"}


def test_an_interrupted_training_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = gan_encoder.pretrain(set_up(TINY), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        gan_encoder.pretrain(set_up(TINY), tmp_path / "stopped", Stopped(24))
    later = Stopped(10_000)
    resumed = gan_encoder.pretrain(set_up(TINY), tmp_path / "stopped", later)
    assert later.begun_at == 16
    assert all(torch.equal(resumed[key], value) for key, value in whole.items())


def test_fine_tuning_brings_a_picture_nearer_and_begins_anew_for_each(tmp_path: Path) -> None:
    start = set_up(TINY)
    facts = encoder_file.EncoderFacts("adaptive-tiny", start.context.generator.space, 16, feature_branch=False)
    path = encoder_file.write_encoder(tmp_path / "e.safetensors", start.encoder.state_dict(), facts)
    recipe = replace(TINY, start=str(path), photos="given", steps=20, batch=1, rate=0.003, latent=0.01, ema=0.8)
    faces = gan_encoder.draw_samples(start.context, range(2)).image
    apart = []
    for number in range(2):
        setup = set_up(recipe)
        assert not setup.encoder.training
        state = gan_encoder.fine_tune(setup, faces[number : number + 1], tmp_path / str(number))
        made = []
        for weights in (start.encoder.state_dict(), state):
            setup.encoder.load_state_dict(weights)
            code = setup.encoder.eval()(faces[number : number + 1])
            made.append(float((setup.context.picture(code.ws, code.const) - faces[number]).detach().square().mean()))
        apart.append(made)
        lines = (tmp_path / str(number) / "log.jsonl").read_text().splitlines()
        assert "encoder/latent" in json.loads(lines[-1])
    assert all(after < 0.8 * before for before, after in apart)


def test_photos_are_of_the_class_that_the_recipe_names(tmp_path: Path) -> None:
    recipe = replace(TINY, generator="biggan-tiny", label=2)
    context = set_up(recipe).context
    batch = gan_encoder.photo_batch(context, torch.zeros(2, 3, 32, 32))
    assert batch.c.tolist() == [[0, 0, 1], [0, 0, 1]] and batch.ws.shape == (2, 0, 20)
    setup = set_up(replace(recipe, samples=9, held_out=1))
    assert set(gan_encoder.fine_tune(setup, batch.image, tmp_path)) == set(setup.encoder.state_dict())
    with pytest.raises(UsageError, match="classes 0 to 2"):
        gan_encoder.photo_batch(set_up(replace(recipe, label=3)).context, batch.image)


class Bright(torch.nn.Module):
    """A classifier of one class: how bright a picture is."""

    def maps(self, image: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(image.mean(1, keepdim=True), 4).clamp(min=0)

    def scores(self, maps: Tensor) -> Tensor:
        return maps.square().mean((2, 3))


def test_heat_maps_teach_where_regions_are_not_aligned() -> None:
    recipe = replace(TINY, regions="heat", mse=1.0, cos=0.0, perceptual=0.0, ssim=0.0)
    evaluators = GanEvaluators(MeanDifference(), Bright())
    setup = gan_encoder.set_up(
        gan_encoder.render_context(recipe, generators.load_generator(recipe.generator), evaluators)
    )
    loss, parts = gan_encoder.losses(
        setup.networks["encoder"], setup.context, gan_encoder.draw_samples(setup.context, range(4))
    )
    assert set(parts) == {"mse", "cos", "mse1", "cos1", "mse2", "cos2"} and parts["mse1"] > 0
    (slope,) = torch.autograd.grad(parts["mse1"], setup.encoder.trunk.from_rgb.weight, retain_graph=True)
    assert slope.abs().max() > 0
    loss.backward()
