"""Eq. 1: what an edit does to w+ and to the feature code."""

from __future__ import annotations

import copy

import pytest
import torch

from vidinv.editing import feature_edit
from vidinv.editing.directions import Direction
from vidinv.errors import UsageError
from vidinv.frames import Code
from vidinv.generators import mobile_stylegan
from vidinv.generators.mobile_stylegan import MobileStyleGAN

AT = 2


@pytest.fixture(scope="module")
def network() -> MobileStyleGAN:
    return mobile_stylegan.tiny()


@pytest.fixture(scope="module")
def code(network: MobileStyleGAN) -> Code:
    """A code whose feature is not the one that its own w+ makes."""
    random = torch.Generator().manual_seed(3)
    ws = network.w_avg + 0.5 * torch.randn(2, network.num_ws, network.w_dim, generator=random)
    return Code(ws, network.synthesize(ws.flip(0), stop=AT), AT, space=network.space)


def direction(seed: int, layers: tuple[int, int] = (0, 8), space: str = "mobile-stylegan-tiny-w") -> Direction:
    vector = torch.randn(32, generator=torch.Generator().manual_seed(seed))
    return Direction(f"d{seed}", vector / vector.norm(), deviation=1.3, layers=layers, space=space)


def test_an_edit_is_eq_1(network: MobileStyleGAN, code: Code) -> None:
    move = direction(0, layers=(1, 5))
    made = feature_edit.edit(network, code, [(move, 2.0)])
    exact = copy.deepcopy(network).double()
    w = code.ws.double()
    w_edited = w.clone()
    for row in range(1, 5):
        w_edited[:, row] += 2.0 * 1.3 * move.vector.double()
    shift = exact.synthesize(w_edited, stop=AT) - exact.synthesize(w, stop=AT)
    assert code.feature is not None and made.feature is not None
    assert shift.abs().mean() > 1e-2
    torch.testing.assert_close(made.ws.double(), w_edited, rtol=0, atol=1e-5)
    torch.testing.assert_close(made.feature.double(), code.feature.double() + shift, rtol=0, atol=1e-4)
    assert (made.at, made.space) == (code.at, code.space)


def test_strength_zero_returns_the_same_code(network: MobileStyleGAN, code: Code) -> None:
    assert feature_edit.edit(network, code, [(direction(0), 0.0)]) is code
    assert feature_edit.edit(network, code, []) is code


def test_two_edits_compose_as_their_sum(network: MobileStyleGAN, code: Code) -> None:
    first, second = (direction(0), 1.5), (direction(1, layers=(0, 4)), -1.0)
    together = feature_edit.edit(network, code, [first, second])
    assert together.feature is not None
    sums = code.ws + first[0].offset(1.5, 8) + second[0].offset(-1.0, 8)
    torch.testing.assert_close(together.ws, sums)
    in_turn = feature_edit.edit(network, feature_edit.edit(network, code, [first]), [second])
    turned = feature_edit.edit(network, code, [second, first])
    for other in (in_turn, turned):
        torch.testing.assert_close(other.ws, together.ws)
        torch.testing.assert_close(other.feature, together.feature, rtol=0, atol=1e-4)


def test_a_code_without_a_feature_moves_in_w_alone(network: MobileStyleGAN, code: Code) -> None:
    made = feature_edit.edit(network, Code(code.ws, space=code.space), [(direction(0), 1.0)])
    assert made.feature is None
    torch.testing.assert_close(made.ws, code.ws + direction(0).offset(1.0, 8))


def test_a_direction_of_another_space_is_a_usage_error(network: MobileStyleGAN, code: Code) -> None:
    with pytest.raises(UsageError, match="some-other-w") as caught:
        feature_edit.edit(network, code, [(direction(0, space="some-other-w"), 1.0)])
    assert caught.value.exit_code == 2


def test_where_says_which_cells_of_f_take_the_difference(network: MobileStyleGAN, code: Code) -> None:
    assert code.feature is not None
    offset = direction(0).offset(1.0, 8)[None]
    where = torch.zeros(2, 1, 16, 16)
    where[:, :, 8:, :] = 1
    where[:, :, 4, :] = 0.5
    whole, part = feature_edit.shift(network, code, offset), feature_edit.shift(network, code, offset, where)
    assert whole.feature is not None and part.feature is not None
    full = whole.feature - code.feature
    torch.testing.assert_close(part.feature - code.feature, full * where)
    assert torch.equal(part.ws, whole.ws)
