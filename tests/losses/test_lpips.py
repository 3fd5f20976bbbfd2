"""LPIPS on random weights: what holds for every backbone."""

import pytest
import torch

from vidinv.losses.lpips import BACKBONES, LPIPS, multi_scale_lpips

CHANNELS = {
    "alexnet": [(3, 64, 11), (64, 192, 5), (192, 384, 3), (384, 256, 3), (256, 256, 3)],
    "vgg16": [
        *((3, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3), (128, 256, 3), (256, 256, 3), (256, 256, 3)),
        *((256, 512, 3), (512, 512, 3), (512, 512, 3), (512, 512, 3), (512, 512, 3), (512, 512, 3)),
    ],
}
HEADS = {"alexnet": (64, 192, 384, 256, 256), "vgg16": (64, 128, 256, 512, 512)}


def network(backbone):
    generator = torch.Generator().manual_seed(0)
    state = {}
    for i, (inputs, outputs, kernel) in enumerate(CHANNELS[backbone]):
        state[f"conv.{i}.weight"] = torch.randn(outputs, inputs, kernel, kernel, generator=generator) / 20
        state[f"conv.{i}.bias"] = torch.zeros(outputs)
    state |= {f"head.{j}.weight": torch.rand(1, c, 1, 1, generator=generator) for j, c in enumerate(HEADS[backbone])}
    return LPIPS(backbone, state)


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_zero_for_itself_symmetric_and_differentiable(backbone):
    net = network(backbone)
    a, b = torch.rand(2, 2, 3, 64, 64) * 2 - 1
    assert net(a, a).abs().max() == 0
    torch.testing.assert_close(net(a, b), net(b, a))
    a.requires_grad_()
    net(a, b).sum().backward()
    assert a.grad.isfinite().all() and a.grad.abs().sum() > 0


def test_scales_add_up():
    net = network("alexnet")
    a, b = torch.rand(2, 1, 3, 128, 128) * 2 - 1
    half = [torch.nn.functional.avg_pool2d(x, 2) for x in (a, b)]
    torch.testing.assert_close(multi_scale_lpips(net, a, b, (1, 0.5)), net(a, b).mean() + net(*half).mean())
