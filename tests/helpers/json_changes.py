"""Every small change of a JSON document that another program, or an attacker, could make."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import Any

OTHER_VALUES = (None, True, -1, 3, 1e300, 10**30, "", "x" * 50, "../../a", "\ud800", [], [[]], {}, {"a": 1})


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value; of a list only the first and the last entry's."""
    if path:
        yield path
    keys: Iterable[Any] = document if isinstance(document, dict) else ()
    if isinstance(document, list):
        keys = sorted({0, len(document) - 1}) if document else ()
    for key in keys:
        yield from places(document[key], (*path, key))


def changed(document: Any) -> Iterator[tuple[str, Any]]:
    """Copies of the document with one value replaced by each of OTHER_VALUES, or removed; with a name of the change."""
    for path in places(document):
        for value in (*OTHER_VALUES, KeyError):
            made = copy.deepcopy(document)
            parent = made
            for key in path[:-1]:
                parent = parent[key]
            if value is KeyError:
                del parent[path[-1]]
            else:
                parent[path[-1]] = value
            yield f"{'.'.join(map(str, path))} = {'missing' if value is KeyError else str(value)[:20]!r}", made
