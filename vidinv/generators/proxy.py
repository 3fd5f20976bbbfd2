"""Render small images with proxy heads, which replace the last layers of a generator for cheap gradients and previews.

A head is distilled (`fidelity` in its metadata is its PSNR in dB to the true image, downsampled to the head's size), or
made from the generator's own weights (`halved.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

from vidinv import fileio
from vidinv.errors import UsageError
from vidinv.generators.base import Generator
from vidinv.generators.halved import HalvedBlock
from vidinv.generators.mobile_stylegan import MobileStyleGAN
from vidinv.generators.ops import by_channel, by_pixel, is_exported, lies_channels_last, resize
from vidinv.weights import quantized_file

ASSETS = Path(__file__).parent.parent / "assets"


class Modulated(nn.Module):
    """A convolution whose input channels are scaled by an affine function of the style."""

    def __init__(self, c_in: int, c_out: int, side: int, style: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, side, padding=side // 2)
        self.style = nn.Linear(style, c_in)
        nn.init.zeros_(self.style.weight)
        nn.init.ones_(self.style.bias)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return self.conv(x * self.style(style)[:, :, None, None])


@dataclass(frozen=True)
class HeadSpec:
    """A head's shape: it reads [N,channels,side,side] and the last `slots` rows of w+, and renders `size` pixels."""

    side: int
    size: int  # 2 * side or 4 * side
    channels: int
    slots: int
    width: int
    w_dim: int = 512


LARGEST_SPEC = 4096  # of each number of a head's shape

# Shapes of the distilled heads, by size of the image.
FFHQ_HEADS = {128: HeadSpec(32, 128, 512, 9, 192), 256: HeadSpec(128, 256, 256, 5, 64)}


def spec_for(generator: Generator, size: int) -> HeadSpec:
    """Return the shape of a head of `size` pixels for any generator with a layer of the side in FFHQ_HEADS.

    The head reads the rows of w+ that no earlier layer reads. Raises UsageError if there is no such layer.
    """
    usual = FFHQ_HEADS[size]
    try:
        layer = generator.layer_at(usual.side)
    except ValueError as error:
        raise UsageError(
            f"{generator.name} has no layer of {usual.side} pixels for a head of {size}", remedy="give another --size"
        ) from error
    read = 1 + max(slot for spec in generator.layers[: layer + 1] for slot in spec.slots)
    channels, rows = generator.layers[layer].channels, max(generator.num_ws - read, 1)
    return HeadSpec(usual.side, size, channels, rows, usual.width, generator.w_dim)


class ProxyHead(nn.Module):
    """Feature and ws [N,L,D] -> image [N,3,size,size]: modulated convolutions and one or two pixel shuffles."""

    mean: Tensor  # [1,C,1,1], buffers
    std: Tensor

    def __init__(self, spec: HeadSpec) -> None:
        super().__init__()
        self.spec, self.side, self.size = spec, spec.side, spec.size
        style, fine = 128, spec.width // 3 if spec.size == 4 * spec.side else spec.width
        self.style = nn.Linear(spec.slots * spec.w_dim, style)
        self.register_buffer("mean", torch.zeros(1, spec.channels, 1, 1))
        self.register_buffer("std", torch.ones(1, spec.channels, 1, 1))
        self.reduce = Modulated(spec.channels, spec.width, 1, style)
        self.coarse = nn.ModuleList(Modulated(spec.width, spec.width, 3, style) for _ in range(2))
        self.up = Modulated(spec.width, 4 * fine, 3, style) if spec.size == 4 * spec.side else None
        self.fine = Modulated(fine, fine, 3, style)
        self.out = Modulated(fine, 12, 3, style)

    def forward(self, feature: Tensor, ws: Tensor, rows: Sequence[Tensor] | None = None) -> Tensor:
        """Render the feature; `rows`, the generator's own styles, are ignored by a distilled head."""
        spec = self.spec
        if feature.shape[1:] != (spec.channels, spec.side, spec.side):
            raise ValueError(
                f"this head reads [N,{spec.channels},{spec.side},{spec.side}] features, got {tuple(feature.shape)}"
            )
        with torch.autocast(feature.device.type, torch.bfloat16, enabled=not is_exported()):
            style = self.style(ws[:, -spec.slots :].flatten(1))
            x = functional.leaky_relu(self._reduce(feature, style), 0.2)
            for layer in self.coarse:
                x = x + functional.leaky_relu(layer(x, style), 0.2)
            if self.up is not None:
                x = functional.leaky_relu(functional.pixel_shuffle(self.up(x, style), 2), 0.2)
            x = x + functional.leaky_relu(self.fine(x, style), 0.2)
            return functional.pixel_shuffle(self.out(x, style), 2).float()

    def _reduce(self, feature: Tensor, style: Tensor) -> Tensor:
        """Apply the first 1x1 convolution to the normalised feature in one product, as passes over memory are slow."""
        convolution = self.reduce.conv
        assert convolution.bias is not None
        scale = self.reduce.style(style) / self.std.flatten()  # [N,C]
        weight = convolution.weight[None, :, :, 0, 0] * scale[:, None]  # [N,D,C]
        bias = convolution.bias[None, :, None] - weight @ self.mean.flatten()[:, None]  # [N,D,1]
        if lies_channels_last(feature):
            return by_channel(
                torch.bmm(by_pixel(feature), weight.transpose(1, 2)) + bias.transpose(1, 2), *feature.shape[2:]
            )
        x = torch.bmm(weight, feature.flatten(2)) + bias
        return x.unflatten(2, feature.shape[2:]).contiguous(memory_format=torch.channels_last)


Head = ProxyHead | HalvedBlock


class Proxy(nn.Module):
    """G with its tail replaced by a head: ws (and F at layer `at`) -> image [N,3,size,size].

    `styles` is an offset [N,S] of the generator's style channels: a halved block applies all of it, a distilled head
    only the part for the layers below the head.
    """

    is_quick = True

    def __init__(self, generator: Generator, head: Head) -> None:
        super().__init__()
        self.generator, self.head = generator, head
        self.layer, self.size = generator.layer_at(head.side), head.size

    def forward(
        self, ws: Tensor, feature: Tensor | None = None, at: int | None = None, styles: Tensor | None = None
    ) -> Tensor:
        rows = self.generator.restyled(ws, styles)
        return self.head(self._canvas(ws, feature, at, rows), ws, rows)

    def with_whole(self, ws: Tensor, feature: Tensor | None, at: int | None, size: int) -> tuple[Tensor, Tensor]:
        """Return the head's image and the generator's own at `size`; the layers below the head run only once."""
        canvas = self._canvas(ws, feature, at)
        return self.head(canvas, ws), self.generator.synthesize(ws, start=self.layer + 1, canvas=canvas, size=size)

    def _canvas(self, ws: Tensor, feature: Tensor | None, at: int | None, rows: list[Tensor] | None = None) -> Tensor:
        if feature is not None and at is not None and at >= self.layer:
            if at > self.layer:
                raise ValueError(f"the head reads layer {self.layer}, but F replaces the later layer {at}")
            return feature
        return self.generator.synthesize(ws, feature=feature, at=at, styles=rows, stop=self.layer)


class WholeSynthesis(nn.Module):
    """Image decoder without a head: the full synthesis, downsampled to `size` pixels; exact, but not faster."""

    is_quick = False

    def __init__(self, generator: Generator, size: int = 256) -> None:
        super().__init__()
        self.generator, self.size = generator, min(size, generator.resolution)

    def forward(
        self, ws: Tensor, feature: Tensor | None = None, at: int | None = None, styles: Tensor | None = None
    ) -> Tensor:
        rows = self.generator.restyled(ws, styles)
        return resize(self.generator.synthesize(ws, feature=feature, at=at, styles=rows), self.size)

    def with_whole(self, ws: Tensor, feature: Tensor | None, at: int | None, size: int) -> tuple[Tensor, Tensor]:
        """Return the image at the decoder's own size and at `size`."""
        image = self.generator.synthesize(ws, feature=feature, at=at, size=size)
        return resize(image, self.size), image


ImageDecoder = Proxy | WholeSynthesis


def for_tuned_generator(painter: ImageDecoder, generator: Generator) -> ImageDecoder:
    """Return the image decoder for a tuned copy of its generator, with the tuned features or weights.

    A distilled head was not tuned and is therefore no longer used for displayed images (`is_quick`).
    """
    if isinstance(painter, Proxy) and isinstance(painter.head, HalvedBlock):
        return _frozen(generator, _halved(generator))
    found = Proxy(generator, painter.head) if isinstance(painter, Proxy) else WholeSynthesis(generator, painter.size)
    found.is_quick = False
    return found.eval().requires_grad_(False)


def _frozen(generator: Generator, head: Head) -> Proxy:
    return Proxy(generator, head.to(generator.w_avg.device)).eval().requires_grad_(False)


def image_decoder(generator: Generator, size: int) -> ImageDecoder:
    """Return the proxy of `size` pixels if the generator has one, else the full synthesis."""
    return load_proxy(generator, size) if (generator.name, size) in HEADS else WholeSynthesis(generator, size)


def load_proxy(generator: Generator, size: int) -> Proxy:
    """Load the proxy of `size` pixels of a registered generator, frozen, on its device. Raises UsageError."""
    if (generator.name, size) not in HEADS:
        raise UsageError(
            f"{generator.name!r} has no proxy head of {size} pixels",
            remedy="distil one: python -m vidinv.trainers.proxy_head.train",
        )
    return _frozen(generator, HEADS[generator.name, size](generator))


def head_metadata(generator: Generator, spec: HeadSpec) -> dict[str, str]:
    """Return the metadata of a head's file, for `read_proxy`."""
    return {"generator": generator.name, "spec": json.dumps(asdict(spec))}


def read_proxy(path: Path, generator: Generator) -> Proxy:
    """Load the proxy of a user's own head, described by its file's metadata, on the generator's device.

    Raises UsageError for a file without these metadata, and for a head of another generator.
    """
    try:
        with fileio.open_tensors(path) as file:
            metadata = file.metadata() or {}
        spec = fileio.record_of(HeadSpec, fileio.parse_json(metadata["spec"]))
        if not all(0 < value <= LARGEST_SPEC for value in asdict(spec).values()):
            raise ValueError(f"the head's shape is {spec}")
        head = load_head(path, spec)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise UsageError(
            f"{path} is not a proxy head file",
            remedy="distil one: python -m vidinv.trainers.proxy_head.train",
        ) from error
    if metadata.get("generator") != generator.name:
        raise UsageError(f"{path} is a proxy head of {metadata.get('generator')!r}, not of {generator.name!r}")
    return _frozen(generator, head)


def load_head(path: Path, spec: HeadSpec) -> ProxyHead:
    """Load a distilled head from its safetensors file, frozen."""
    head = ProxyHead(spec)
    head.load_state_dict(quantized_file.read_state(path))
    return head.eval().requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _shipped(_: Generator) -> Head:
    return load_head(ASSETS / "proxy_head_128.safetensors", FFHQ_HEADS[128])


def _halved(generator: Generator) -> Head:
    assert isinstance(generator, MobileStyleGAN)
    return HalvedBlock(generator)


def _tiny(spec: HeadSpec) -> Callable[[Generator], Head]:
    def make(_: Generator) -> Head:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return ProxyHead(spec)

    return make


HEADS: dict[tuple[str, int], Callable[[Generator], Head]] = {
    ("mobile-stylegan-ffhq-1024", 128): _shipped,
    ("mobile-stylegan-ffhq-1024", 256): _halved,
    ("mobile-stylegan-tiny", 128): _tiny(HeadSpec(32, 128, 16, 1, 9, 32)),
    ("mobile-stylegan-tiny", 64): _tiny(HeadSpec(32, 64, 16, 1, 9, 32)),
}
