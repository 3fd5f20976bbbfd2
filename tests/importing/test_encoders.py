"""Published encoders brought in: told by their keys, bound to their generator, and equal to the papers' equations."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import equations, layouts, published_stylegan2, reference_generators
from tests.helpers.psp_files import psp_file, saved
from vidinv.cli.main import main
from vidinv.encoders import encoder_file, feature_style, map2style, registry
from vidinv.errors import UsageError, WeightsUnavailable
from vidinv.generators import registry as generators
from vidinv.importing.import_checkpoint import ImportOptions, import_networks
from vidinv.weights import imported

PICTURE = torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(3)) * 2 - 1
GENERATOR = "stylegan2-tiny"


@pytest.mark.parametrize(("at", "side"), [(None, 16), (4, 16), (7, 32)])
def test_a_feature_style_encoder_gives_what_its_equations_say(tmp_path: Path, at: int | None, side: int) -> None:
    state, generator = layouts.feature_style(), generators.load_generator(GENERATOR)
    asked = {} if at is None else {"at": str(at)}
    (facts,) = import_networks(saved(tmp_path / "fse.pt", state), generator=GENERATOR, asked=asked)
    assert (facts.kind, facts.architecture, facts.missing, facts.unused) == ("encoder", "feature-style", (), ())
    assert facts.latent_average == f"that of {GENERATOR}" and facts.sizes["rows"] == layouts.SLOTS
    encoder = registry.load_encoder("fse")
    code = encoder(PICTURE)
    ws, feature = equations.feature_style(state, PICTURE, generator.w_avg, stride=32 // side)
    assert (
        reference_generators.relative_error(code.ws, ws) < 1e-4
        and reference_generators.relative_error(code.feature, feature) < 1e-4
    )
    assert (code.at, code.space) == (5 if at is None else at, generator.space)
    drawn = generator.synthesize(code.ws, feature=code.feature, at=code.at)
    assert drawn.shape == (1, 3, 64, 64)


@pytest.mark.parametrize("wrap", ["enc_state_dict", "fs_backbone.", "module."])
def test_a_feature_style_encoder_is_found_in_a_training_and_behind_a_prefix(tmp_path: Path, wrap: str) -> None:
    state: dict[str, Any] = layouts.feature_style()
    if wrap.endswith("."):
        state = {f"{wrap}{key}": value for key, value in state.items()}
    else:
        state = {"n_epoch": 12, wrap: state, "opt_state_dict": {"state": {}}}
    (facts,) = import_networks(saved(tmp_path / "fse.pt", state), generator=GENERATOR)
    assert facts.missing == () and registry.load_encoder("fse").at == 5


def test_options_that_were_saved_as_arguments_are_read(tmp_path: Path) -> None:
    opts = argparse.Namespace(encoder_type="Encoder4Editing", start_from_latent_avg=False, exp_dir=Path("runs"))
    _, facts = import_networks(psp_file(tmp_path / "e4e.pt", opts))
    assert facts.settings["progressive"] is True and facts.latent_average == "none is added"


@pytest.mark.parametrize("progressive", [False, True])
def test_psp_and_e4e_give_an_encoder_and_its_generator_under_one_name(tmp_path: Path, progressive: bool) -> None:
    kind = "Encoder4Editing" if progressive else "GradualStyleEncoder"
    path = psp_file(tmp_path / "faces.pt", {"encoder_type": kind, "start_from_latent_avg": True})
    first, second = import_networks(path)
    assert (first.part, second.part) == ("generator/faces", "encoder/faces")
    assert first.unused == () and (first.missing, second.missing, second.unused) == ((), (), ())
    encoder, generator = registry.load_encoder("faces"), generators.load_generator("faces")
    code = encoder(PICTURE)
    average = torch.full((published_stylegan2.W,), 0.5)
    expected = equations.map2style(layouts.map2style(8, published_stylegan2.W), PICTURE, average, progressive)
    assert reference_generators.relative_error(code.ws, expected) < 1e-4 and code.feature is None
    assert code.space == generator.space and torch.equal(generator.w_avg, average)
    with_feature = encoder_file.with_feature(encoder, generator)(PICTURE)
    drawn = generator.synthesize(with_feature.ws, feature=with_feature.feature, at=with_feature.at)
    assert torch.allclose(drawn, generator.synthesize(code.ws), atol=1e-5)


def test_the_average_latent_is_left_out_where_the_training_did(tmp_path: Path) -> None:
    opts = {"encoder_type": "GradualStyleEncoder", "start_from_latent_avg": False}
    _, facts = import_networks(psp_file(tmp_path / "faces.pt", opts))
    assert facts.latent_average == "none is added"
    state = layouts.map2style(8, published_stylegan2.W)
    expected = equations.map2style(state, PICTURE, torch.zeros(published_stylegan2.W), False)
    assert reference_generators.relative_error(registry.load_encoder("faces")(PICTURE).ws, expected) < 1e-4


def test_what_the_options_do_not_say_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = psp_file(tmp_path / "faces.pt", None)
    assert main(["weights", "import", str(path)]) == 5
    assert "--set progressive=true" in capsys.readouterr().err
    assert main(["weights", "import", str(path), "--set", "progressive=true", "--set", "average=false"]) == 0
    assert imported.facts("encoder", "faces").settings["progressive"] is True
    for opts, beside in (({"progressive_steps": [0]}, {}), ({}, {"discriminator_state_dict": {}})):
        _, facts = import_networks(psp_file(tmp_path / "e4e.pt", opts, **beside), terms=ImportOptions(replace=True))
        assert facts.settings["progressive"] is True
    with pytest.raises(WeightsUnavailable, match="SingleStyle"):
        import_networks(psp_file(tmp_path / "other.pt", {"encoder_type": "SingleStyle"}))


def test_an_encoder_alone_is_told_its_generator(tmp_path: Path) -> None:
    state = {f"encoder.{key}": value for key, value in layouts.map2style().items()}
    held = {"state_dict": state, "opts": {"encoder_type": "GradualStyleEncoder"}}
    path = saved(tmp_path / "psp.pt", held)
    with pytest.raises(UsageError, match="--for"):
        import_networks(path)
    (facts,) = import_networks(path, generator=GENERATOR)
    assert facts.generator == GENERATOR and facts.space == "stylegan2-tiny-w"
    assert torch.equal(registry.load_encoder("psp").get_buffer("w_avg"), generators.load_generator(GENERATOR).w_avg)


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        (["--for", "pggan-tiny"], 5, "styles.9"),
        (["--for", "stylegan2-tiny", "--set", "at=9"], 2, "layer 9"),
        (["--for", "stylegan2-tiny", "--set", "at=77"], 2, "layer 77"),
        (["--for", "stylegan2-tiny", "--set", "at=x"], 2, "at='x'"),
        (["--for", "stylegan2-tiny", "--set", "progressive=true"], 2, "progressive"),
        (["--for", "nobody"], 2, "nobody"),
        ([], 2, "--for"),
    ],
)
def test_what_cannot_be_the_encoders_generator_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, named: str
) -> None:
    path = saved(tmp_path / "fse.pt", layouts.feature_style())
    assert main(["weights", "import", str(path), *arguments]) == code
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert named in line and not imported.names("encoder")


def test_a_generator_given_to_a_file_that_needs_none_is_refused(tmp_path: Path) -> None:
    path = psp_file(tmp_path / "faces.pt", {"encoder_type": "GradualStyleEncoder"})
    with pytest.raises(UsageError, match="its own generator"):
        import_networks(path, generator=GENERATOR)


def parameters(network: torch.nn.Module, prefix: str = "") -> int:
    return sum(value.numel() for name, value in network.named_parameters() if name.startswith(prefix))


def test_the_published_sizes() -> None:
    """Counted by hand from the layers: convolutions k^2 in out, BatchNorm 2 c, PReLU c, dense layers in out + out."""
    with torch.device("meta"):
        fse = feature_style.FeatureStyle("s", at=5, w_avg=torch.zeros(512))
        psp = map2style.MapToStyle("s", at=5, w_avg=torch.zeros(512))
    counts = {"FSE": parameters(fse), "pSp/e4e": parameters(psp), "IR-SE50 trunk": parameters(psp, "trunk")}
    print(counts, "tensors", len(fse.state_dict()), len(psp.state_dict()))
    body = sum(parameters(fse, prefix) for prefix in ("conv.", "block_"))
    assert (body, parameters(fse, "content_layer"), parameters(fse, "styles")) == (30_743_232, 3_542_016, 79_635_456)
    assert parameters(fse) == 113_920_704 and len(fse.state_dict()) == 517
    trunk, width = 9 * 3 * 64 + 2 * 64 + 64, 64
    for channels, blocks in ((64, 3), (128, 4), (256, 14), (512, 3)):
        for _ in range(blocks):
            trunk += 2 * width + 9 * width * channels + channels + 9 * channels**2 + 2 * channels
            trunk += 2 * channels * (channels // 16) + (width != channels) * (width * channels + 2 * channels)
            width = channels
    assert parameters(psp, "trunk") == trunk
    heads = sum(steps * (9 * 512 * 512 + 512) + 512 * 512 + 512 for steps in [4] * 3 + [5] * 4 + [6] * 11)
    assert parameters(psp, "styles") == heads
    assert parameters(psp) == trunk + heads + 256 * 512 + 512 + 128 * 512 + 512
