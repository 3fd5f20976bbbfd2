"""Check YAML that somebody hands over before it is loaded: its size, its depth, plain types and no aliases."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from vidinv.errors import UsageError
from vidinv.fileio import open_regular

LARGEST = 1 << 18  # bytes of a configuration
DEEPEST = 16  # lists and groups of keys inside each other; ours have three
NUMBER = re.compile(r"[+-]?\d[\w.:]{400}")  # Python takes long ones from hexadecimal, and then cannot print them
TAGS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq"))


def read_yaml_text(path: Path, what: str, largest: int = LARGEST) -> str:
    """The text of the YAML file at `path`, checked by `check_yaml`.

    `what` names the file in an error: UsageError where it cannot be read, or has more than `largest` bytes.
    """
    try:
        with open_regular(path) as file:
            data = file.read(largest + 1)
        text = data.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{what} {path} cannot be read ({error})", remedy="give a YAML file") from error
    if len(data) > largest:
        raise UsageError(f"{what} {path} has more than {largest} bytes", remedy="give a shorter file")
    check_yaml(text, f"{what} {path}")
    return text


def check_yaml(text: str, where: str) -> None:
    """UsageError unless `text` is YAML of plain values (TAGS), nested at most DEEPEST levels, without an alias.

    The parser's events are counted one by one, so this neither recurses nor copies: an alias to a list of aliases
    would grow when it is copied, and a list that holds itself would never end.
    """
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                line = event.start_mark.line + 1
                raise UsageError(f"{where} has the alias *{event.anchor} in line {line}", remedy="write its value out")
            if isinstance(event, yaml.NodeEvent) and (tag := getattr(event, "tag", None)) not in (None, "!", *TAGS):
                line = event.start_mark.line + 1
                what = f"line {line} has a value of the type {tag}"
                raise UsageError(f"{where} is not valid YAML: {what}", remedy="write plain values")
            if isinstance(event, yaml.ScalarEvent) and event.style is None and NUMBER.match(event.value):
                line = event.start_mark.line + 1
                raise UsageError(
                    f"{where} has a number of too many digits in line {line}", remedy="write a shorter one"
                )
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > DEEPEST:
                raise UsageError(f"{where} is nested more than {DEEPEST} levels deep", remedy="give a flat one")
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is not valid YAML: {yaml_problem(error)}", remedy="check its syntax") from error


def yaml_problem(error: yaml.YAMLError) -> str:
    """What the YAML parser says, on one line, with the place."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} in line {error.problem_mark.line + 1}"
    return str(error).splitlines()[0]
