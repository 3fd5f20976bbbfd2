"""The residual encoder: untrained it is its first encoder; its looks see what the generator drew; only they learn."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidinv.encoders import encoder_file, residual_encoder
from vidinv.encoders.encoder_file import EncoderFacts
from vidinv.encoders.residual_encoder import ResidualEncoder
from vidinv.generators import mobile_stylegan
from vidinv.generators.base import Generator


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        yield


@pytest.fixture(scope="module")
def generator() -> Generator:
    return mobile_stylegan.tiny()


@pytest.fixture
def encoder(generator: Generator) -> ResidualEncoder:
    return residual_encoder.for_generator(generator).eval()


def faces(generator: Generator, count: int) -> Tensor:
    with torch.no_grad():
        return generator.synthesize(generator.broadcast(generator.sample(count, seed=3)))


def moved(encoder: ResidualEncoder) -> ResidualEncoder:
    """The encoder with a correction that does something."""
    for last in (encoder.correction.to_feature, encoder.correction.style.shared):
        torch.nn.init.normal_(last.weight, std=0.05)
    return encoder


def test_untrained_it_gives_the_codes_of_its_first_encoder(encoder: ResidualEncoder, generator: Generator) -> None:
    x = faces(generator, 2)
    code, first = encoder(x), encoder.first(x)
    assert torch.equal(code.ws, first.ws) and torch.equal(code.feature, first.feature)
    assert code.space == generator.space and code.at == generator.layer_at(16)


def test_a_look_sees_what_the_generator_drew(encoder: ResidualEncoder, generator: Generator) -> None:
    """Another picture y of the same codes gives another correction."""
    x, moving = faces(generator, 2), moved(encoder)
    before = moving(x)
    drawing = moving._drawing[0]
    moving._drawing = (_Darker(drawing),)  # type: ignore[assignment]
    after = moving(x)
    assert not torch.allclose(before.feature, after.feature) and not torch.allclose(before.ws, after.ws)


class _Darker:
    def __init__(self, drawing: residual_encoder.Drawing) -> None:
        self.generator, self._drawing = drawing.generator, drawing

    def picture(self, *args: object) -> Tensor:
        return self._drawing.picture(*args) - 0.5  # type: ignore[arg-type]


def test_every_look_begins_where_the_one_before_ended(encoder: ResidualEncoder, generator: Generator) -> None:
    x, moving = faces(generator, 1), moved(encoder)
    moving.looks = 1
    once = moving(x)
    moving.looks = 2
    twice = moving(x)
    resized = residual_encoder.resize(x, moving.input_size)
    assert torch.allclose(twice.feature, moving._corrected(once, resized).feature, atol=1e-6)
    assert not torch.allclose(twice.feature, once.feature)


def test_only_the_correction_learns(encoder: ResidualEncoder, generator: Generator) -> None:
    """The first encoder keeps its weights and its batch statistics; every weight of the correction gets a gradient."""
    known = deepcopy(encoder.first.state_dict())
    moving = moved(encoder).train()
    code = moving(faces(generator, 4))
    (code.ws.square().mean() + code.feature.square().mean()).backward()
    assert all(value.grad is None for value in moving.first.parameters())
    without = [name for name, value in moving.correction.named_parameters() if value.grad is None]
    assert without == []
    assert all(torch.equal(value, known[key]) for key, value in moving.first.state_dict().items())


def test_it_learns_to_draw_faces_better_than_its_first_encoder(encoder: ResidualEncoder, generator: Generator) -> None:
    x, drawing = faces(generator, 4), encoder._drawing[0]
    at = generator.layer_at(16)

    def error() -> Tensor:
        code = encoder(x)
        return functional.mse_loss(generator.synthesize(code.ws, feature=code.feature, at=at), x)

    before = float(error().detach())
    optimiser = torch.optim.Adam(encoder.correction.parameters(), lr=3e-3)
    encoder.train()
    for _ in range(40):
        optimiser.zero_grad()
        error().backward()
        optimiser.step()
    encoder.eval()
    assert float(error().detach()) < 0.5 * before
    assert drawing.generator is generator


def test_a_copy_has_its_own_correction_and_draws_by_the_same_generator(
    encoder: ResidualEncoder, generator: Generator
) -> None:
    x, copy = faces(generator, 1), deepcopy(moved(encoder))
    assert torch.equal(copy(x).feature, encoder(x).feature)
    torch.nn.init.zeros_(copy.correction.to_feature.weight)
    assert not torch.equal(copy(x).feature, encoder(x).feature)
    assert copy._drawing[0] is encoder._drawing[0]


def test_while_it_trains_the_number_of_looks_varies(encoder: ResidualEncoder, generator: Generator) -> None:
    x, moving = faces(generator, 1), moved(encoder).train()
    codes = [moving(x).feature for _ in range(12)]
    assert len({float(code.detach().sum()) for code in codes}) > 1
    moving.eval()
    assert torch.equal(moving(x).feature, moving(x).feature)


def test_its_file_gives_the_same_codes(encoder: ResidualEncoder, generator: Generator, tmp_path: Path) -> None:
    made = moved(encoder).half().float()
    facts = EncoderFacts("residual", generator.space, 16)
    path = encoder_file.write_encoder(tmp_path / "encoder.safetensors", made.state_dict(), facts)
    read = encoder_file.read_encoder(path, generator)
    x = faces(generator, 2)
    assert torch.allclose(read(x).ws, made(x).ws, atol=1e-4)
    assert torch.allclose(read(x).feature, made(x).feature, atol=1e-4)
    assert not any(key.startswith("generator") for key in made.state_dict())
