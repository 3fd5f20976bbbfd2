"""A tuned generator as a file of differences: what comes back, what is shared, and which base it is refused by."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from vidinv.errors import WeightsUnavailable
from vidinv.generators import delta, mobile_stylegan, stylegan2
from vidinv.generators.delta import Delta, DeltaFacts

NAMES = ("blocks.1.conv1.weight", "blocks.2.conv2.weight", "blocks.2.conv2.bias")


def changes(scale: float = 0.1) -> Delta:
    own, random = dict(mobile_stylegan.tiny().named_parameters()), torch.Generator().manual_seed(0)
    return {name: scale * torch.randn(own[name].shape, generator=random) for name in NAMES}


def facts() -> DeltaFacts:
    base = mobile_stylegan.tiny()
    return DeltaFacts(base.name, base.space, delta.fingerprint(base), "a source", {"steps": 3})


def test_what_was_changed_comes_back_and_nothing_else(tmp_path: Path) -> None:
    base, made = mobile_stylegan.tiny(), changes()
    tuned = delta.added(base, made)
    assert delta.between(base, {name: dict(tuned.named_parameters())[name] for name in NAMES}).keys() == made.keys()
    delta.write_deltas(tmp_path / "d.safetensors", delta.packed({3: made, 5: changes(0.2)}, facts()))
    people, said = delta.read_deltas(tmp_path / "d.safetensors", base)
    assert sorted(people) == [3, 5] and said == facts()
    again = delta.added(base, people[3])
    ws = base.broadcast(base.sample(2, seed=1))
    assert (again.synthesize(ws) - tuned.synthesize(ws)).abs().max() < 1e-2
    assert (tuned.synthesize(ws) - base.synthesize(ws)).abs().max() > 0.1
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_the_base_stays_as_it_was_and_shares_the_rest() -> None:
    base = mobile_stylegan.tiny()
    before = delta.fingerprint(base)
    tuned = delta.added(base, changes())
    assert delta.fingerprint(base) == before != delta.fingerprint(tuned)
    own, other = dict(base.named_parameters()), dict(tuned.named_parameters())
    assert {name for name in own if own[name] is not other[name]} == set(NAMES)


def test_a_delta_of_low_rank_comes_back_whole_and_is_smaller() -> None:
    base, made = mobile_stylegan.tiny(), changes()
    random = torch.Generator().manual_seed(1)
    shape = made[NAMES[1]].shape
    thin = torch.randn(shape[0], 2, generator=random) @ torch.randn(2, shape[1], generator=random)
    made[NAMES[1]] = 0.1 * thin.reshape(shape)
    whole, packed = delta.packed({0: made}, facts()), delta.packed({0: made}, facts(), rank=2)
    people, _ = delta.unpacked(packed, base, "it")
    assert (people[0][NAMES[1]] - made[NAMES[1]]).abs().max() < 1e-3
    assert people[0][NAMES[2]].shape == made[NAMES[2]].shape and len(packed) < len(whole)


def test_another_base_refuses_it_with_exit_code_5(tmp_path: Path) -> None:
    path = tmp_path / "d.safetensors"
    delta.write_deltas(path, delta.packed({0: changes()}, facts()))
    other = delta.added(mobile_stylegan.tiny(), {NAMES[0]: torch.full((1,), 1e-3)})
    for base in (other, stylegan2.tiny()):
        with pytest.raises(WeightsUnavailable, match="tuned from another") as refused:
            delta.read_deltas(path, base)
        assert refused.value.exit_code == 5 and "\n" not in str(refused.value)


@pytest.mark.parametrize("spoil", [lambda b: b[:-5], lambda b: b"no file", lambda b: b""])
def test_a_damaged_one_is_refused(tmp_path: Path, spoil: object) -> None:
    path = tmp_path / "d.safetensors"
    path.write_bytes(spoil(delta.packed({0: changes()}, facts())))  # type: ignore[operator]
    with pytest.raises(WeightsUnavailable, match="not a tuned generator"):
        delta.read_deltas(path, mobile_stylegan.tiny())
    with pytest.raises(WeightsUnavailable, match="cannot be read"):
        delta.read_deltas(tmp_path / "absent", mobile_stylegan.tiny())


def test_weights_that_are_not_there_are_no_delta() -> None:
    with pytest.raises(ValueError, match="no weights"):
        delta.between(mobile_stylegan.tiny(), {"what.weight": torch.zeros(1)})
