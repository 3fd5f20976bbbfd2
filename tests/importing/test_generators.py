"""Published checkpoints brought into the cache: told by their keys, whole or refused, and drawn from by name."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.helpers import published_pggan, published_stylegan1, published_stylegan2, published_stylegan3
from tests.helpers.checkpoint_layouts import ada_state, biggan_state, genforce_state, pickled_network
from tests.helpers.hostile import Hostile
from vidinv.cli.main import main
from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.generators import registry
from vidinv.generators.stylegan2 import StyleGAN2
from vidinv.generators.stylegan3 import StyleGAN3
from vidinv.importing.import_checkpoint import ImportOptions, import_networks
from vidinv.weights import imported
from vidinv.weights.importers import spectral


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def stylegan2_file(path: Path, change: Callable[[dict[str, Any]], None] = lambda state: None) -> Path:
    """A checkpoint in the rosinality layout; `change` is done to its `g_ema` before it is written."""
    state = published_stylegan2.published_state()
    held = {
        "g_ema": state,
        "d": {"convs.0.0.weight": torch.zeros(1)},
        "latent_avg": torch.full((published_stylegan2.W,), 0.5),
    }
    change(held)
    torch.save(held, path)
    return path


def test_a_rosinality_checkpoint_is_imported_and_loaded_by_its_name(tmp_path: Path, cache: Path) -> None:
    (facts,) = import_networks(stylegan2_file(tmp_path / "Cars 512.pt"), terms=ImportOptions("CC BY-NC 4.0"))
    path = imported.path("generator", facts.name)
    assert facts.name == "cars-512" and path == cache / "imported" / "generator" / "cars-512.safetensors"
    told = json.loads(path.with_suffix(".json").read_text())
    assert (told["format"], told["architecture"], told["licence"]) == (
        "rosinality StyleGAN2",
        "stylegan2",
        "CC BY-NC 4.0",
    )
    assert told["latent_average"] == "from the file" and told["sizes"]["num_ws"] == 8
    assert told["missing"] == [] and told["unused"] == ["d"]
    network = registry.load_generator("cars-512")
    assert network.space == "cars-512-w" and torch.equal(network.w_avg, torch.full((published_stylegan2.W,), 0.5))
    assert all(
        torch.equal(network.state_dict()[key], value) for key, value in published_stylegan2.published_state().items()
    )


def test_the_arguments_of_a_training_are_no_hindrance(tmp_path: Path) -> None:
    args = argparse.Namespace(size=32, path=Path("data"), lr=0.002)
    held = {"args": args, "g_optim": {"state": {0: {"exp_avg": torch.zeros(3)}}, "param_groups": [{"lr": 0.1}]}}
    (facts,) = import_networks(stylegan2_file(tmp_path / "550000.pt", lambda state: state.update(held)))
    assert facts.missing == () and facts.unused == ("d", "args", "g_optim")


def test_half_precision_safetensors_and_a_prefix_are_taken(tmp_path: Path) -> None:
    state = {f"module.{key}": value.half() for key, value in published_stylegan2.published_state().items()}
    save_file(state, tmp_path / "x.safetensors")
    (facts,) = import_networks(tmp_path / "x.safetensors")
    assert facts.latent_average == "estimated from 10000 samples" and facts.unused == ()
    network = registry.load_generator("x")
    drawn = network.sample(4000, seed=9).mean(0)
    assert (drawn - network.w_avg).norm() < 0.1 * network.sample(100).std(0).norm()


def test_a_pickled_stylegan2_ada_draws_what_the_same_weights_draw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = published_stylegan2.published_state()
    (tmp_path / "ada.pkl").write_bytes(pickled_network(ada_state(state), monkeypatch))
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))
    (facts,) = import_networks(tmp_path / "ada.pkl")
    assert facts.format == "NVIDIA StyleGAN2-ADA" and facts.missing == () and facts.latent_average == "from the file"
    plain = StyleGAN2("t", "t-w", 32, channel_multiplier=12 * 32 / 16384, channel_max=24, w_dim=published_stylegan2.W)
    plain.load_state_dict(state)
    ws = torch.randn(1, 8, published_stylegan2.W, generator=torch.Generator().manual_seed(0))
    assert torch.equal(registry.load_generator("ada").synthesize(ws), plain.synthesize(ws))


def test_genforces_stylegan2_draws_what_the_same_weights_draw(tmp_path: Path) -> None:
    state = published_stylegan2.published_state()
    held = {"generator": {}, "generator_smooth": genforce_state(state), "discriminator": {"x": torch.zeros(1)}}
    torch.save(held, tmp_path / "ffhq.pth")
    (facts,) = import_networks(tmp_path / "ffhq.pth")
    assert (facts.format, facts.missing, facts.latent_average) == ("genforce StyleGAN2", (), "from the file")
    import_networks(stylegan2_file(tmp_path / "plain.pt"))
    ws = torch.randn(1, 8, published_stylegan2.W, generator=torch.Generator().manual_seed(0))
    made, plain = registry.load_generator("ffhq"), registry.load_generator("plain")
    assert torch.allclose(made.synthesize(ws), plain.synthesize(ws), atol=1e-4)
    assert torch.equal(made.w_avg, plain.w_avg)


@pytest.mark.parametrize("radial", [False, True])
def test_a_pickled_stylegan3_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, radial: bool) -> None:
    state = published_stylegan3.published_state(radial)
    (tmp_path / "three.pkl").write_bytes(pickled_network(state, monkeypatch))
    monkeypatch.setenv("VIDINV_CACHE", str(tmp_path / "cache"))
    (facts,) = import_networks(tmp_path / "three.pkl")
    assert facts.format == "NVIDIA StyleGAN3" and facts.settings["config"] == ("r" if radial else "t")
    network = registry.load_generator("three")
    assert isinstance(network, StyleGAN3)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in state.items())


def test_stylegan1_in_its_parts_and_pggan_are_imported(tmp_path: Path) -> None:
    state = published_stylegan1.published_state()
    mapping = {key: value for key, value in state.items() if key.startswith("block_")}
    synthesis = {key: value for key, value in state.items() if key not in mapping}
    synthesis["decode_block.1.blur.weight"] = torch.ones(16, 1, 3, 3)
    parts = {
        "generator_s": synthesis,
        "mapping_fl_s": mapping,
        "dlatent_avg": {"buff": torch.ones(18, published_stylegan1.W)},
    }
    torch.save(parts, tmp_path / "one.pth")
    (facts,) = import_networks(tmp_path / "one.pth")
    assert (facts.format, facts.unused) == ("StyleGAN1 PyTorch", ())
    assert torch.equal(registry.load_generator("one").w_avg, torch.ones(published_stylegan1.W))
    torch.save({"generator_smooth": published_pggan.published_state()}, tmp_path / "grown.pth")
    (facts,) = import_networks(tmp_path / "grown.pth")
    assert facts.format == "PGGAN PyTorch" and facts.space == "grown-z"
    assert registry.load_generator("grown").resolution == 32


def test_a_pggan_that_is_still_growing_is_refused(tmp_path: Path) -> None:
    torch.save(published_pggan.published_state() | {"lod": torch.tensor(2.0)}, tmp_path / "grown.pth")
    with pytest.raises(WeightsUnavailable, match="lod"):
        import_networks(tmp_path / "grown.pth")


def test_a_biggan_is_imported_with_its_spectral_norm_folded(tmp_path: Path) -> None:
    state = biggan_state()
    torch.save(state, tmp_path / "big.pt")
    (facts,) = import_networks(tmp_path / "big.pt")
    assert facts.settings["resolution"] == 128 and facts.format == "BigGAN-deep PyTorch"
    made = registry.load_generator("big").state_dict()
    assert all(torch.equal(made[key], value) for key, value in spectral.fold_spectral_norm(state).items())
    assert float(torch.linalg.svdvals(made["generator.gen_z.weight"])[0]) == pytest.approx(1, abs=1e-5)


def test_the_decoder_of_a_psp_checkpoint_is_taken_only_when_told(tmp_path: Path) -> None:
    decoder = {f"decoder.{key}": value for key, value in published_stylegan2.published_state().items()}
    held = {"state_dict": decoder | {"encoder.input_layer.0.weight": torch.zeros(4)}, "latent_avg": torch.ones(8, 20)}
    torch.save(held | {"opts": {"lr": 1e-4}}, tmp_path / "psp.pt")
    with pytest.raises(WeightsUnavailable, match=r"encoder\.input_layer\.0\.weight"):
        import_networks(tmp_path / "psp.pt")
    (facts,) = import_networks(tmp_path / "psp.pt", terms=ImportOptions(partial=True))
    assert facts.unused == ("encoder.input_layer.0.weight", "opts") and facts.missing == ()


def test_a_key_that_asks_for_a_giant_is_refused(tmp_path: Path) -> None:
    for key in ("to_rgbs.40.bias", "style.1000000.bias"):
        path = stylegan2_file(tmp_path / "giant.pt", lambda held, key=key: held["g_ema"].update({key: torch.zeros(3)}))
        with pytest.raises(WeightsUnavailable):
            import_networks(path)


def wrong(key: str, *shape: int) -> Callable[[dict[str, Any]], None]:
    return lambda held: held["g_ema"].update({key: torch.zeros(shape)})


def without(key: str) -> Callable[[dict[str, Any]], None]:
    return lambda held: held["g_ema"].pop(key)


def nan(held: dict[str, Any]) -> None:
    held["g_ema"]["convs.3.conv.weight"][0, 0, 0, 0, 0] = torch.nan


MUTATIONS: dict[str, tuple[str, Callable[[dict[str, Any]], None]]] = {
    "a convolution": ("convs.1.conv.weight", wrong("convs.1.conv.weight", 1, 24, 24, 1, 1)),
    "the last convolution": ("convs.5.conv.weight", wrong("convs.5.conv.weight", 1, 7, 12, 3, 3)),
    "the last bias": ("convs.5.activate.bias", wrong("convs.5.activate.bias", 13)),
    "the constant": ("input.input", wrong("input.input", 1, 24, 8, 8)),
    "the first bias": ("conv1.activate.bias", wrong("conv1.activate.bias", 23)),
    "a mapping bias": ("style.3.bias", wrong("style.3.bias", 21)),
    "a noise map": ("noises.noise_4", wrong("noises.noise_4", 1, 1, 8, 8)),
    "a picture": ("to_rgbs.2.conv.weight", wrong("to_rgbs.2.conv.weight", 1, 4, 12, 1, 1)),
    "no first layer": ("style.1.weight", without("style.1.weight")),
    "no last layer": ("style.8.bias", without("style.8.bias")),
    "no constant": ("input.input", without("input.input")),
    "no noise": ("noises.noise_0", without("noises.noise_0")),
    "no last picture": ("to_rgbs.2.bias", without("to_rgbs.2.bias")),
    "no modulation": ("convs.4.conv.modulation.weight", without("convs.4.conv.modulation.weight")),
    "an extra layer": ("conv2.weight", wrong("conv2.weight", 3)),
    "an extra map": ("noises.noise_7", wrong("noises.noise_7", 1, 1, 64, 64)),
    "half of an extra mapping layer": ("style.9.bias", wrong("style.9.weight", 20, 20)),
    "no number": ("convs.3.conv.weight", nan),
    "the average": ("latent_avg", lambda held: held.update(latent_avg=torch.zeros(19))),
    "no keys at all": ("no known layout", lambda held: held.update(g_ema={"a": torch.zeros(1)})),
}


def refused(path: Path, capsys: pytest.CaptureFixture[str], named: str) -> None:
    """The command ends with 5 and says one line that names what is wrong; nothing is kept."""
    assert main(["weights", "import", str(path), "--as", "mutated"]) == 5
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and named in lines[0], lines
    assert not list(path.parent.rglob("*.safetensors*"))


@pytest.mark.parametrize("mutation", MUTATIONS)
def test_a_mutated_checkpoint_is_refused_with_its_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mutation: str
) -> None:
    key, change = MUTATIONS[mutation]
    refused(stylegan2_file(tmp_path / "mutated.pt", change), capsys, key)


@pytest.mark.parametrize("keep", [10, 1000, -20])
def test_a_truncated_checkpoint_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], keep: int) -> None:
    path = stylegan2_file(tmp_path / "mutated.pt")
    path.write_bytes(path.read_bytes()[:keep])
    refused(path, capsys, "mutated.pt")


def test_a_hostile_checkpoint_is_refused_and_not_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stylegan2_file(tmp_path / "mutated.pt", lambda held: held.update(x=Hostile(tmp_path / "ran")))
    refused(path, capsys, "posix.system")
    assert not (tmp_path / "ran").exists()


def test_a_partial_import_says_what_it_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = stylegan2_file(tmp_path / "part.pt", without("convs.4.conv.modulation.weight"))
    assert main(["weights", "import", str(path), "--partial"]) == 0
    assert "not filled: convs.4.conv.modulation.weight" in capsys.readouterr().err
    assert registry.load_generator("part").resolution == 32


def test_names_that_are_taken_or_cannot_be_are_refused(tmp_path: Path) -> None:
    path = stylegan2_file(tmp_path / "again.pt")
    import_networks(path)
    with pytest.raises(UsageError, match="'again'"):
        import_networks(path)
    import_networks(path, terms=ImportOptions(replace=True))
    for name in ("stylegan2-tiny", "../x", "A b"):
        with pytest.raises(UsageError, match=name):
            import_networks(path, name)


def test_a_damaged_import_is_named(tmp_path: Path) -> None:
    (facts,) = import_networks(stylegan2_file(tmp_path / "again.pt"))
    path = imported.path("generator", facts.name)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(WeightsUnavailable, match=r"again\.safetensors"):
        registry.load_generator("again")
    with pytest.raises(UsageError, match="again"):
        registry.load_generator("never")
