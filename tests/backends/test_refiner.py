"""What a refinement is stepped through: the generator itself where it is light, else the backend's head."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from vidinv.backends import registry as backends
from vidinv.backends import tiny
from vidinv.config import Effort
from vidinv.editing import refine
from vidinv.frames import Code


@pytest.mark.parametrize("is_light", [True, False])
def test_the_head_is_stepped_through_only_where_the_generator_is_heavy(
    is_light: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tiny.models("cpu", "")
    models.proxy.size = models.generator.sizes[0]  # the side at which pictures are compared
    monkeypatch.setattr(type(models.generator), "is_light", is_light)
    seen: list[Any] = []
    monkeypatch.setattr(refine, "refine", lambda *given, **named: seen.append(given[7]))
    code = Code(torch.zeros(1, 8, 32), None, None, space=tiny.SPACE)
    backends.refiner(models, "float32")(code, torch.zeros(1, 3, 32, 32), None, Effort(1, 1))
    assert seen == [None if is_light else models.proxy]
