"""Every network and every loss stays on its device: none makes a tensor on the CPU beside what it is given.

The device is pretended (`tests/helpers/pretend_device.py`), so that this holds where no GPU is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.helpers.pretend_device import DEVICE, Mixed, pretending
from vidinv.encoders import class_conditional, mean_latent
from vidinv.encoders import registry as encoders
from vidinv.faces import attribute_meter, independent_attributes, occlusion, parsed_attributes
from vidinv.faces import registry as faces
from vidinv.faces.attributes import AgeGender
from vidinv.faces.embedder import ArcFace, LightCNN
from vidinv.faces.landmarks import Landmarks106
from vidinv.faces.onnx_graph.network import GraphNetwork
from vidinv.generators import automodulator, delta, proxy, stylegan2_discriminator
from vidinv.generators import registry as generators
from vidinv.losses import (
    adversarial,
    balance,
    feature,
    identity,
    latent,
    locality,
    lpips,
    parsing,
    pyramid,
    reconstruction,
    regions,
    robust,
)
from vidinv.metrics import image as images
from vidinv.metrics.distribution import Frechet, LastTap, diversity
from vidinv.metrics.mobilenet import MobileNetV2
from vidinv.metrics.smoothness import path_length, round_the_sphere

TINY_GENERATORS = [name for name in generators.GENERATORS if name.endswith("-tiny")]
TINY_ENCODERS = [name for name in encoders.ENCODERS if name.endswith("-tiny")]
TINY_IDENTITIES = [name for name in faces.IDENTITIES if name.endswith("-tiny")]


@pytest.fixture(autouse=True)
def device() -> Iterator[str]:
    with pretending() as name:
        yield name


def picture(side: int = 64, count: int = 2) -> Tensor:
    """[N,3,side,side] of the device that takes gradients."""
    return torch.rand(count, 3, side, side, device=DEVICE).mul(2).sub(1).requires_grad_()


def taught(loss: Tensor, *inputs: Tensor) -> None:
    """A loss of the device whose gradients lie there too."""
    assert loss.device.type == DEVICE and loss.ndim == 0
    for slope in torch.autograd.grad(loss, inputs):
        assert slope.device.type == DEVICE


class Careless(nn.Module):
    """A network as none may be: `kind` of constant is made where no one moves it."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.linear, self.forgotten = kind, nn.Linear(3, 3), torch.ones(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        made = {
            "added": lambda: x + torch.ones(3),
            "matrix": lambda: x @ self.forgotten,
            "kernel": lambda: nn.functional.conv1d(x[:, None], torch.ones(1, 1, 3)),
            "mask": lambda: x.masked_fill(torch.zeros(2, 3, dtype=torch.bool), 0.0),
            "joined": lambda: torch.cat([x, torch.zeros(2, 3)]),
            "looked up": lambda: x.gather(1, torch.zeros(2, 1, dtype=torch.long)),
            "drawn": lambda: x + torch.randn(2, 3, device=x.device, generator=torch.Generator().manual_seed(0)),
            "put": lambda: x.index_put((torch.tensor([0]),), torch.ones(1, 3)),
            "numpy": lambda: torch.from_numpy(x.detach().numpy()),
        }
        return self.linear(made[self.kind]())


@pytest.mark.parametrize("kind", ["added", "matrix", "kernel", "mask", "joined", "looked up", "drawn", "put", "numpy"])
def test_a_network_that_leaves_a_constant_behind_is_found_out(kind: str) -> None:
    network = Careless(kind).to(DEVICE)
    with pytest.raises((Mixed, RuntimeError, TypeError)):
        network(torch.rand(2, 3, device=DEVICE))


def test_what_a_gpu_forgives_passes_and_values_are_those_of_the_cpu() -> None:
    x = torch.arange(6.0).reshape(2, 3)
    away = x.to(DEVICE)
    found = (away * torch.tensor(2.0) + 1)[torch.tensor([1, 0])]  # a number, and indices, of the CPU
    away[:, 0] = torch.tensor(9.0)
    assert found.device.type == DEVICE and torch.equal(found.cpu(), (x * 2 + 1).flip(0))
    assert away[[1, 0, 1]].tolist() == [[9.0, 4.0, 5.0], [9.0, 1.0, 2.0], [9.0, 4.0, 5.0]]
    assert away[:, 0].tolist() == [9.0, 9.0] and float(away.sum()) == 30.0
    assert torch.equal(torch.tensor([1, 2], device=DEVICE).cpu(), torch.tensor([1, 2]))
    assert away.new_tensor([3.0]).tolist() == [3.0]
    with pytest.raises(Mixed, match="CPU"):
        x + away


@pytest.mark.parametrize("name", TINY_GENERATORS)
def test_a_generator_draws_on_its_device_what_it_draws_on_the_cpu(name: str) -> None:
    network, own = generators.load_generator(name, DEVICE), generators.load_generator(name)
    middle = len(network.layers) // 2
    ws = network.broadcast(network.sample(2, seed=1)).detach().requires_grad_()
    put = network.synthesize(ws, stop=middle).detach().requires_grad_()
    drawn = network.synthesize(ws, feature=put, at=middle, styles=network.styles(ws))
    taught(drawn.square().mean(), put)
    taught(network.synthesize(ws).square().mean(), ws)
    network.synthesize(ws, start=middle + 1, canvas=put, size=network.sizes[-1])
    network.first_weights((0, 1))
    network.truncate(ws, 0.5)
    assert network.typical.device.type == DEVICE
    if len(getattr(network, "noise_modes", ())) > 1:
        network.synthesize(ws, noise="random")
    assert torch.equal(network.synthesize(ws).cpu(), own.synthesize(own.broadcast(own.sample(2, seed=1))))


@pytest.mark.parametrize("name", TINY_ENCODERS)
def test_an_encoder_gives_its_code_where_its_picture_is(name: str) -> None:
    network, image = encoders.load_encoder(name, DEVICE), picture()
    code = network(image, torch.eye(3, device=DEVICE)[:2]) if "biggan" in name else network(image)
    taught(code.ws.square().mean() + (0 if code.feature is None else code.feature.square().mean()), image)


def test_what_stands_for_an_encoder_and_what_is_told_of_classes_lie_with_the_generator() -> None:
    generator = generators.load_generator("stylegan2-classes-tiny", DEVICE)
    code = mean_latent.for_generator(generator, label=1)(picture(32))
    assert code.ws.device.type == DEVICE and code.feature is not None and code.feature.device.type == DEVICE
    told = class_conditional.bind_class(
        encoders.load_encoder("adaptive-biggan-tiny", DEVICE), generators.load_generator("biggan-tiny", DEVICE), 1
    )
    assert told(picture()).ws.device.type == DEVICE


@pytest.mark.parametrize("size", [64, 128])
def test_a_proxy_head_draws_with_and_without_gradients(size: int) -> None:
    generator = generators.load_generator("mobile-stylegan-tiny", DEVICE)
    painter = proxy.load_proxy(generator, size)
    ws = generator.broadcast(generator.sample(1)).detach().requires_grad_()
    taught(painter(ws).square().mean(), ws)
    put = generator.synthesize(ws, stop=2).detach()
    with torch.no_grad():
        assert all(each.device.type == DEVICE for each in painter.with_whole(ws, put, 2, generator.sizes[0]))
        assert proxy.for_tuned_generator(painter, generator)(ws).device.type == DEVICE
        assert proxy.WholeSynthesis(generator)(ws).device.type == DEVICE


def test_a_generators_difference_is_added_where_it_lies() -> None:
    generator = generators.load_generator("mobile-stylegan-tiny", DEVICE)
    state = {name: value + 0.1 for name, value in list(generator.named_parameters())[:3]}
    other = delta.added(generator, delta.between(generator, state))
    assert other.synthesize(other.broadcast(other.sample(1))).device.type == DEVICE


def test_discriminators_judge_and_are_penalised_on_the_device() -> None:
    judge, image = stylegan2_discriminator.Discriminator(32, channel_max=8).to(DEVICE), picture(32, 4)
    logits = judge(image)
    taught(adversarial.discriminator(logits, logits) + adversarial.generator(logits), image)
    taught(adversarial.r1(image, judge(image)), next(judge.parameters()))


def graph(inputs: int, side: int, outputs: int) -> GraphNetwork:
    """A graph with the shapes that networks of packages have: a convolution, one whose sizes are tensors, a product."""
    nodes = [
        ("Conv", ["x", "w"], "a", {"strides": [4, 4], "pads": [0, 0, 0, 0]}),
        ("Flatten", ["a"], "flat", {"axis": 1}),
        ("Reshape", ["flat", "shape"], "b", {}),
        ("Gemm", ["b", "m", "c"], "y", {"transB": 1}),
    ]
    width = 2 * (side // 4) ** 2
    state = {
        "w": torch.rand(2, inputs, 4, 4),
        "shape": torch.tensor([-1, width]),
        "m": torch.rand(outputs, width),
        "c": torch.zeros(outputs),
    }
    named = [{"op": op, "inputs": given, "outputs": [made], "attributes": how} for op, given, made, how in nodes]
    return GraphNetwork({"inputs": ["x"], "outputs": ["y"], "nodes": named}, state).eval()


@pytest.mark.parametrize("name", TINY_IDENTITIES)
def test_a_recognition_network_embeds_crops_and_faces_of_a_frame(name: str) -> None:
    network, image = faces.identity(name, DEVICE), picture()
    taught(identity.identity(network, image, picture()) + identity.multi_layer_identity(network, image, image), image)
    frame, five = np.zeros((64, 64, 3), np.uint8), np.random.default_rng(0).random((1, 5, 2)) * 64
    assert network.embed_points(frame, five).shape == (1, network.dim)


def test_the_shipped_recognition_networks_embed_on_the_device() -> None:
    class OneTap(ArcFace):
        TAPS = ("y",)

    for network, image in ((OneTap(graph(3, 112, 8)), picture(128)), (LightCNN(), picture(128, 1))):
        taught(network.to(DEVICE).embed(image).sum(), image)


def test_parser_occlusion_and_landmarks_look_at_the_device_and_tell_the_cpu() -> None:
    parser, image = faces.parsing("bisenet-tiny", DEVICE), picture()
    taught(parsing.multi_layer_parsing(parser, image, picture()), image)
    labels = parser.parse(image.detach(), 32)
    assert labels.device.type == DEVICE
    assert isinstance(occlusion.Occlusion(occlusion.OcclusionNetwork().eval().to(DEVICE))(image.detach()), np.ndarray)
    frame, box = np.zeros((64, 64, 3), np.uint8), np.array([[8, 8, 56, 56]], np.float32)
    assert faces.landmarks("fan-tiny", DEVICE).detect(frame, box).shape == (1, 68, 2)
    points = Landmarks106(graph(3, 192, 212).to(DEVICE))
    assert points.detect(frame, box).shape == (1, 106, 2)
    taught(points.of_crops(image, box[0]).mean(), image)
    seen = attribute_meter.Meter(
        None, points, parser, sorted(set(attribute_meter.UNITS) - attribute_meter.AGES)
    ).measure(image.detach())
    assert all(isinstance(value, np.ndarray) for value in seen.values())
    assert parsed_attributes.hidden(labels).device.type == DEVICE
    for measure in (
        independent_attributes.smile,
        independent_attributes.mouth_open,
        independent_attributes.eyes_open,
        independent_attributes.fullness,
    ):
        assert measure(labels).device.type == DEVICE


def test_age_and_gender_pass_gradients() -> None:
    network, image = AgeGender(graph(3, 64, 81), graph(3, 32, 2)).to(DEVICE), picture()
    age, gender = network(image)
    taught(age.sum() + gender.sum(), image)


@pytest.mark.parametrize("backbone", ["alexnet", "vgg16"])
def test_perceptual_distances_stay_on_the_device(backbone: str) -> None:
    network, image, other = lpips.tiny(backbone).to(DEVICE), picture(), picture()
    taught(lpips.multi_scale_lpips(network, image, other, (1.0,)), image)
    assert isinstance(diversity(network, image.detach()), float)


class Classifier(nn.Module):
    """What heat maps are taken of."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 4, 8, 8), nn.Linear(4, 5)

    def maps(self, image: Tensor) -> Tensor:
        return self.conv(image).tanh()

    def scores(self, maps: Tensor) -> Tensor:
        return self.linear(maps.mean((2, 3)))


def generator_losses() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    near = lpips.tiny("vgg16").to(DEVICE)
    learned = robust.RobustLoss(64).to(DEVICE)
    cropped = [(regions.cropped(regions.at1), 1.0), (regions.cropped(regions.at2), 1.0)]
    heat = [(each, 1.0) for each in regions.heat_attentions(Classifier().to(DEVICE))]
    return {
        "pyramid": lambda a, b: pyramid.distance(a, b) + pyramid.image_of(pyramid.bands(a)).mean(),
        "feature": lambda a, b: feature.feature_reconstruction(a, b, stop_gradient=True),
        "robust": lambda a, b: learned(a, b) + learned.grown()(a.repeat(1, 1, 2, 2), b.repeat(1, 1, 2, 2)),
        "latent": lambda a, b: latent.gap(latent.prior_divergence(a.flatten(1)), a.new_zeros(()), 1e9),
        "path": lambda a, b: balance.PathLength().to(DEVICE)(balance.path_lengths(a**2, a, torch.ones_like(a))),
        "adaptive": lambda a, b: (a**2).sum() * balance.adaptive_weight(a.sum(), (a * b).sum(), a),
        "ball": lambda a, b: locality.ball_loss(locality.points_on_ball(a[..., 0], b[..., 0], 0.5), b[..., 0]),
        "movement": lambda a, b: locality.edit_effect_loss((a, 2 * a), (b, 2 * b)),
        "image": lambda a, b: reconstruction.image_loss(a, b, near, cropped)[0],
        "heat": lambda a, b: reconstruction.image_loss(a, b, near, heat)[0] + reconstruction.latent_loss(a, b),
    }


@pytest.mark.parametrize(
    "name", ["pyramid", "feature", "robust", "latent", "path", "adaptive", "ball", "movement", "image", "heat"]
)
def test_losses_stay_on_the_device(name: str) -> None:
    image = picture()
    taught(generator_losses()[name](image, picture().detach()), image)


def test_metrics_of_pictures_stay_on_the_device() -> None:
    assert MobileNetV2().eval().to(DEVICE)(picture(32, 1).detach()).device.type == DEVICE
    a, b, network = picture().detach(), picture().detach(), lpips.tiny("vgg16").to(DEVICE)
    weight = torch.ones(2, 1, 64, 64, device=DEVICE)
    for found in (images.psnr(a, b), images.ssim(a, b), images.psnr_inside(a, b, weight)):
        assert found.device.type == DEVICE
    generator = automodulator.tiny().to(DEVICE)
    pairs = [(generator.sample(2, seed=1), generator.sample(2, seed=2))]
    draw: Callable[[Tensor], Tensor] = lambda w: generator.synthesize(generator.broadcast(w))  # noqa: E731
    assert isinstance(path_length(draw, round_the_sphere, network, pairs), float)
    metric = Frechet(LastTap(network))
    for real in (True, False):
        metric.add(a, real=real)
    assert isinstance(metric.distance(), float)
