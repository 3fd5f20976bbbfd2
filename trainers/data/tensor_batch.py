"""Move batches of several tensors to a device or into pinned memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from typing_extensions import Self


class TensorBatch:
    """Base class of dataclasses whose fields are tensors, other batches, or None."""

    def to(self, device: torch.device) -> Self:
        """Return the batch on `device`."""
        return self._with(lambda value: value.to(device))

    def pin_memory(self) -> Self:
        """Return the batch in pinned memory, for fast copies to a GPU; the data loader calls this."""
        return self._with(lambda value: value.pin_memory())

    def _with(self, change: Callable[[Any], Any]) -> Self:
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}  # type: ignore[arg-type]
        return type(self)(**{name: None if value is None else change(value) for name, value in values.items()})
