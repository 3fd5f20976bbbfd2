"""The encoder's training at a tiny size: pool, batches, losses, and that a stopped training goes on as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from vidinv.backends.tiny import guides
from vidinv.encoders import encoder_file, feature_style_light
from vidinv.encoders.base import Encoder
from vidinv.encoders.feature_style_light import TINY_SIZES
from vidinv.errors import UsageError
from vidinv.frames import Code
from vidinv.generators.mobile_stylegan import MobileStyleGAN
from vidinv.generators.proxy import HeadSpec, Proxy, ProxyHead
from vidinv.trainers.augment import degradations
from vidinv.trainers.data import generated_samples
from vidinv.trainers.data.face_batches import FaceSource, FaceTrainingBatch, join_batches
from vidinv.trainers.data.generated_samples import SamplePool
from vidinv.trainers.data.keyed_dataset import ImageDataset
from vidinv.trainers.data.step_sampler import SampleKey, StepBatchSampler
from vidinv.trainers.feature_style import losses as feature_style_losses
from vidinv.trainers.feature_style import train as feature_style
from vidinv.trainers.feature_style.config import FeatureStyleRecipe
from vidinv.trainers.feature_style.losses import Evaluators, RenderNetworks

AT = 2


JUDGES = Evaluators(guides().identity, guides().perceptual, None)


def source(proxy: Proxy, pool: SamplePool | None = None, **changes: Any) -> FaceSource:
    return FaceSource(proxy.generator, proxy, AT, FeatureStyleRecipe(**changes), pool)


@pytest.fixture(scope="module")
def proxy() -> Proxy:
    """A random generator with the 32x32 feature that the head reads, and a random head."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        generator = MobileStyleGAN("small", "small-w", channels=(16, 16, 16, 8), w_dim=16)
        generator.w_avg.copy_(generator.sample(200, seed=1).detach().mean(0))
        return Proxy(generator, ProxyHead(HeadSpec(32, 128, 8, 1, 9, 16))).eval().requires_grad_(False)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(value, b[key]) for key, value in a.items())


def test_pasting_puts_a_rectangle_of_the_neighbour_into_every_second_feature() -> None:
    levels = torch.arange(4.0)[:, None, None, None].expand(4, 3, 16, 16)  # every sample its own level
    for seed in range(20):
        mixed = generated_samples.paste_cells(levels, torch.Generator().manual_seed(seed))
        assert torch.equal(mixed[1::2], levels[1::2])
        for n in (0, 2):
            pasted = mixed[n, 0] != levels[n, 0]
            rows, columns = pasted.any(1).nonzero()[:, 0], pasted.any(0).nonzero()[:, 0]
            box = pasted[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
            assert box.all() and 1 < box.shape[0] <= 8 and 1 < box.shape[1] <= 8
            assert (mixed[n][:, pasted] == levels[n - 1, 0, 0, 0]).all()


def test_a_photometric_change_is_one_of_colour_too() -> None:
    picture = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)).mul(0.4).sub(0.2)
    spread = (picture - picture.mean(1, keepdim=True)).square().mean()
    change = degradations.photometry(200, torch.Generator().manual_seed(2))
    changed = change(picture.expand(200, -1, -1, -1))
    grey, gain = changed.mean(1, keepdim=True), changed.mean(1).std((1, 2)) / picture.mean(1).std()
    tint = (changed - grey).mean((2, 3), keepdim=True) - (picture - picture.mean(1, keepdim=True)).mean(
        (2, 3), keepdim=True
    )
    ratios = ((changed - grey - tint).square().mean((1, 2, 3)) / spread).sqrt() / gain
    assert 0.2 < float(ratios.log().std()) < 0.45, "saturation varies by about exp(0.3 N)"


def test_a_batch_depends_on_its_seed_alone(proxy: Proxy) -> None:
    first = source(proxy).synthetic(4, seed=5)
    torch.rand(3)  # the global generator moves on; the batch must not care
    again, other = source(proxy).synthetic(4, seed=5), source(proxy).synthetic(4, seed=6)
    assert same(vars(first), vars(again))
    assert not torch.equal(first.ws, other.ws) and not torch.equal(first.encoder_input, other.encoder_input)
    assert first.image.shape == first.encoder_input.shape == (4, 3, 128, 128)


def test_an_exact_picture_is_what_its_code_draws(proxy: Proxy) -> None:
    batch = source(proxy).synthetic(8, seed=1)
    assert batch.exact.any() and not batch.exact.all()
    with torch.autocast("cpu", torch.bfloat16):
        drawn = proxy(batch.ws, batch.feature, AT).clamp(-1.1, 1.1)
    assert torch.equal(drawn[batch.exact], batch.image[batch.exact])


def test_a_covered_face_is_neither_exact_nor_asked_of_w(proxy: Proxy) -> None:
    plain = source(proxy).synthetic(64, seed=3)
    covered = source(proxy, occlude=True, jitter=True, compress=True).synthetic(64, seed=3)
    assert torch.equal(plain.exact, covered.exact), "the same half stays as it was"
    lost = plain.w_suffices & ~covered.w_suffices
    assert 4 <= int(lost.sum()) <= 16 and not (lost & covered.exact).any()
    assert torch.equal(plain.image[plain.exact], covered.image[plain.exact])
    assert not torch.equal(plain.image, covered.image)


@pytest.fixture(scope="module")
def pool(proxy: Proxy, tmp_path_factory: pytest.TempPathFactory) -> SamplePool:
    folder = tmp_path_factory.mktemp("pool")
    generated_samples.draw_pool(proxy.generator, AT, folder, 65, 128)
    return generated_samples.load_pool(folder)


def test_a_pool_holds_codes_with_the_pictures_that_they_draw(proxy: Proxy, pool: SamplePool) -> None:
    assert len(pool) == 2 * generated_samples.SHARD  # whole shards
    pick = torch.arange(6)
    drawn = proxy.generator.synthesize(pool.ws[pick].float(), feature=pool.feature[pick].float(), at=AT, size=32)
    large = functional.interpolate(drawn, 128, mode="bilinear", antialias=True).clamp(-1, 1)
    assert (large - (pool.image[pick].float() / 127.5 - 1)).abs().max() < 0.02
    own = proxy.generator.synthesize(pool.ws[pick].float(), stop=AT)
    unlike = (own - pool.feature[pick].float()).abs().amax((1, 2, 3)) > 5e-3
    assert unlike.tolist() == [True, False] * 3  # every even feature is pasted


def test_a_pool_that_is_there_is_not_drawn_again(proxy: Proxy, tmp_path: Path) -> None:
    generated_samples.draw_pool(proxy.generator, AT, tmp_path, 10, 128)
    (shard,) = tmp_path.iterdir()
    before = shard.stat().st_mtime_ns
    generated_samples.draw_pool(proxy.generator, AT, tmp_path, 10, 128)
    assert shard.stat().st_mtime_ns == before
    with pytest.raises(FileNotFoundError, match="no pool"):
        generated_samples.load_pool(tmp_path / "nowhere")


def test_half_of_a_batch_comes_from_the_pool_and_alternates(proxy: Proxy, pool: SamplePool) -> None:
    batch = source(proxy, pool).synthetic(8, seed=3)
    again = source(proxy, pool).synthetic(8, seed=3)
    assert same(vars(batch), vars(again))
    assert batch.w_suffices.tolist() == [False, True] * 4
    own = proxy.generator.synthesize(batch.ws, stop=AT)
    assert ((own - batch.feature).abs().amax((1, 2, 3)) < 5e-3).tolist() == batch.w_suffices.tolist()
    known = {tuple(row.flatten()[:8].tolist()) for row in pool.ws.float()}
    assert [tuple(ws.flatten()[:8].tolist()) in known for ws in batch.ws] == [False] * 4 + [True] * 4


class Fixed(nn.Module):
    """An encoder that answers with one code."""

    def __init__(self, code: Code) -> None:
        super().__init__()
        self.code = code

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor | None]:
        return self.code.ws, self.code.feature


def test_the_true_code_has_no_error_and_pasted_faces_ask_nothing_of_w(proxy: Proxy) -> None:
    batch = source(proxy).synthetic(8, seed=1)
    with torch.autocast("cpu", torch.bfloat16):  # the losses draw with 8 bits of mantissa too
        drawn = proxy(batch.ws, batch.feature, AT)
    plain = FaceTrainingBatch(**{**vars(batch), "image": drawn, "exact": torch.ones(8).bool()})

    renderer = RenderNetworks(proxy.generator, proxy, AT, torch.ones(1))

    def lose(code: Code) -> tuple[Tensor, dict[str, Tensor]]:
        return feature_style_losses.losses(Fixed(code), renderer, JUDGES, plain, FeatureStyleRecipe())

    total, parts = lose(Code(batch.ws, batch.feature, AT))
    assert float(total) < 2e-3 and parts["id1"] < 1e-3 and parts["id2"] < 1e-3
    elsewhere = batch.ws + ~batch.w_suffices[:, None, None]  # wrong where the feature is pasted
    _, moved = lose(Code(elsewhere, batch.feature, AT))
    assert moved["w"] == 0 and moved["pixel1"] < 1e-5
    _, wrong = lose(Code(batch.ws + 1, batch.feature, AT))
    assert wrong["w"] > 1 and wrong["pixel1"] > 1e-4


def train(
    proxy: Proxy, pool: SamplePool, folder: Path, images: int, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Tensor]:
    """What `vidinv train` does, with a tiny encoder; the same plan, stopped after `images`."""
    monkeypatch.setattr(feature_style, "render_function", lambda generator, size: proxy)
    monkeypatch.setattr(feature_style, "initial_encoder", lambda generator, recipe: tiny_encoder(proxy))
    setup = feature_style.set_up(proxy.generator, FeatureStyleRecipe(images=64, batch=4), JUDGES)
    shorter = replace(setup, plan=replace(setup.plan, images=images, save_every=8))
    return load_file(feature_style.train(shorter, pool, folder))


def tiny_encoder(proxy: Proxy) -> Encoder:
    torch.manual_seed(0)
    return feature_style_light.for_generator(proxy.generator, **TINY_SIZES)


def test_a_training_continued_is_a_training_never_stopped(
    proxy: Proxy, pool: SamplePool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(proxy, pool, tmp_path / "whole", 16, monkeypatch)
    train(proxy, pool, tmp_path / "parts", 8, monkeypatch)
    assert same(whole, train(proxy, pool, tmp_path / "parts", 16, monkeypatch))


def test_the_rate_rises_then_falls_to_three_percent() -> None:
    recipe = FeatureStyleRecipe(images=10_000, batch=8, warmup=400)
    shares = [recipe.schedule(images) for images in range(0, 10_000, 8)]
    assert shares[0] == 8 / 400 and max(shares) > 0.99 and shares[-1] == pytest.approx(0.03, abs=0.01)
    top = shares.index(max(shares))
    assert shares[:top] == sorted(shares[:top]) and shares[top:] == sorted(shares[top:], reverse=True)


class Grey(ImageDataset):
    """Photos that are all alike."""

    def __getitem__(self, key: SampleKey) -> Tensor:
        return torch.full((3, 128, 128), 0.25)


def batch_of(faces: FaceSource, step: int, count: int = 4, rank: int = 0, world_size: int = 1) -> FaceTrainingBatch:
    keys = StepBatchSampler(0, count, length=faces.length, rank=rank, world_size=world_size).keys(step)
    return faces.finish(keys, faces.batch(keys))


@pytest.mark.parametrize("pooled", [False, True])
def test_with_photos_half_a_batch_is_of_them_and_every_flag_is_true(
    proxy: Proxy, pool: SamplePool, pooled: bool
) -> None:
    mixed = replace(source(proxy, pool if pooled else None, degrade=False), photos=Grey())
    for step in range(6):
        batch = batch_of(mixed, step)
        assert batch.synthetic.tolist() == [True, True, False, False]
        assert batch.w_suffices[2:].all() and not batch.exact[2:].any() and (batch.encoder_input[2:] == 0.25).all()
        own = proxy.generator.synthesize(batch.ws[:2], stop=AT)
        clean = (own - batch.feature[:2]).abs().amax((1, 2, 3)) < 5e-3
        assert clean.tolist() == batch.w_suffices[:2].tolist()
    alone = replace(mixed, recipe=FeatureStyleRecipe(synthetic=False, photos="x", w=0, f=0))
    batch = batch_of(alone, 0)
    assert not batch.synthetic.any() and batch.w_suffices.all()


@pytest.mark.parametrize("photos", [None, Grey()])
def test_two_processes_have_the_rows_of_one_bit_for_bit(proxy: Proxy, photos: ImageDataset | None) -> None:
    faces = replace(source(proxy, compress=True), photos=photos)
    whole, halves = batch_of(faces, 3, 8), [batch_of(faces, 3, 8, rank, 2) for rank in range(2)]
    assert same(vars(whole), vars(join_batches(halves)))
    assert not torch.equal(whole.encoder_input[:4], whole.encoder_input[4:]), (
        "every block has random numbers of its own"
    )


def test_a_pool_of_another_layer_or_size_is_refused_before_more_is_drawn(proxy: Proxy, tmp_path: Path) -> None:
    generated_samples.draw_pool(proxy.generator, AT, tmp_path, 1, size=32)
    for at, size in ((AT + 1, 32), (AT, 64)):
        with pytest.raises(UsageError, match="another folder for the pool"):
            generated_samples.draw_pool(proxy.generator, at, tmp_path, 2 * generated_samples.SHARD, size=size)
    assert [path.name for path in tmp_path.iterdir()] == ["00000.safetensors"]


def test_a_training_can_begin_with_the_weights_of_another(proxy: Proxy, tmp_path: Path) -> None:
    other = encoder_file.build_encoder("light", proxy.generator, 16).half().float()  # as stored
    facts = encoder_file.EncoderFacts("light", proxy.generator.space, 16)
    path = encoder_file.write_encoder(tmp_path / "e.safetensors", other.state_dict(), facts)
    encoder = feature_style.initial_encoder(proxy.generator, FeatureStyleRecipe(start=str(path)))
    assert same(encoder.state_dict(), other.state_dict())
    assert encoder.training and all(weight.requires_grad for weight in encoder.parameters())
    with pytest.raises(UsageError, match="but the recipe has"):
        feature_style.initial_encoder(proxy.generator, FeatureStyleRecipe(start=str(path), encoder="published"))
    with pytest.raises(UsageError, match="is a light encoder"):
        FeatureStyleRecipe(start="shipped", encoder="published").check()


def test_a_file_says_whether_the_feature_branch_was_trained() -> None:
    for branch in (True, False):
        said = feature_style.encoder_facts("some-w", FeatureStyleRecipe(feature_branch=branch))
        assert said == encoder_file.EncoderFacts("light", "some-w", 16, branch)


def test_a_training_from_the_shipped_file_learns(proxy: Proxy) -> None:
    encoder = feature_style.initial_encoder(proxy.generator, FeatureStyleRecipe(start="shipped")).eval()
    image = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        aim = encoder(image).ws + 0.1
    losses = []
    optimiser = torch.optim.SGD(encoder.parameters(), lr=1e-3)
    for _ in range(2):
        loss = (encoder(image).ws - aim).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    assert losses[1] < losses[0] and losses[0] == pytest.approx(0.01)


def test_a_training_can_begin_with_the_shipped_weights(monkeypatch: pytest.MonkeyPatch, proxy: Proxy) -> None:
    shipped = tiny_encoder(proxy).eval().requires_grad_(False)
    monkeypatch.setattr(feature_style.encoders, "load_encoder", lambda name: {"feature-style-light": shipped}[name])
    encoder = feature_style.initial_encoder(proxy.generator, FeatureStyleRecipe(start="shipped"))
    assert encoder is shipped and encoder.training and next(encoder.parameters()).requires_grad
