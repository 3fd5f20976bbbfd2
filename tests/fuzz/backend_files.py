"""Fuzz the readers of backends and configurations (`vidinv.backends.spec`, `vidinv.config`)."""

from __future__ import annotations

from importlib import resources
from random import Random

from tests.fuzz import edit_grammar
from tests.fuzz.harness import mutated, refusals, written
from vidinv import config
from vidinv.backends import spec
from vidinv.config_loading import presets
from vidinv.errors import UsageError

SAMPLES = [
    b"generator: stylegan2-tiny\nalignment: none\ndetection: full\nmask: square\nidentity: none\nguides: pixels\n"
    b"measures: none\nmargin: 1.2\ndirections: [a.safetensors, smile]\nlabel: 3\n",
    b'{"generator": "stylegan2-tiny", "alignment": "center", "mask": "ellipse", "boxes": "boxes.csv"}',
    *(resources.files("vidinv.configs").joinpath("run", f"{name}.yaml").read_bytes() for name in presets()),
]
KEYS = (*spec.Description.__dataclass_fields__, *config.RunConfig.__dataclass_fields__, "mask.blur", "refine", "a[0]")
VALUES = (
    *(
        "1",
        "-1",
        "0.5",
        "1e999",
        ".inf",
        ".nan",
        "true",
        "null",
        "~",
        "''",
        "[]",
        "[1, a]",
        "[[a]]",
        "{}",
        "{a: {b: 1}}",
    ),
    *(
        "ffhq",
        "none",
        "faces",
        "fast",
        "${oc.env:HOME}",
        "${generator}",
        "${",
        "???",
        "&x 1",
        "*x",
        "!!int a",
        "9" * 5000,
    ),
    *(
        "0x" + "f" * 9000,
        "1:2:3",
        "2020-01-01",
        "'\\ud800'",
        '"\\ud800"',
        '"\\0"',
        "|",
        ">-",
        "[" * 20,
        "a" * 70000,
        "../../x",
    ),
)


def make(chance: Random) -> bytes:
    """A backend or a configuration: a damaged one, keys with odd values, or pieces of YAML in any order."""
    kind = chance.randrange(10)
    if kind < 3:
        return mutated(SAMPLES, chance)
    if kind < 5:
        return "".join(chance.choice((*edit_grammar.YAML, *VALUES)) for _ in range(chance.randrange(16))).encode()
    lines = [f"{chance.choice(KEYS)}: {chance.choice(VALUES)}" for _ in range(chance.randrange(1, 6))]
    return "\n".join(["generator: stylegan2-tiny", *lines][chance.randrange(2) :]).encode()


def one(data: bytes) -> None:
    """Read `data` as a backend and as a run's configuration; both are plain values then."""
    path = str(written(data, "a.yaml"))
    with refusals(UsageError):
        spec.read_description(path)
    with refusals(UsageError):
        config.to_yaml(config.load_run_config(path))
