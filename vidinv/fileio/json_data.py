"""Read JSON that somebody hands over within bounds, and write values as JSON text that is always valid UTF-8."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from vidinv.fileio.regular_file import read_regular

LARGEST_JSON = 1 << 26  # bytes; the report on two hours of one face has some 40 MB
DEEPEST = 32  # lists and objects inside each other; ours have some eight
MOST_MEMORY = 640 << 20  # bytes that the values may take, by `_memory`
LARGEST_NUMBER = 10**19
Kind = TypeVar("Kind")


class BadJson(ValueError):
    """A text is not JSON, or it is over a limit; the message is one line."""


def read_json(path: Path, largest: int = LARGEST_JSON) -> Any:
    """The value in the JSON file at `path`. Raises OSError, also for more than `largest` bytes, and BadJson."""
    return parse_json(read_regular(path, largest))


def parse_json(data: bytes | str) -> Any:
    """The value of a JSON text, from bytes as UTF-8.

    Raises BadJson for invalid JSON, a key that occurs twice in an object, numbers that are not finite or beyond
    LARGEST_NUMBER, more than DEEPEST levels, and values that would take more than MOST_MEMORY.
    """
    try:
        raw = data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data
        if _memory(raw) > MOST_MEMORY:
            raise BadJson("its values take too much memory")
        text = raw.decode("utf-8-sig") if isinstance(data, bytes) else data
        value = json.loads(text, parse_constant=_not_finite, object_pairs_hook=_without_twins)
    except UnicodeDecodeError as error:
        raise BadJson("it is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise BadJson(f"it is not JSON: {error.msg} in line {error.lineno}") from error
    except RecursionError as error:
        raise BadJson(f"it is nested more than {DEEPEST} levels deep") from error
    except BadJson:
        raise
    except ValueError as error:  # Python refuses to read a number of thousands of digits
        raise BadJson("it holds a number that is too long") from error
    _check_values(value)
    return value


def json_text(value: Any, *, indent: int | None = None) -> str:
    r"""The JSON text of `value`, of which `parse_json` gives the same value back.

    Characters are written as they are; the bytes of a name that is not UTF-8 become \udc80 to \udcff.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def record_of(kind: type[Kind], values: Any) -> Kind:
    """Make the dataclass `kind` of a parsed object; lists become tuples where a field is one.

    Raises BadJson unless the object has a value of the right type for every field without a default, and no other keys.
    """
    if not isinstance(values, dict):
        raise BadJson(f"{kind.__name__} is not an object")
    hints: dict[str, Any] = _hints(kind)  # type: ignore[arg-type]
    if unknown := sorted(values.keys() - hints.keys()):
        raise BadJson(f"{kind.__name__} has no {unknown[0][:40]!r}")
    made = {name: _typed(hints[name], value, name) for name, value in values.items()}
    try:
        return kind(**made)
    except TypeError as error:
        raise BadJson(f"{kind.__name__} is incomplete") from error


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """The types of the fields of a dataclass."""
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _typed(hint: Any, value: Any, name: str) -> Any:
    """`value` as the type `hint`: a plain type, a dataclass, Any, a union, or a tuple, list or dict of those."""
    if hint is Any or type(value) in _plain_types(hint):
        return value
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        for each in inner:
            try:
                return _typed(each, value, name)
            except BadJson:
                continue
    elif isinstance(hint, type) and is_dataclass(hint):
        return record_of(hint, value)
    elif origin is tuple and isinstance(value, list):
        kinds = [inner[0]] * len(value) if inner[1:] == (...,) else inner
        if len(kinds) == len(value):
            return tuple(_typed(each, part, name) for each, part in zip(kinds, value, strict=True))
    elif origin is list and isinstance(value, list):
        return [_typed(inner[0], part, name) for part in value]
    elif origin in (dict, Mapping) and isinstance(value, dict):
        return {key: _typed(inner[1], part, name) for key, part in value.items()}
    raise BadJson(f"{name} is {str(value)[:40]!r}")


@cache
def _plain_types(hint: Any) -> frozenset[type]:
    """The types of the values that are as they are values of `hint`, a plain type or a union of some."""
    if get_origin(hint) in (Union, types.UnionType):
        return frozenset().union(*map(_plain_types, get_args(hint)))
    return frozenset() if get_origin(hint) else frozenset({int, float} if hint is float else {hint})


def _memory(raw: bytes) -> int:
    """An upper estimate of the bytes that the text and the values of a JSON text take together."""
    text = 3 if raw.isascii() else 9
    return text * len(raw) + 40 * raw.count(b",") + 160 * raw.count(b":") + 80 * (raw.count(b"[") + raw.count(b"{"))


def _not_finite(text: str) -> float:
    raise BadJson(f"it holds the number {text}")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise BadJson("a key occurs twice in one object")
    return made


def _check_values(value: Any) -> None:
    """Raise BadJson for a number or a depth over the limits; lists and objects are walked level by level."""
    level = [[value]]
    for _ in range(DEEPEST + 1):
        for values in level:
            kinds = set(map(type, values))
            numbers = values if kinds <= {int, float} else [each for each in values if type(each) in (int, float)]
            if numbers and not -LARGEST_NUMBER <= min(numbers) <= max(numbers) <= LARGEST_NUMBER:
                raise BadJson("it holds a number that is too large")
        level = [
            list(child.values()) if isinstance(child, dict) else child
            for values in level
            for child in values
            if isinstance(child, dict | list)
        ]
        if not level:
            return
    raise BadJson(f"it is nested more than {DEEPEST} levels deep")
