"""Mixing and interpolating codes: ends are the faces themselves, F of one with w of the other, exactness of Eq. 1."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vidinv.editing import mixing
from vidinv.frames import Code
from vidinv.generators import mobile_stylegan

TINY = mobile_stylegan.tiny()
AT = 2


def code(seed: int) -> Code:
    random = torch.Generator().manual_seed(seed)
    ws = TINY.w_avg + 0.5 * torch.randn(1, TINY.num_ws, TINY.w_dim, generator=random)
    feature = TINY.synthesize(ws, stop=AT)
    return Code(ws, feature + 0.3 * torch.randn(feature.shape, generator=random), AT, space=TINY.space)


A, B = code(0), code(1)


def test_behind_f_it_is_the_papers_mixing() -> None:
    rows = mixing.rows_behind(TINY, AT)
    mixed = mixing.mix(TINY, A, B, rows)
    assert A.feature is not None and mixed.feature is not None
    torch.testing.assert_close(mixed.feature, A.feature)
    picture = TINY.synthesize(mixed.ws, feature=mixed.feature, at=AT)
    paper = TINY.synthesize(B.ws, feature=A.feature, at=AT)  # F of one, w of the other
    torch.testing.assert_close(picture, paper, rtol=0, atol=1e-4)


def test_all_rows_carry_the_other_ones_own_part_of_f() -> None:
    mixed = mixing.mix(TINY, A, B, (0, TINY.num_ws))
    assert A.feature is not None and mixed.feature is not None
    wanted = A.feature - TINY.synthesize(A.ws, stop=AT) + TINY.synthesize(B.ws, stop=AT)
    torch.testing.assert_close(mixed.feature, wanted, rtol=0, atol=1e-4)
    torch.testing.assert_close(mixed.ws, B.ws)


def test_no_share_is_the_face_itself() -> None:
    assert mixing.mix(TINY, A, B, (0, 8), share=0.0) is A


@pytest.mark.parametrize(("share", "end"), [(0.0, A), (1.0, B)])
def test_the_ends_of_an_interpolation_are_the_faces(share: float, end: Code) -> None:
    found = mixing.between(TINY, A, B, share)
    assert found.feature is not None and end.feature is not None
    torch.testing.assert_close(found.ws, end.ws)
    torch.testing.assert_close(found.feature, end.feature, rtol=0, atol=1e-4)


def test_between_faces_without_a_rest_lie_the_generators_own() -> None:
    own = [replace(each, feature=TINY.synthesize(each.ws, stop=AT)) for each in (A, B)]
    found = mixing.between(TINY, *own, 0.4)
    assert found.feature is not None
    torch.testing.assert_close(found.feature, TINY.synthesize(found.ws, stop=AT), rtol=0, atol=1e-4)


def test_codes_of_different_spaces_are_refused() -> None:
    with pytest.raises(ValueError, match="one shape and space"):
        mixing.mix(TINY, A, replace(B, space="another"), (0, 8))
