"""The generator: cut and continued synthesis, feature injection, sizes, and parity with the published graph."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from vidinv.errors import VidinvError
from vidinv.generators import mobile_stylegan, registry
from vidinv.generators.haar import inverse_haar
from vidinv.generators.mobile_stylegan import MobileStyleGAN
from vidinv.generators.ops import lies_channels_last


@pytest.fixture(scope="module")
def network() -> MobileStyleGAN:
    return mobile_stylegan.tiny()


@pytest.fixture(scope="module")
def ws(network: MobileStyleGAN) -> Tensor:
    random = torch.Generator().manual_seed(3)
    return network.w_avg + 0.5 * torch.randn(2, network.num_ws, network.w_dim, generator=random)  # every row its own


@pytest.mark.parametrize("cut", range(4))
def test_synthesis_cut_at_a_layer_and_continued_is_the_whole(network: MobileStyleGAN, ws: Tensor, cut: int) -> None:
    canvas = network.synthesize(ws, stop=cut)
    spec = network.layers[cut]
    assert canvas.shape == (2, spec.channels, spec.resolution, spec.resolution)
    assert torch.equal(network.synthesize(ws, start=cut + 1, canvas=canvas), network.synthesize(ws))


def test_a_middle_part_can_be_synthesized_alone(network: MobileStyleGAN, ws: Tensor) -> None:
    part = network.synthesize(ws, start=1, canvas=network.synthesize(ws, stop=0), stop=2)
    assert torch.equal(part, network.synthesize(ws, stop=2))


@pytest.mark.parametrize("at", range(4))
def test_injecting_the_generators_own_feature_changes_nothing(network: MobileStyleGAN, ws: Tensor, at: int) -> None:
    own = network.synthesize(ws, stop=at)
    assert torch.equal(network.synthesize(ws, feature=own, at=at), network.synthesize(ws))


@pytest.mark.parametrize("at", range(4))
def test_injecting_another_feature_changes_the_picture(network: MobileStyleGAN, ws: Tensor, at: int) -> None:
    other = network.synthesize(ws.flip(0), stop=at)
    change = network.synthesize(ws, feature=other, at=at) - network.synthesize(ws)
    assert change.abs().mean() > 1e-2


def test_a_feature_is_replaced_after_its_own_layer_only(network: MobileStyleGAN, ws: Tensor) -> None:
    other = network.synthesize(ws.flip(0), stop=2)
    assert torch.equal(network.synthesize(ws, feature=other, at=2, stop=1), network.synthesize(ws, stop=1))
    assert torch.equal(network.synthesize(ws, feature=other, at=2, stop=2), network.synthesize(ws, stop=2))


def test_the_styles_handed_in_are_the_ones_used(network: MobileStyleGAN, ws: Tensor) -> None:
    assert torch.equal(network.synthesize(ws, styles=network.styles(ws)), network.synthesize(ws))
    assert torch.equal(network.synthesize(ws, styles=network.styles(ws.flip(0))), network.synthesize(ws.flip(0)))


def test_inverse_haar_is_the_transform_of_2x2_cells() -> None:
    bands = torch.randn(2, 4 * 3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    made = inverse_haar(bands)
    assert made.shape == (2, 3, 10, 14)
    for c in range(3):
        low, v, h, d = bands[:, c], bands[:, 3 + 3 * c], bands[:, 4 + 3 * c], bands[:, 5 + 3 * c]
        corners = {
            (0, 0): (low + v + h + d) / 2,
            (0, 1): (low + v - h - d) / 2,
            (1, 0): (low - v + h - d) / 2,
            (1, 1): (low - v - h + d) / 2,
        }
        for (row, column), expected in corners.items():
            torch.testing.assert_close(made[:, c, row::2, column::2], expected, rtol=0, atol=1e-14)
    torch.testing.assert_close(made.square().sum(), bands.square().sum())  # the transform is orthonormal


@pytest.mark.parametrize("count", [1, 2])
def test_large_features_lie_channels_last_where_no_weight_learns_and_nothing_else_changes(count: int) -> None:
    torch.manual_seed(0)
    network = MobileStyleGAN("wide", "wide-w", channels=(16, 16, 16, 16, 12, 8), w_dim=16)
    ws = torch.randn(count, network.num_ws, 16)

    def drawn() -> tuple[Tensor, Tensor, Tensor]:
        return network.synthesize(ws, stop=3), network.synthesize(ws, stop=4), network.synthesize(ws)

    usual = drawn()
    with torch.no_grad():
        small, large, image = drawn()
    assert network.layers[4].resolution == mobile_stylegan.LAST
    assert lies_channels_last(large) and not any(map(lies_channels_last, (small, image, *usual)))
    assert torch.equal(small, usual[0])
    for found, wanted in ((large, usual[1]), (image, usual[2])):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(network.synthesize(ws, start=5, canvas=large), image, rtol=1e-5, atol=1e-5)


def test_with_gradients_a_feature_that_lies_channels_last_changes_nothing(network: MobileStyleGAN, ws: Tensor) -> None:
    feature = network.synthesize(ws, stop=2) + 0.1  # as an encoder in channels-last memory gives it
    found = []
    for layout in (torch.contiguous_format, torch.channels_last):
        own = feature.clone(memory_format=layout).requires_grad_()
        image = network.synthesize(ws, feature=own, at=2)
        image.square().sum().backward()
        found.append((image.detach(), own.grad))
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])
    assert not lies_channels_last(network.synthesize(ws, feature=own, at=2, stop=3))


def test_half_size_is_the_average_of_the_full_picture(network: MobileStyleGAN, ws: Tensor) -> None:
    full, half = network.synthesize(ws), network.synthesize(ws, size=network.resolution // 2)
    assert full.shape[-1] == network.resolution and half.shape[-1] == network.resolution // 2
    torch.testing.assert_close(half, functional.avg_pool2d(full, 2), rtol=0, atol=1e-5)


def test_wrong_shapes_are_named(network: MobileStyleGAN, ws: Tensor) -> None:
    with pytest.raises(ValueError, match=r"\(2, 3, 32\)"):
        network.synthesize(ws[:, :3])
    with pytest.raises(ValueError, match=r"\(1, 7\)"):
        network.map(torch.zeros(1, 7))
    with pytest.raises(ValueError, match=r"\(2, 32, 8, 9\)"):
        network.synthesize(ws, feature=torch.zeros(2, 32, 8, 9), at=1)
    with pytest.raises(ValueError, match="48"):
        network.synthesize(ws, size=48)
    with pytest.raises(ValueError, match="canvas of layer 1"):
        network.synthesize(ws, start=2)
    with pytest.raises(ValueError, match="random"):
        network.synthesize(ws, noise="random")


def test_the_tiny_network_is_the_same_every_time(network: MobileStyleGAN) -> None:
    again = mobile_stylegan.tiny().state_dict()
    assert all(torch.equal(value, again[key]) for key, value in network.state_dict().items())


@pytest.mark.slow
@pytest.mark.weights
def test_parity_with_the_published_graph() -> None:
    openvino = pytest.importorskip("openvino", reason="openvino (dev extra) is the witness")
    members = _published()
    core = openvino.Core()
    exact = {"INFERENCE_PRECISION_HINT": "f32"}

    def graph(name: str):  # type: ignore[no-untyped-def]
        xml, binary = (members[f"random_face/data/{name}.{kind}"] for kind in ("xml", "bin"))
        weights = openvino.Tensor(torch.frombuffer(bytearray(binary), dtype=torch.uint8).numpy())
        return core.compile_model(core.read_model(xml, weights), "CPU", exact)

    mapping, synthesis = graph("MappingNetwork"), graph("SynthesisNetwork")
    network = registry.load_generator("mobile-stylegan-ffhq-1024")
    for seed in range(2):
        z = torch.randn(1, 512, generator=torch.Generator().manual_seed(seed))
        style = torch.from_numpy(mapping([z.numpy()])[0].copy())
        image = torch.from_numpy(synthesis([style.numpy()])[0].copy())
        with torch.no_grad():
            w = network.map(z)
            made = network.synthesize(network.broadcast(w))
        assert (w - style).abs().max() <= 1e-4
        assert (made - image).abs().max() <= 1e-3


@pytest.mark.weights
def test_the_average_latent_is_the_published_networks() -> None:
    network = registry.load_generator("mobile-stylegan-ffhq-1024")
    assert float(network.w_avg.norm()) == pytest.approx(4.12, abs=0.05)
    drawn = network.sample(4000, seed=5).mean(0)
    assert (drawn - network.w_avg).norm() < 0.1 * network.w_avg.norm()


def _published() -> dict[str, bytes]:
    """The members of the pinned archive: the one kept in the cache, else fetched and dropped again."""
    from rich.console import Console

    from vidinv.weights import archive, catalog, fetch

    entry = catalog.CATALOG["generator/mobile-stylegan-ffhq"]
    kept = fetch.from_cache(entry)
    if kept is not None:
        return archive.read_members(kept, entry.members)
    try:
        with fetch.Index() as index:
            fetched = index.download(entry, Console(stderr=True))
    except VidinvError as error:
        pytest.skip(f"the published graph cannot be had: {error}")
    try:
        return archive.read_members(fetched, entry.members)
    finally:
        fetched.unlink(missing_ok=True)
