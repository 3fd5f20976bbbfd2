"""The automodulator: who learns from which step, the losses' known values, growing, and resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from tests.helpers.automodulator_recipes import TINY, recipe
from tests.helpers.keyed_data import Stop
from tests.helpers.quiet_training import Quiet
from vidinv.errors import UsageError
from vidinv.generators import automodulator as generators
from vidinv.media.picture_file import read_rgb
from vidinv.trainers.automodulator import growing, losses
from vidinv.trainers.automodulator import train as automodulator
from vidinv.trainers.automodulator.losses import GrowingBatch
from vidinv.trainers.automodulator.train import GrowingPictures
from vidinv.trainers.core import loop
from vidinv.trainers.core.step_random import StepRandom
from vidinv.trainers.data.step_sampler import SampleKey
from vidinv.trainers.data.toy_images import Blobs


def setup_at(side: int, **changes: Any) -> automodulator.AutomodulatorSetup:
    own = recipe(first=side, size=side, **changes)
    return automodulator.set_up(own, own.stages[0])


def batch(side: int, share: float = 1.0) -> GrowingBatch:
    return GrowingBatch(Blobs(side).draw(8, 0), torch.tensor(share))


def functions(network: generators.Automodulator) -> losses.Decode:
    def decode(ws: Tensor, stop: int | None = None) -> Tensor:
        return network.synthesize(ws, stop=stop)

    return decode


@pytest.mark.parametrize(("step", "taught"), [("encoder", {"E", "robust"}), ("decoder", {"G"})])
def test_each_step_teaches_its_own_side_alone(step: str, taught: set[str], tmp_path: Path) -> None:
    setup = setup_at(8)
    before = {n: {k: v.clone() for k, v in net.named_parameters()} for n, net in setup.networks.items()}
    chosen = [each for each in setup.steps if each.name == step]
    plan = replace(setup.plan, images=8, save_every=10**9)
    loop.train(setup.networks, chosen, GrowingPictures(Blobs(8), setup.stage, 0.0), plan, tmp_path, progress=Quiet())
    moved = {
        n for n, net in setup.networks.items() if any((p != before[n][k]).any() for k, p in net.named_parameters())
    }
    assert moved == taught


def test_beyond_the_margin_the_encoder_learns_to_reconstruct_alone() -> None:
    """max(-M, KL(E(x)) - KL(E(x^))): the sign that clips, and which of both is pushed where."""
    setup = setup_at(8, reconstruction=0.0)
    encoder = setup.networks["E"]

    def slope(margin: float) -> float:
        encoder.zero_grad()
        own = losses.AutomodulatorLosses(setup.recipe, margin, setup.generator.num_ws)
        total, parts = own.encoder(setup.networks, batch(8), StepRandom(0))
        if total.requires_grad:
            total.backward()
        kept = [p.grad.norm() for p in encoder.parameters() if p.grad is not None]
        assert torch.allclose(total, (parts["real"] - parts["fake"]).clamp(min=-margin))
        return float(torch.stack(kept).sum()) if kept else 0.0

    _, parts = losses.AutomodulatorLosses(setup.recipe, 9.0, setup.generator.num_ws).encoder(
        setup.networks, batch(8), StepRandom(0)
    )
    ahead = float((parts["fake"] - parts["real"]).detach())
    assert slope(abs(ahead) + 1) > 0 and (ahead <= 0 or slope(ahead / 2) == 0)


def test_the_layer_loss_is_0_when_the_encoder_says_z_a_and_not_otherwise() -> None:
    network = generators.tiny()
    a, b = (network.sample(3, seed=seed) for seed in (1, 2))
    for block in range(1, 5):
        mixed = network.synthesize(losses.mixture(a, b, network.num_ws, block))
        decode = functions(network)
        assert losses.layer_loss(decode, lambda image: a, a, mixed, network.num_ws, block) == 0
        assert losses.layer_loss(decode, lambda image: b, a, mixed, network.num_ws, block) > 0.01


def test_a_mixture_of_one_code_with_itself_is_plain_decoding() -> None:
    network = generators.tiny()
    a, b = (network.sample(2, seed=seed) for seed in (1, 2))
    plain = network.synthesize(losses.rows(a, network.num_ws))
    for block in range(1, 5):
        torch.testing.assert_close(network.synthesize(losses.mixture(a, a, network.num_ws, block)), plain)
    torch.testing.assert_close(network.synthesize(losses.mixture(a, b, network.num_ws, 4)), plain)
    assert not torch.allclose(network.synthesize(losses.mixture(a, b, network.num_ws, 1)), plain)


def test_the_mirror_loss_of_one_code_twice_is_plain_reconstruction() -> None:
    network = generators.tiny(extra=True)
    z, wanted = network.sample(2, seed=1), torch.rand(2, 3, 32, 32)
    found = losses.mirror_loss(functions(network), z, z, wanted, network.num_ws, functional.mse_loss)
    torch.testing.assert_close(found, functional.mse_loss(network.synthesize(losses.rows(z, network.num_ws)), wanted))
    other = network.sample(2, seed=2)
    crossed = losses.mirror_loss(functions(network), z, other, wanted, network.num_ws, functional.mse_loss)
    canvas = network.synthesize(losses.rows(other, network.num_ws), stop=3)  # 4x4 and the first 8x8
    image = network.synthesize(losses.rows(z, network.num_ws), start=4, canvas=canvas)
    torch.testing.assert_close(crossed, functional.mse_loss(image, wanted))


def test_a_quarter_of_the_samples_are_mixtures_and_their_block_is_any() -> None:
    setup = setup_at(8)
    own = losses.AutomodulatorLosses(setup.recipe, 0.5, setup.generator.num_ws)
    blocks = set()
    for seed in range(30):
        random = StepRandom(seed)
        made = own._samples(own._of(setup.networks, batch(8), random)[0], 8, random)
        assert len(made.image) == len(made.z) == 8 and int(made.is_mixed.sum()) == 2
        blocks.add(made.block)
    assert blocks == {1, 2}


def test_a_stage_begins_with_the_pictures_of_the_one_before() -> None:
    own = recipe()
    small = automodulator.set_up(own, own.stages[0])
    wide = automodulator.set_up(own, own.stages[1], small)
    for network in (*small.networks.values(), *wide.networks.values()):
        network.eval()
    z = functional.normalize(torch.randn(3, 8), dim=1)
    before = small.networks["G"](losses.rows(z, 2))
    after = wide.networks["G"](losses.rows(z, 4), 0.0)
    torch.testing.assert_close(after, functional.interpolate(before, (8, 8), mode="bilinear", align_corners=False))
    assert not torch.allclose(wide.networks["G"](losses.rows(z, 4), 0.5), after)
    image = Blobs(8).draw(3, 0)
    torch.testing.assert_close(
        wide.networks["E"](image, 0.0), small.networks["E"](functional.avg_pool2d(image, 2)), rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(wide.networks["robust"].alpha[0, :2], small.networks["robust"].alpha[0, :1].expand(2))


def test_a_block_comes_in_over_its_share_of_the_stage_and_pictures_sharpen_with_it() -> None:
    assert [automodulator.fade_in_share(seen, 100, 0.5) for seen in (0, 25, 50, 75)] == [0.0, 0.5, 1.0, 1.0]
    assert automodulator.fade_in_share(0, 100, 0.0) == 1.0
    image = torch.rand(1, 3, 8, 8)
    dull = automodulator.blend_resolutions(image, 0.0)
    torch.testing.assert_close(functional.avg_pool2d(dull, 8), functional.avg_pool2d(image, 8))
    assert torch.equal(automodulator.blend_resolutions(image, 1.0), image)
    torch.testing.assert_close(automodulator.blend_resolutions(image, 0.5), (image + dull) / 2)


def test_a_sample_grid_is_as_sharp_as_what_is_trained_just_then(tmp_path: Path) -> None:
    automodulator.train(recipe(fade=1.0), Blobs, tmp_path, progress=Quiet())
    image = Blobs(8).draw(automodulator.SHOWN, 7)
    for seen, share in ((8, 0.0), (24, 0.5)):  # of 32; after the turns that began at 0 and 16
        grid = read_rgb(tmp_path / "stage-0008" / f"samples-{seen:08d}.png")
        row = torch.from_numpy(grid[:8]).unflatten(1, (automodulator.SHOWN, 8)).permute(1, 3, 0, 2).float()
        wanted = (automodulator.blend_resolutions(image, share).clamp(-1, 1) + 1) * 127.5
        torch.testing.assert_close(row, wanted, rtol=0, atol=1.0)


@pytest.mark.slow
def test_new_parts_that_settled_do_what_stands_in_for_them_and_the_old_ones_stay(tmp_path: Path) -> None:
    own = recipe(size=16, first=8, channel_max=16, w_dim=16, images=(8, 8), settle=2400)
    small = automodulator.set_up(own, own.stages[0])
    wide = automodulator.set_up(own, own.stages[1], small)
    new = {id(value) for value in growing.new_parts(wide.generator, wide.encoder).parameters()}
    parts = {k: v for name in ("G", "E") for k, v in wide.networks[name].named_parameters(prefix=name)}
    before = {key: value.detach().clone() for key, value in parts.items()}
    errors = [_apart(wide)]
    automodulator.train_new_blocks(wide, Blobs(16), tmp_path, Quiet())
    errors.append(_apart(wide))
    assert all(after < 0.25 * before for before, after in zip(*errors, strict=True)), errors
    moved = {key for key, value in parts.items() if not torch.equal(value, before[key])}
    assert moved == {key for key, value in parts.items() if id(value) in new}
    assert not any("before" in key or "last" in key for key in moved)


@pytest.mark.parametrize("half", [False, True])
def test_every_new_part_is_taught_in_either_precision(half: bool) -> None:
    own = recipe()
    wide = automodulator.set_up(own, own.stages[1], automodulator.set_up(own, own.stages[0]))
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss, _ = growing.new_block_loss(wide.networks, batch(8), StepRandom(0))
    loss.backward()
    taught = [float(value.grad.abs().max()) for value in growing.new_parts(wide.generator, wide.encoder).parameters()]
    assert all(taught)


def test_both_blocks_of_8x8_are_new_at_8_pixels() -> None:
    own = recipe(extra=True)
    wide = automodulator.set_up(own, own.stages[1], automodulator.set_up(own, own.stages[0]))
    new = {id(value) for value in growing.new_parts(wide.generator, wide.encoder).parameters()}
    found = {key.split(".")[1] for key, value in wide.generator.named_parameters() if id(value) in new}
    assert found == {"1", "2", "weight", "bias"}  # blocks, and the way to RGB


@torch.no_grad()
def _apart(setup: automodulator.AutomodulatorSetup) -> tuple[float, float]:
    """Squared error of drawn pictures, and 1 - cosine of codes, with the new parts wholly in against not at all."""
    z = functional.normalize(torch.randn(32, setup.recipe.w_dim, generator=torch.Generator().manual_seed(5)), dim=1)
    ws = losses.rows(z, setup.generator.num_ws)
    decode, encode = setup.networks["G"].eval(), setup.networks["E"].eval()
    wanted, image = decode(ws, 0.0), Blobs(setup.stage.side).draw(32, 99)
    error = functional.mse_loss(decode(ws, 1.0), wanted) / wanted.var()
    code = 1 - functional.cosine_similarity(encode(image, 0.0), encode(image, 1.0)).mean()
    decode.train(), encode.train()
    return float(error), float(code)


@pytest.mark.parametrize(("settle", "halts_at"), [(0, 5), (32, 4), (32, 6), (32, 9)])
def test_an_interrupted_training_ends_with_the_weights_of_one_that_was_not(
    settle: int, halts_at: int, tmp_path: Path
) -> None:
    """It is at the `halts_at`-th draw of the second stage, those for sample grids among them, and of its block."""
    own, drawn = recipe(settle=settle), list[Sequence[SampleKey]]()

    class Stopping(Blobs):
        def batch(self, keys: Sequence[SampleKey]) -> Tensor:
            if self.size == 8:
                drawn.append(keys)
                if len(drawn) == halts_at:
                    raise Stop
            return super().batch(keys)

    whole = automodulator.train(own, Blobs, tmp_path / "whole", progress=Quiet())
    with pytest.raises(Stop):
        automodulator.train(own, Stopping, tmp_path / "parts", progress=Quiet())
    again = automodulator.train(own, Blobs, tmp_path / "parts", progress=Quiet())
    for one, other in zip(whole, again, strict=True):
        kept = other.state_dict()
        assert kept and all(torch.equal(value, kept[key]) for key, value in one.state_dict().items())


def test_what_cannot_be_is_refused_and_the_last_entry_holds_for_the_rest() -> None:
    assert [(stage.side, stage.margin, stage.rate) for stage in replace(TINY, size=64).stages] == [
        *((4, 2.0, 5e-4), (8, 2.0, 5e-4), (16, 0.5, 5e-4), (32, 0.5, 5e-4), (64, 0.5, 1e-3))
    ]
    for changes, match in (
        ({"distance": "l3"}, "robust, l1, l2"),
        ({"size": 48}, "size=48"),
        ({"mirror": 1.0}, "extra=true"),
        ({"batches": (2,)}, "at least 4"),
        ({"settle": -1}, "settle=-1"),
    ):
        with pytest.raises(UsageError, match=match):
            recipe(**changes).check()


@pytest.mark.slow
def test_with_the_published_scale_it_learns_to_reconstruct_what_it_never_saw(tmp_path: Path) -> None:
    """The decoder never sees a reconstruction's error: it learns from the codes of its samples alone."""
    own = recipe(
        first=8,
        channel_max=16,
        w_dim=16,
        images=(16 * 250,),
        batches=(16,),
        rates=(4e-3,),
        margins=(0.5,),
        divergence=0.1,
        code=0.195,
        reconstruction=0.4,
        ema=0.99,
        save_every=10**9,
    )
    decoder, encoder = automodulator.train(own, Blobs, tmp_path, progress=Quiet())
    image = Blobs(8).draw(64, 10**9)
    flat = image.mean((0, 2, 3), keepdim=True).expand_as(image)
    apart = (decoder.synthesize(encoder(image).ws) - image).square().mean()
    assert apart < 0.7 * (flat - image).square().mean()
