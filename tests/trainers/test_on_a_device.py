"""Every training runs where its networks are: none mixes the CPU's tensors with those of its device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.accelerators import Accelerator
from lightning_fabric.strategies import SingleDeviceStrategy

from tests.helpers.device_trainings import TRAININGS
from tests.helpers.pretend_device import DEVICE, pretending
from vidinv.trainers.core import loop


class Pretended(Accelerator):
    """One of the pretended device."""

    def setup_device(self, device: torch.device) -> None: ...

    def teardown(self) -> None: ...

    @staticmethod
    def parse_devices(devices: Any) -> Any:
        return devices

    @staticmethod
    def get_parallel_devices(devices: Any) -> list[torch.device]:
        return [torch.device(DEVICE)]

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def name() -> str:
        return DEVICE


class PretendedFabric(Fabric):
    """Takes the optimisers of tensors on `meta`, which here have values."""

    def __init__(self, accelerator: str, precision: Any, **shape: Any) -> None:
        assert accelerator == DEVICE
        strategy = SingleDeviceStrategy(device=torch.device(DEVICE), accelerator=Pretended())
        super().__init__(strategy=strategy, precision=precision)

    def _validate_setup_optimizers(self, *optimisers: Any) -> None: ...  # type: ignore[override]


@pytest.fixture(autouse=True)
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(loop, "Fabric", PretendedFabric)
    with pretending() as name:
        yield name


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta")  # said of any tensor on meta; values are copied
@pytest.mark.parametrize("training", TRAININGS)
def test_a_training_stays_on_its_device(training: str, device: str, tmp_path: Path) -> None:
    assert TRAININGS[training](device, tmp_path)
