"""The discriminator beside a published generator: kept with it, or passed over and named; it judges as it did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.helpers import published_stylegan2, published_stylegan2_discriminator
from tests.helpers.checkpoint_layouts import ada_state, pickled_network
from tests.helpers.discriminator_files import State, checkpoint, judge
from vidinv.cli.main import main
from vidinv.generators import discriminator_file, registry
from vidinv.generators.stylegan2_discriminator import Discriminator
from vidinv.importing.import_checkpoint import ImportOptions, import_networks
from vidinv.weights import imported


def test_it_is_kept_beside_its_generator_and_judges_as_it_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkpoint(tmp_path / "car.pt")
    assert main(["weights", "import", str(path), "--licence", "MIT", "--json", "-"]) == 0
    generator, told = json.loads(capsys.readouterr().out)
    assert (told["kind"], told["name"], told["generator"], told["licence"]) == ("discriminator", "car", "car", "MIT")
    assert told["missing"] == told["unused"] == [] and "d" not in generator["unused"]
    assert imported.verify("discriminator", "car").name == "car.safetensors"
    made, images = discriminator_file.load_discriminator("car"), torch.randn(4, 3, 32, 32)
    assert made is not None and torch.equal(made(images), judge()(images))
    assert all(weight.requires_grad for weight in made.parameters())
    assert main(["weights", "import", str(path), "--as", "other"]) == 0
    assert "discriminator/other: rosinality StyleGAN2 discriminator, " in capsys.readouterr().err


def ada_judge(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network of 16 pixels under the names of StyleGAN2-ADA, written down layer by layer."""
    filters = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64
    names = {"b16.fromrgb": ("convs.0.0", "convs.0.1"), "b4.conv": ("final_conv.0", "final_conv.1")}
    names |= {"b16.conv0": ("convs.1.conv1.0", "convs.1.conv1.1"), "b16.conv1": ("convs.1.conv2.1", "convs.1.conv2.2")}
    names |= {"b8.conv0": ("convs.2.conv1.0", "convs.2.conv1.1"), "b8.conv1": ("convs.2.conv2.1", "convs.2.conv2.2")}
    names |= {"b4.fc": ("final_linear.0",) * 2, "b4.out": ("final_linear.1",) * 2}
    made = {"b16.skip.weight": state["convs.1.skip.1.weight"], "b8.skip.weight": state["convs.2.skip.1.weight"]}
    for new, (weight, bias) in names.items():
        made |= {f"{new}.weight": state[f"{weight}.weight"], f"{new}.bias": state[f"{bias}.bias"]}
    return made | {f"{block}.resample_filter": filters for block in ("b16", "b16.conv1", "b8.skip", "b4.conv")}


def test_that_of_a_pickled_stylegan2_ada_judges_as_the_same_weights_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = published_stylegan2_discriminator.published_state()
    content = pickled_network(ada_state(published_stylegan2.published_state()), monkeypatch, ada_judge(state))
    (tmp_path / "ada.pkl").write_bytes(content)
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))
    _, facts = import_networks(tmp_path / "ada.pkl")
    assert facts.format == "NVIDIA StyleGAN2-ADA discriminator" and facts.missing == facts.unused == ()
    made, images = discriminator_file.load_discriminator("ada"), torch.randn(4, 3, 16, 16)
    plain = Discriminator(16, channel_multiplier=8 * 16 / 16384, channel_max=16)
    plain.load_state_dict(state)
    assert made is not None and torch.equal(made(images), plain(images))


FAULTS: dict[str, Callable[[State], object]] = {
    "d.convs.2.conv1.0.weight is 2x3, not 16x16x3x3": lambda d: d.update({"convs.2.conv1.0.weight": torch.zeros(2, 3)}),
    "missing (1): d.final_linear.1.bias": lambda d: d.pop("final_linear.1.bias"),
    "unused (1): d.embed.weight": lambda d: d.update({"embed.weight": torch.zeros(3)}),
    "d.convs.0.1.bias is not finite": lambda d: d["convs.0.1.bias"].fill_(torch.nan),
    "its resolution is more than 4096": lambda d: d.update({"convs.40.conv1.0.weight": torch.zeros(1)}),
    "d.final_conv.1.bias is a tensor of sparse_coo": lambda d: d.update(
        {"final_conv.1.bias": d["final_conv.1.bias"].to_sparse()}
    ),
}


@pytest.mark.parametrize("said", FAULTS)
def test_one_that_does_not_fit_is_passed_over_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], said: str
) -> None:
    path = checkpoint(tmp_path / "car.pt", lambda held: FAULTS[said](held["d"]))
    assert main(["weights", "import", str(path)]) == 0
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2 and lines[1].startswith("not used: g, d (") and said in lines[1]
    assert registry.load_generator("car").resolution == 64
    assert discriminator_file.known("car") is None and imported.names("discriminator") == []


def test_one_of_another_file_is_not_the_generators(tmp_path: Path) -> None:
    import_networks(checkpoint(tmp_path / "car.pt"))
    assert discriminator_file.load_discriminator("stylegan2-tiny") is None
    (facts,) = import_networks(checkpoint(tmp_path / "bare.pt", lambda held: held.pop("d")), "bare")
    assert "d" not in facts.unused and discriminator_file.load_discriminator("bare") is None
    import_networks(tmp_path / "bare.pt", "car", ImportOptions(replace=True))
    assert imported.names("discriminator") == ["car"] and discriminator_file.load_discriminator("car") is None
