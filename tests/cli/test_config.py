"""The configuration: presets, overrides and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from vidinv import config as configs
from vidinv.errors import UsageError


@pytest.mark.parametrize("name", configs.presets())
def test_every_preset_loads_and_survives_saving(name: str, tmp_path: Path) -> None:
    config = configs.load_run_config(name)
    saved = tmp_path / "saved.yaml"
    saved.write_text(configs.to_yaml(config))
    assert config.quality == name and configs.load_run_config(str(saved)) == config


def test_an_unknown_key_names_the_near_ones() -> None:
    with pytest.raises(UsageError, match="segment_seconds"):
        configs.load_run_config("fast", ["segment_secconds=3"])
    with pytest.raises(UsageError, match=r"refine\.first\.latent"):
        configs.load_run_config("fast", ["refine.first.latents=3"])


@pytest.mark.parametrize("change", ["batch=0", "crf=good", "quality=superb", "mask=3"])
def test_a_wrong_value_is_a_usage_error(change: str) -> None:
    with pytest.raises(UsageError):
        configs.load_run_config("fast", [change])
