"""What a refinement is stepped through: the generator itself where it is light, else the backend's head."""

from __future__ import annotations

import pytest
import torch

from vidinv.backends import registry as backends
from vidinv.backends import tiny
from vidinv.config import Effort
from vidinv.frames import Code


@pytest.mark.parametrize("is_light", [True, False])
def test_the_head_is_stepped_through_only_where_the_generator_is_heavy(
    is_light: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = tiny.models("cpu", "")
    side = models.proxy.size = models.generator.sizes[0]  # the side at which pictures are compared
    monkeypatch.setattr(type(models.generator), "is_light", is_light)
    drawn: list[torch.Size] = []
    models.proxy.head.register_forward_hook(lambda head, given, made: drawn.append(made.shape))
    ws = models.generator.broadcast(models.generator.sample(1))
    code = Code(ws, models.generator.synthesize(ws, stop=2), 2, space=tiny.SPACE)
    refine_one = backends.refiner(models, "float32")
    image, effort = torch.zeros(1, 3, side, side), Effort(1, 1)
    code, trace = refine_one(code, image, None, effort)
    drawn.clear()  # the first frame of a shot is refined through the generator
    refine_one(code, image, trace, effort)
    assert bool(drawn) == (not is_light)
