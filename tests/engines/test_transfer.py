"""Copies to and from a device: none on the CPU, values on another, and on a GPU nothing read before it has arrived."""

from __future__ import annotations

from unittest import mock

import pytest
import torch
from torch import Tensor

from tests.helpers.pretend_device import DEVICE, pretending
from vidinv.engines import transfer


def test_on_the_cpu_nothing_is_copied() -> None:
    x = torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)
    assert transfer.to_device(x, "cpu") is x
    home = transfer.to_host([x, x[:1]])
    assert home[0] is x and home[1].data_ptr() == x.data_ptr() and home[0].stride() == x.stride()
    assert transfer.to_host([]) == []


def test_values_go_to_another_device_and_come_back() -> None:
    x, y = torch.rand(2, 3), torch.arange(4)
    with pretending() as device:
        there = [transfer.to_device(each, device) for each in (x, y)]
        assert all(each.device.type == DEVICE for each in there)
        home = transfer.to_host(there)
    assert torch.equal(home[0], x) and torch.equal(home[1], y) and {each.device.type for each in home} == {"cpu"}


def test_what_a_gpu_sends_is_waited_for_once_after_all_is_under_way() -> None:
    """With the GPU's part played by the CPU: who is asked, and in which order."""
    said: list[object] = []

    class Sent(Tensor):
        """Says that it lies on a GPU."""

        device = torch.device("cuda", 0)  # type: ignore[assignment]

    def sent(tensor: Tensor) -> Tensor:
        said.append("sent")
        return torch.zeros(tensor.shape)

    stream = mock.Mock(synchronize=lambda: said.append("waited"))
    with (
        mock.patch.object(transfer, "_sent", sent),
        mock.patch.object(torch.cuda, "current_stream", lambda device: said.append(device) or stream),
    ):
        home = transfer.to_host([torch.rand(2).as_subclass(Sent), torch.rand(1), torch.rand(3).as_subclass(Sent)])
    assert said == ["sent", "sent", torch.device("cuda", 0), "waited"]
    assert [len(each) for each in home] == [2, 1, 3]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_gives_back_what_it_was_given() -> None:
    random = torch.Generator().manual_seed(0)
    for _ in range(20):
        x = torch.rand(4, 3, 256, 256, generator=random)
        there = transfer.to_device(x, "cuda")
        home = transfer.to_host([there * 2, (there + 1).to(memory_format=torch.channels_last), there[:, :, ::2]])
        assert all(each.device.type == "cpu" and each.is_pinned() for each in home)
        assert torch.equal(home[0], x * 2) and torch.equal(home[1], x + 1) and torch.equal(home[2], x[:, :, ::2])
