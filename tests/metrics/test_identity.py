"""Eq. 9 on embeddings whose angles are known."""

from __future__ import annotations

import numpy as np
import pytest

from vidinv.metrics import identity


def test_consistency_is_the_mean_cosine_to_the_first_frame() -> None:
    angles = np.radians([0, 60, 90])
    rows = np.stack([np.cos(angles), np.sin(angles)], 1)
    assert identity.consistency(rows) == pytest.approx((0.5 + 0) / 2)


def test_similarity_goes_row_by_row() -> None:
    a = np.eye(3)
    assert identity.similarity(a, a[[0, 2, 1]]).tolist() == [1, 0, 0]


def test_one_frame_has_no_consistency() -> None:
    with pytest.raises(ValueError, match=r"\(1, 4\)"):
        identity.consistency(np.ones((1, 4)))
