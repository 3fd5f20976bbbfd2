"""A device that is not there: tensors that say they lie on it, compute on the CPU, and refuse the CPU's as a GPU would.

`meta`, the only device name that every torch can build tensors of, stands for it. Unlike torch's own meta tensors
these hold values, so that `.item()`, optimisers and whole descents run, and no operation mixes devices in silence
(torch's let a matrix product or a convolution do so). What a GPU forgives is forgiven: copies, numbers of no axis,
indices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = "meta"
COPIES = {"_to_copy", "copy_"}
INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}


class Mixed(RuntimeError):
    """An operation would read two devices at once."""


class Away(Tensor):
    """A tensor on the device; `inner` holds its values."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> Away:
        return Tensor._make_wrapper_subclass(  # type: ignore[attr-defined, no-any-return]
            cls, inner.shape, inner.stride(), inner.storage_offset(), dtype=inner.dtype, device=DEVICE
        )

    def __init__(self, inner: Tensor) -> None:
        self.inner = inner

    def __repr__(self) -> str:  # type: ignore[override]
        return f"Away({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Operations(TorchDispatchMode):
    """Sees what makes a tensor on the device out of nothing, and what is done to the CPU's."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class _Calls(TorchFunctionMode):
    """What torch does behind operations: `torch.tensor(..., device=...)`, `x.new_tensor(...)`, `x.tolist()`, `x[[0]]`.

    And inference mode, which has no tensors such as these, is to be without gradients and no more.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if torch.is_inference_mode_enabled():
            with torch.inference_mode(mode=False), torch.no_grad():
                return self.__torch_function__(func, types, args, kwargs)
        if func in (torch.tensor, torch.as_tensor) and str(kwargs.get("device", "")).startswith(DEVICE):
            del kwargs["device"]
            return func(*args, **kwargs).to(DEVICE)
        if func is Tensor.new_tensor and isinstance(args[0], Away):
            return torch.tensor(args[1], dtype=kwargs.get("dtype", args[0].dtype)).to(DEVICE)
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            args = (args[0], _as_tensors(args[1]), *args[2:])
        if func is Tensor.tolist and isinstance(args[0], Away):
            return args[0].inner.tolist()
        return func(*args, **kwargs)


@contextmanager
def pretending() -> Iterator[str]:
    """The device's name, while it is there; in this thread alone tensors can be made on it. Nothing is autocast.

    Without oneDNN, whose backward pass of a 1x1 convolution of stride 2 in float32, channels last, writes past its end.
    """
    flat = mock.patch("torch.autocast", lambda *arguments, **options: nullcontext())
    with torch.backends.mkldnn.flags(enabled=False), _Operations(), _Calls(), flat:
        yield DEVICE


def _as_tensors(index: Any) -> Any:
    """An index whose lists are tensors of the CPU."""
    parts = index if isinstance(index, tuple) else (index,)
    made = tuple(torch.tensor(part) if isinstance(part, list) else part for part in parts)
    return made if isinstance(index, tuple) else made[0]


def _run(func: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    name = func.overloadpacket.__name__
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    is_away = _placed(name, args, tensors)
    if kwargs.get("device") is not None:
        is_away = torch.device(kwargs["device"]).type == DEVICE
        kwargs = {**kwargs, "device": "cpu"}
        if is_away and kwargs.get("generator") is not None:
            raise Mixed(f"{func} draws on the device by a generator of the CPU")
    found = func(*_values(args), **_values(kwargs))
    if func._schema.returns and func._schema.returns[0].alias_info and func._schema.returns[0].alias_info.is_write:
        return kwargs["out"] if "out" in kwargs else args[0]
    return tree_map_only(Tensor, Away, found) if is_away else found


def _placed(name: str, args: Sequence[Any], tensors: list[Tensor]) -> bool:
    """Whether the result of an operation on `tensors` lies on the device. Mixed where they may not meet."""
    away = [tensor for tensor in tensors if isinstance(tensor, Away)]
    hollow = [tensor for tensor in tensors if tensor.device.type == DEVICE and not isinstance(tensor, Away)]
    assert not hollow, f"{name} reads a tensor that was made on the device without values"
    if name in COPIES:
        return isinstance(args[0], Away)
    if name in INDEXING and isinstance(args[0], Away):  # its indices may lie on the CPU, what is put there may not
        tensors = [args[0], *(each for each in args[2:3] if isinstance(each, Tensor))]
    strangers = [tuple(tensor.shape) for tensor in tensors if not isinstance(tensor, Away) and tensor.ndim]
    if away and strangers:
        raise Mixed(f"{name} reads tensors {strangers} of the CPU beside those of the device")
    return bool(away)


def _values(tree: Any) -> Any:
    return tree_map_only(Away, lambda tensor: tensor.inner, tree)
