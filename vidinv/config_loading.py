"""Load a frozen dataclass from a shipped or a user's YAML file and `KEY=VALUE` changes, checked by OmegaConf.

The dataclass is the schema (an OmegaConf structured config): it names the keys, their types and their defaults. A
value is taken as it is written: OmegaConf's interpolations (`${oc.env:HOME}`) are refused and never resolved.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from vidinv.bounded_yaml import DEEPEST, check_yaml, read_yaml_text, yaml_problem
from vidinv.errors import UsageError

if TYPE_CHECKING:
    from importlib.abc import Traversable

Kind = TypeVar("Kind")
Values = Mapping[str, Any]
MISSING = "???"  # OmegaConf's mark of a missing value
NULL = "tag:yaml.org,2002:null"
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


def load_dataclass(
    kind: type[Kind],
    group: str,
    name_or_path: str,
    overrides: Sequence[str] | None = None,
    given: Values | None = None,
) -> Kind:
    """A dataclass `kind` from a shipped configuration of `group` (`run`) or a YAML file, changed.

    The values `given` come first, unchanged; then the `key=value` overrides, read as YAML, whose keys may be dotted
    (`mask.blur=0.03`). Raises UsageError with the file and the key for an unknown key (with similar ones), a value of
    the wrong type, an interpolation, and an unknown name.
    """
    return from_layers(
        kind,
        {
            f"configuration {name_or_path}": _read_group(group, name_or_path),
            "options": given or {},
            "--set": _read_overrides(overrides or []),
        },
    )


def from_layers(kind: type[Kind], layers: Mapping[str, Values]) -> Kind:
    """A dataclass `kind`: its defaults, changed by each layer in turn; errors name a layer by its key.

    Raises UsageError as `load_dataclass` does.
    """
    merged: Any = OmegaConf.structured(kind)
    defaults = OmegaConf.to_container(merged)
    for where, values in layers.items():
        for key, value in values.items():
            _check_plain(where, (str(key),), value, defaults)
        merged = _merged(merged, where, values, defaults)
    built: Kind = OmegaConf.to_object(merged)  # type: ignore[assignment]
    return built


def _merged(config: Any, where: str, values: Values, defaults: Any) -> Any:
    """Merge the `values` of one layer into the structured `config`. UsageError names the first invalid key."""
    try:
        return OmegaConf.merge(config, dict(values))
    except (OmegaConfBaseException, TypeError, OverflowError):
        for key, value in values.items():  # some of OmegaConf's errors do not name the key
            try:
                OmegaConf.merge(config, {str(key): value})
            except (OmegaConfBaseException, TypeError, OverflowError) as error:
                raise _refusal(error, where, str(key), values, defaults) from error
        raise


def presets(group: str = "run") -> list[str]:
    """Names of the shipped configurations of a group."""
    folder = _folder(group)
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def _folder(group: str) -> Traversable:
    return resources.files("vidinv.configs").joinpath(*group.split("/"))


def _read_group(group: str, name_or_path: str) -> Values:
    """The values of a shipped configuration or of a file. Raises UsageError if there is neither."""
    shipped = _folder(group) / f"{name_or_path}.yaml"
    path, where = Path(name_or_path), f"configuration {name_or_path}"
    if "/" not in name_or_path and shipped.is_file():
        text = shipped.read_text(encoding="utf-8")
    elif path.is_file():
        text = read_yaml_text(path, "configuration")
    else:
        raise UsageError(f"no {where}", remedy=f"give a file or one of {', '.join(presets(group))}")
    values = _plain(text, where)
    if not isinstance(values, dict):
        raise UsageError(f"{where} is not a mapping", remedy="write one KEY: VALUE per line")
    return values


def read_plain_yaml(path: Path, what: str) -> Any:
    """The values of a YAML file; `${...}` stays text. UsageError, which names `what`, as `read_yaml_text` raises it."""
    return _plain(read_yaml_text(path, what), f"{what} {path}")


def _plain(text: str, where: str) -> Any:
    """The values of YAML text by OmegaConf's loader, which parses its numbers and refuses duplicate keys."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if isinstance(root, yaml.ScalarNode) and root.tag != NULL:  # OmegaConf takes text as a key, but no number
            return {root.value: None}
        return OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is not valid YAML: {yaml_problem(error)}", remedy="check its syntax") from error
    except OmegaConfBaseException as error:
        raise UsageError(
            f"{where} has a value with ${{...}} that cannot be read", remedy="write plain values"
        ) from error
    except ValueError as error:  # a number of too many digits
        raise UsageError(f"{where} has a value that cannot be read ({error})", remedy="write plain values") from error


def _read_overrides(overrides: Sequence[str]) -> Values:
    """The values of `KEY=VALUE` strings, nested by the dots of their keys; the last value of a key wins."""
    for text in overrides:
        key, sign, value = text.partition("=")
        if not sign or not key.strip() or key.count(".") + key.count("[") > DEEPEST:
            raise UsageError(f"--set {text!r} does not name a key and a value", remedy="write --set KEY=VALUE")
        if "${" in text:
            raise UsageError(f"--set {text!r} must give a plain value", remedy="write it out")
        check_yaml(value, f"--set {text!r}")
    try:
        values = OmegaConf.to_container(OmegaConf.from_dotlist(list(overrides)), resolve=False)
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UsageError(f"--set: {_first_line(error)}", remedy="write --set KEY=VALUE") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


def _check_plain(where: str, path: tuple[str, ...], value: Any, defaults: Any) -> None:
    """Raise UsageError for values that OmegaConf would resolve, skip or convert instead of taking literally."""
    default = _at(defaults, path)
    if isinstance(value, str) and ("${" in value or value == MISSING):
        raise UsageError(f"{where}: {_dotted(path)} must be a plain value, got {value!r}", remedy="write it out")
    if (isinstance(default, str) and isinstance(value, bool)) or (
        isinstance(default, list | tuple) and _holds_containers(value)
    ):
        raise UsageError(
            f"{where}: {_dotted(path)} must be {_words(default)}, got {value!r}", remedy=_remedy(path, default)
        )
    for inner, entry in _entries(value):
        _check_plain(where, (*path, inner), entry, defaults)


def _entries(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((str(key), entry) for key, entry in value.items())
    elif isinstance(value, list | tuple):
        yield from ((str(place), entry) for place, entry in enumerate(value))


def _holds_containers(value: Any) -> bool:
    return isinstance(value, list | tuple) and any(isinstance(entry, list | tuple | dict) for entry in value)


def _refusal(error: Exception, where: str, key: str, values: Values, defaults: Any) -> UsageError:
    """The UsageError for an OmegaConf error in values[key]."""
    named = getattr(error, "full_key", None) or key
    path = tuple(named.replace("[", ".").replace("]", "").split("."))
    if isinstance(error, ConfigKeyError):
        known = _at(defaults, path[:-1])
        if not isinstance(known, Mapping):  # brackets in an unknown key, such as `a[0]`, were read as levels
            path, known = path[:1], defaults
        near = difflib.get_close_matches(path[-1], known, n=3, cutoff=0.4) or sorted(known)
        names = ", ".join(_dotted((*path[:-1], name)) for name in near)
        return UsageError(f"{where}: unknown configuration key {named!r}", remedy=f"near keys: {names}")
    default, found = _at(defaults, path), _at(values, path)
    return UsageError(f"{where}: {named} must be {_words(default)}, got {found!r}", remedy=_remedy(path, default))


def _at(values: Any, path: Sequence[str]) -> Any:
    """The entry of nested groups and lists at a path; None if there is none."""
    for step in path:
        if isinstance(values, Mapping):
            values = values.get(step)
        elif isinstance(values, list | tuple) and step.isdigit() and int(step) < len(values):
            values = values[int(step)]
        else:
            return None
    return values


def _words(default: Any) -> str:
    """The expected type of a value, in words, from its default in the schema."""
    if isinstance(default, Mapping):
        return "a group of keys"
    if isinstance(default, list | tuple):
        return f"a list, each {WORDS[type(default[0])]}" if default else "a list, each text"
    return WORDS.get(type(default), "a plain value")


def _remedy(path: Sequence[str], default: Any) -> str:
    return f"set {_dotted(path)}.KEY=VALUE" if isinstance(default, Mapping) else f"its default is {default!r}"


def _dotted(path: Sequence[str]) -> str:
    return ".".join(path)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
