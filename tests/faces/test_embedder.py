"""Identity networks: the fixed warp to their template, and the real weights where they are."""

import numpy as np
import pytest
import torch

from vidinv.errors import WeightsUnavailable
from vidinv.faces import embedder, similarity
from vidinv.faces.onnx_graph.network import GraphNetwork
from vidinv.losses.identity import identity, multi_layer_identity
from vidinv.weights import cache


@pytest.mark.parametrize("side", [128, 1024])
def test_warp_brings_the_ffhq_points_to_the_template(side):
    x = np.broadcast_to((np.arange(side) + 0.5) / side, (side, side))
    ramps = torch.from_numpy(np.stack([x, x.T, x])).float()[None]  # the image's values are its own unit coordinates
    out = embedder.TemplateWarp(embedder.ARCFACE_TEMPLATE, 112)(ramps)[0].numpy()
    to_crop = similarity.fit(embedder.ARCFACE_TEMPLATE, embedder.FFHQ_POINTS)
    for px, py in [(30, 40), (70, 90)]:
        np.testing.assert_allclose(out[:2, py, px], similarity.apply(to_crop, np.array([px, py])), atol=2e-3)


def test_lightcnn_taps_have_five_levels_and_a_gradient():
    torch.manual_seed(0)
    image = (torch.rand(2, 3, 256, 256) * 2 - 1).requires_grad_()
    network = embedder.LightCNN()
    assert [tuple(tap.shape[1:]) for tap in network.taps(image)][-2:] == [(128, 8, 8), (256,)]
    loss = multi_layer_identity(network, image, image.detach().flip(0))
    loss.backward()
    assert image.grad.abs().sum() > 0
    still = image.detach()
    assert float(identity(network, still, still)) == pytest.approx(0, abs=1e-5)


def weights(name):
    try:
        return cache.path(name)
    except WeightsUnavailable as error:
        pytest.skip(str(error))


@pytest.mark.weights
def test_arcface_same_picture_at_two_sizes_is_one_person():
    network = embedder.load_arcface(weights("identity/arcface-mbf"))
    image = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8) * 2 - 1, (512, 512), mode="bicubic").clamp(-1, 1)
    small = torch.nn.functional.interpolate(image, (256, 256), mode="area")
    assert float(identity(network, image, small)) < 0.05
    assert len(network.taps(image)) == 5


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "side", "outputs"),
    [("identity/arcface-mbf", 112, 1), ("detector/scrfd-500m", 320, 9), ("landmarks/2d106", 192, 1)],
)
def test_shipped_graphs_take_any_batch(name, side, outputs):
    network = GraphNetwork.load(weights(name))
    x = torch.rand(3, 3, side, side)
    together, alone = network(x), network(x[1:2])
    assert len(together) == outputs
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:2], b, atol=1e-4, rtol=1e-3)
