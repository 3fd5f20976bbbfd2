"""Recognition, parsing, perceptual and landmark networks brought in: equal to the papers' equations, of their sizes."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.helpers import equations, layouts, reference_generators
from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.faces import fan, parser, recognition
from vidinv.faces import registry as faces
from vidinv.importing.import_checkpoint import import_networks
from vidinv.losses import lpips
from vidinv.weights import imported

RANDOM = torch.Generator().manual_seed(11)


def picture(side: int, count: int = 1) -> Tensor:
    return torch.rand(count, 3, side, side, generator=RANDOM) * 2 - 1


def saved(path: Path, state: object) -> Path:
    torch.save(state, path)
    return path


@pytest.mark.parametrize(
    ("state", "architecture", "expected"),
    [(layouts.iresnet, "iresnet", equations.arcface), (layouts.ir_se, "ir-se", equations.arcface_weighed)],
)
def test_both_arcface_families_give_what_their_equations_say(
    tmp_path: Path, state: Callable[[], dict[str, Tensor]], architecture: str, expected: Callable[..., list[Tensor]]
) -> None:
    (facts,) = import_networks(saved(tmp_path / "arc.pth", state()))
    assert (facts.kind, facts.architecture, facts.missing, facts.unused) == ("identity", architecture, (), ())
    network, image = faces.identity("arc"), picture(112)
    for made, level in zip(network.taps_of_template(image), expected(state(), image), strict=True):
        assert reference_generators.relative_error(made, level) < 1e-4
    embedded = network.embed(picture(128, 2))
    assert embedded.shape == (2, 12) and torch.allclose(embedded.norm(dim=1), torch.ones(2))


def test_a_parser_gives_what_its_equations_say(tmp_path: Path) -> None:
    (facts,) = import_networks(saved(tmp_path / "79999_iter.pth", layouts.bisenet()))
    assert (facts.part, facts.missing, facts.unused) == ("parser/79999_iter", (), ())
    network, image = faces.parsing("79999_iter"), picture(64)
    for made, expected in zip(network.scores(image), equations.bisenet(layouts.bisenet(), image), strict=True):
        assert reference_generators.relative_error(made, expected) < 1e-4
    assert network.parse(image, 64).shape == (1, 64, 64)


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("backbone", ["alexnet", "vgg16"])
def test_lpips_gives_what_its_equation_says(tmp_path: Path, backbone: str, whole: bool) -> None:
    heads, trunk = layouts.lpips(backbone)
    if whole:
        (facts,) = import_networks(saved(tmp_path / "lpips.pth", layouts.lpips_whole(backbone)))
    else:
        classifier = {"classifier.1.weight": torch.zeros(10, 4)}
        beside = saved(tmp_path / "trunk.pth", trunk | classifier)
        (facts,) = import_networks(saved(tmp_path / "lpips.pth", heads), trunk=beside)
    assert (facts.kind, facts.missing, facts.unused) == ("perceptual", (), ())
    a, b = picture(64, 2), picture(64, 2)
    expected = equations.lpips(backbone, heads, trunk, a, b)
    assert reference_generators.relative_error(lpips.load_lpips("lpips")(a, b), expected) < 1e-4


def test_the_heads_of_lpips_alone_are_told_what_they_lack(tmp_path: Path) -> None:
    heads, _ = layouts.lpips("alexnet")
    with pytest.raises(WeightsUnavailable, match="--with FILE"):
        import_networks(saved(tmp_path / "alex.pth", heads))


@pytest.mark.parametrize("modules", [1, 2])
def test_fan_gives_what_its_equations_say(tmp_path: Path, modules: int) -> None:
    state = layouts.fan(modules)
    (facts,) = import_networks(
        saved(tmp_path / "fan.pth.tar", {f"module.{key}": value for key, value in state.items()})
    )
    assert (facts.kind, facts.settings) == ("landmarks", {"modules": modules, "width": 8, "depth": 4})
    image = (picture(256) + 1) / 2
    made = faces.landmarks("fan.pth").network(image)
    assert reference_generators.relative_error(made, equations.fan(state, image, modules, 4)) < 1e-4


def test_peaks_lie_a_quarter_of_a_pixel_towards_the_higher_neighbour() -> None:
    maps = torch.zeros(1, 3, 8, 8)
    maps[0, 0, 3, 5], maps[0, 0, 3, 6], maps[0, 0, 2, 5] = 1, 0.5, 0.5
    maps[0, 1, 0, 0] = 1
    maps[0, 2, 4, 4] = 1
    assert fan.peaks(maps)[0].tolist() == [[5.75, 3.25], [0.5, 0.5], [4.5, 4.5]]


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_points_of_fan_lie_where_its_crop_was(rotation: int) -> None:
    """A network that sees what is bright finds a spot in the frame, however the frame is stored."""

    class Bright(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.anchor = torch.nn.Parameter(torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            return torch.nn.functional.avg_pool2d(x.mean(1, keepdim=True), 4).expand(-1, 68, -1, -1)

    y, x = np.mgrid[:200, :240]
    spot = 255 * np.exp(-((x - 133.5) ** 2 + (y - 91.5) ** 2) / 50)
    frame = np.repeat(spot[..., None], 3, 2).astype(np.uint8)
    box = np.array([[90.0, 60.0, 150.0, 130.0]])
    found = fan.FanPoints(Bright()).detect(frame, box, rotation=rotation)
    assert (
        found.shape == (1, 68, 2) and np.abs(found[0, 0] - [133.5, 91.5]).max() < 0.75
    )  # a third of a heatmap's pixel
    assert fan.FanPoints(Bright()).detect(frame, np.zeros((0, 4))).shape == (0, 68, 2)


def test_the_published_sizes() -> None:
    """Counted from the layers: convolutions k^2 in out, BatchNorm 2 c, PReLU c, dense layers in out + out."""
    with torch.device("meta"):
        networks = {
            "ArcFace iresnet50": recognition.IResNet(),
            "ArcFace IR-SE50": recognition.IrSeNet(),
            "BiSeNet ResNet-18": parser.BiSeNet(),
            "LPIPS alexnet": lpips.build_zero_lpips("alexnet", lpips.WIDTHS["alexnet"]),
            "LPIPS vgg16": lpips.build_zero_lpips("vgg16", lpips.WIDTHS["vgg16"]),
            "2DFAN4": fan.FAN(),
        }
    counts = {name: sum(value.numel() for value in network.parameters()) for name, network in networks.items()}
    print(counts)
    dense = 512 * 49 * 512 + 512 + 2 * 512 + 2 * 512
    assert counts["ArcFace iresnet50"] == 30_743_232 + dense  # the same body as the Feature-Style encoder's
    assert counts["ArcFace IR-SE50"] == 30_950_080 + dense
    for backbone, sides in (("alexnet", (11, 5, 3, 3, 3)), ("vgg16", (3,) * 13)):
        widths = (3, *lpips.WIDTHS[backbone])
        convolutions = sum(s * s * i * o + o for s, i, o in zip(sides, widths, widths[1:], strict=False))
        heads = {"alexnet": 64 + 192 + 384 + 256 + 256, "vgg16": 64 + 128 + 256 + 512 + 512}[backbone]
        assert counts[f"LPIPS {backbone}"] == convolutions + heads

    def block(c_in: int, c_out: int) -> int:
        half, quarter = c_out // 2, c_out // 4
        own = 2 * c_in + 9 * c_in * half + 2 * half + 9 * half * quarter + 2 * quarter + 9 * quarter**2
        return own + (2 * c_in + c_in * c_out) * (c_in != c_out)

    start = 49 * 3 * 64 + 64 + 2 * 64 + block(64, 128) + block(128, 128) + block(128, 256)
    module = 14 * block(256, 256) + 256 * 256 + 256 + 2 * 256 + 256 * 68 + 68
    between = 256 * 256 + 256 + 68 * 256 + 256
    assert counts["2DFAN4"] == start + 4 * module + 3 * between
    state = layouts.bisenet(64)
    learned = [key for key in state if not key.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert counts["BiSeNet ResNet-18"] == sum(state[key].numel() for key in learned)


@pytest.mark.parametrize(
    "load", [faces.identity, faces.parsing, faces.landmarks, lpips.load_lpips], ids=lambda load: load.__name__
)
def test_an_unknown_name_lists_the_known(load: Callable[[str], object]) -> None:
    with pytest.raises(UsageError, match=r"'nobody'.*tiny"):
        load("nobody")


@pytest.mark.parametrize("name", [*faces.IDENTITIES, *faces.PARSERS, *faces.FANS, *lpips.REGISTERED])
def test_every_network_has_a_tiny_one(name: str) -> None:
    if not name.endswith("-tiny"):
        pytest.skip("needs weights")
    if name in faces.IDENTITIES:
        assert faces.identity(name).embed(picture(64)).isfinite().all()
    elif name in faces.PARSERS:
        assert faces.parsing(name)(picture(64)).shape == (1, 19, 64, 64)
    elif name in faces.FANS:
        assert faces.landmarks(name).network(picture(256)).shape == (1, 68, 64, 64)
    else:
        image = picture(64)
        assert lpips.load_lpips(name)(image, image) == 0 and lpips.load_lpips(name)(image, -image) > 0


def test_one_name_may_be_taken_once_in_each_kind(tmp_path: Path) -> None:
    path = saved(tmp_path / "mine.pth", layouts.iresnet())
    import_networks(path)
    import_networks(saved(tmp_path / "two.pth", layouts.bisenet()), "mine")
    assert imported.parts() == ["identity/mine", "parser/mine"]
    with pytest.raises(UsageError, match="an identity named 'mine'"):
        import_networks(path)
    with pytest.raises(UsageError, match=r"identity/mine, parser/mine"):
        imported.find_import("mine")


def script_file(path: Path) -> tuple[fan.FAN, Path]:
    """FAN as it is published today: traced, and saved with its code."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        network = fan.FAN(modules=1, width=8, depth=1).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(network, picture(256), check_trace=False), str(path))
    return network, path


def test_a_torchscript_archive_is_read_and_its_code_is_not(tmp_path: Path) -> None:
    network, path = script_file(tmp_path / "2DFAN4.zip")
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "spoiled.zip", "w") as spoiled:
        for name in whole.namelist():
            spoiled.writestr(name, b"raise SystemExit" if "/code/" in name else whole.read(name))
    (facts,) = import_networks(tmp_path / "spoiled.zip", "fan68")
    assert (facts.part, facts.missing, facts.unused) == ("landmarks/fan68", (), ())
    image = picture(256)
    assert torch.allclose(faces.landmarks("fan68").network(image), network(image), atol=1e-5)


@pytest.mark.parametrize("fault", ["hostile", "cut", "a storage that is too short", "no storage"])
def test_a_faulty_torchscript_archive_is_refused_and_named(tmp_path: Path, fault: str) -> None:
    _, path = script_file(tmp_path / "whole.zip")
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(tmp_path / "faulty.zip", "w") as faulty:
        for name in whole.namelist():
            content = whole.read(name)
            if name.endswith("data.pkl") and fault != "no storage":
                content = b"cposix\nsystem\n." if fault == "hostile" else content[:500] if fault == "cut" else content
            if "/data/" in name:
                content = content[:1] if fault == "a storage that is too short" else content
            if "/data/" not in name or fault != "no storage":
                faulty.writestr(name, content)
    with pytest.raises(WeightsUnavailable, match=r"posix\.system" if fault == "hostile" else r"faulty\.zip"):
        import_networks(tmp_path / "faulty.zip")
