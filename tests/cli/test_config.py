"""The configuration: presets, overrides and what is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vidinv import config as configs
from vidinv import config_loading
from vidinv.backends import spec
from vidinv.cli.main import main
from vidinv.config import Effort
from vidinv.errors import UsageError
from vidinv.trainers.automodulator.config import AutomodulatorRecipe

SECRET = "the value of a variable of the environment"


def refusal(*overrides: str, name: str = "fast") -> str:
    """The one line by which this configuration is refused."""
    with pytest.raises(UsageError) as found:
        configs.load_run_config(name, list(overrides))
    assert "\n" not in str(found.value)
    return str(found.value)


def written(folder: Path, text: str) -> str:
    """The path of a configuration file with this text."""
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", config_loading.presets())
def test_every_preset_loads_and_survives_saving(name: str, tmp_path: Path) -> None:
    config = configs.load_run_config(name)
    saved = tmp_path / "saved.yaml"
    saved.write_text(configs.to_yaml(config))
    assert config.quality == name and configs.load_run_config(str(saved)) == config


def test_what_a_job_stores_is_the_configuration_that_it_was_made_of() -> None:
    config = configs.with_edits(configs.load_run_config("best", ["crf=3", "c2pa.key=a b.pem"]), ["age+2", "smile-1"])
    assert configs.of_plain(configs.plain(config)) == config
    with pytest.raises(UsageError, match="stored configuration: unknown configuration key 'nosuch'"):
        configs.of_plain(configs.plain(config) | {"nosuch": 1})


def test_later_layers_win_and_keep_what_they_do_not_name(tmp_path: Path) -> None:
    mine = written(tmp_path, "crf: 3\nrefine: {first: {latent: 9}}\nedits: [age+1, smile-1]\nencoder: 7")
    config = configs.load_run_config(mine, ["crf=5", "mask.blur=1", "crf=6", "tuning.rate=1e-3"], {"codec": "av1"})
    default = configs.RunConfig()
    assert config == replace(
        default,
        crf=6,
        codec="av1",
        encoder="7",
        edits=("age+1", "smile-1"),
        mask=replace(default.mask, blur=1.0),
        tuning=replace(default.tuning, rate=1e-3),
        refine=replace(default.refine, first=replace(default.refine.first, latent=9)),
    )
    assert isinstance(config.refine.first, Effort) and isinstance(config.edits, tuple)


def test_an_unknown_key_names_the_near_ones() -> None:
    assert "segment_seconds" in refusal("segment_secconds=3")
    assert "refine.first.latent" in refusal("refine.first.latents=3")


def test_an_unknown_key_that_is_near_none_names_all_of_its_group() -> None:
    line = refusal("mask.zzzz=3")
    assert "'mask.zzzz'" in line and "mask.blur" in line and "mask.parse_size" in line and "crf" not in line


@pytest.mark.parametrize("change", ["batch=0", "crf=good", "quality=superb", "mask=3", "identity.every=0"])
def test_a_wrong_value_is_a_usage_error(change: str) -> None:
    assert change.partition("=")[0] in refusal(change)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("crf=good", "crf must be a whole number, got 'good'"),
        ("crf=3.5", "crf must be a whole number, got 3.5"),
        ("crf=true", "crf must be a whole number, got True"),
        ("crf=", "crf must be a whole number, got None"),
        ("crf=[1, 2]", "crf must be a whole number, got [1, 2]"),
        ("crf={a: 1}", "crf must be a whole number, got {'a': 1}"),
        ("mask.blur=wide", "mask.blur must be a number, got 'wide'"),
        ("mask.blur.x=1", "mask.blur must be a number, got {'x': 1}"),
        ("mask=3", "mask must be a group of keys, got 3"),
        ("tuning.cache=perhaps", "tuning.cache must be true or false, got 'perhaps'"),
        ("encoder=true", "encoder must be text, got True"),
        ("encoder=[a]", "encoder must be text, got ['a']"),
        ("edits=age+2", "edits must be a list, each text, got 'age+2'"),
        ("edits=[[age+2]]", "edits must be a list, each text, got [['age+2']]"),
        ("encoder=???", "encoder must be a plain value, got '???'"),
    ],
)
def test_a_value_of_the_wrong_type_names_key_type_and_value(change: str, wanted: str, tmp_path: Path) -> None:
    assert wanted in refusal(change) and "--set" in refusal(change)
    path, value = change.split("=")
    text = ""
    for level, key in enumerate(path.split(".")):
        text += f"\n{' ' * level}{key}:"
    mine = written(tmp_path, f"{text} {value}")
    line = refusal(name=mine)
    assert wanted in line and mine in line


def test_a_list_of_numbers_is_checked_entry_by_entry() -> None:
    load = config_loading.load_dataclass
    recipe = load(AutomodulatorRecipe, "train/automodulator", "paper", ["images=[1, 2]", "rates=[1, 2e-3]"])
    assert recipe.images == (1, 2) and recipe.rates == (1.0, 2e-3)
    with pytest.raises(UsageError, match=r"images must be a list, each a whole number, got \[1, 'x'\]"):
        load(AutomodulatorRecipe, "train/automodulator", "paper", ["images=[1, x]"])


@pytest.mark.parametrize("change", ["crf", "=3", "", "crf=[", "crf='", "a" + ".a" * 5000 + "=1", "crf=" + "[" * 5000])
def test_an_override_that_cannot_be_read_is_one_line(change: str) -> None:
    assert "--set" in refusal(change)


@pytest.mark.parametrize(
    "value", ["${oc.env:VIDINV_SECRET}", "a${oc.env:VIDINV_SECRET}b", "${crf}", "${", "[x, '${crf}']"]
)
def test_an_interpolation_is_refused_and_never_resolved(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIDINV_SECRET", SECRET)
    mine = written(tmp_path, f"c2pa: {{key: {value!r}}}" if "[" not in value else f"edits: {value}")
    key = "c2pa.key" if "[" not in value else "edits"
    for line in (refusal(name=mine), refusal(f"{key}={value}")):
        assert SECRET not in line and ("${" in line or "plain value" in line)
    with pytest.raises(UsageError, match="plain value"):
        configs.load_run_config("fast", given={"encoder": "${oc.env:VIDINV_SECRET}"})


def test_a_backend_file_does_not_read_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIDINV_SECRET", SECRET)
    mine = written(tmp_path, "generator: ${oc.env:VIDINV_SECRET}")
    with pytest.raises(UsageError, match="generator must be a plain value") as found:
        spec.read_description(mine)
    assert SECRET not in str(found.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("crf: 1\ncrf: 2", "duplicate key crf in line 2"),
        ("mask: {blur: 0.1, blur: 0.2}", "duplicate key blur"),
        ("- crf", "is not a mapping"),
        ("crf", "crf must be a whole number, got None"),
        ("crf: [1", "not valid YAML"),
        ("crf: !!python/object/apply:os.getcwd []", "not valid YAML"),
        ("? [a]\n: 1", "not valid YAML"),
        ("\0", "not valid YAML"),
        ("crf: " + "[" * 100_000, "nested more than"),
        ("crf: " + "{a: " * 40 + "1" + "}" * 40, "nested more than"),
        ("encoder: " + "x" * 300_000, "more than 262144 bytes"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]", "alias *a in line 2"),
        ("crf: &a [*a]", "alias *a"),
    ],
)
def test_a_file_that_cannot_be_taken_is_named_in_one_line(text: str, named: str, tmp_path: Path) -> None:
    mine = written(tmp_path, text)
    line = refusal(name=mine)
    assert named in line and mine in line


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"crf: \xff\xfe")
    assert "mine.yaml cannot be read" in refusal(name=str(tmp_path / "mine.yaml"))
    assert "nosuch" in refusal(name="nosuch") and "balanced" in refusal(name="nosuch")


def test_the_command_line_refuses_a_configuration_with_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine = written(tmp_path, "crf: good")
    assert main(["run", "clip.mp4", "--edit", "age+2", "--config", mine]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and mine in line and "crf" in line and "'good'" in line


@pytest.mark.parametrize("text", ["5", "1:2:3", "2020-01-01", "hello", "''"])
def test_a_file_of_one_value_is_a_key_that_is_unknown(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.yaml").write_text(text)
    command = ["run", "talk.mp4", "--edit", "age+2", "--config", str(tmp_path / "a.yaml")]
    assert main(command) == 2
    assert "unknown configuration key" in (said := capsys.readouterr().err) and said.count("\n") == 1


@pytest.mark.parametrize("key", ["a[0]", "quality.b.c"])
def test_a_key_that_looks_like_a_path_is_unknown(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.yaml").write_text(f"{key}: 1\n")
    assert main(["run", "talk.mp4", "--edit", "age+2", "--config", str(tmp_path / "a.yaml")]) == 2
    assert "unknown configuration key" in (said := capsys.readouterr().err) and "internal" not in said


def test_a_number_that_no_float_holds_is_refused(tmp_path: Path) -> None:
    line = refusal(name=written(tmp_path, f"stall_seconds: 0x{'f' * 390}\n"))
    assert "stall_seconds must be a number" in line


@pytest.mark.parametrize("number", ["0x" + "f" * 9000, "9" * 9000, "-0b" + "1" * 90_000])
@pytest.mark.parametrize("key", ["stall_seconds", "crf", "unknown"])
def test_a_number_that_cannot_be_printed_is_refused(key: str, number: str, tmp_path: Path) -> None:
    assert "too many digits in line 1" in refusal(name=written(tmp_path, f"{key}: {number}\n"))
    assert "too many digits" in refusal(f"{key}={number}")
