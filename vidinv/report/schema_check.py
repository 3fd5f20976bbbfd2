"""Check a value against the report's JSON schema, of which the keywords that it uses are known here."""

from __future__ import annotations

from typing import Any

TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def find_violation(value: Any, schema: dict[str, Any], whole: dict[str, Any], where: str = "") -> str | None:
    """The first place of `value` that breaks `schema`, a part of the schema `whole`, in words; None if there is none.

    Long columns of numbers take no time worth mentioning: where an item's schema is only a type, types are compared.
    """
    if "$ref" in schema:
        schema = {
            **whole["$defs"][schema["$ref"].rpartition("/")[2]],
            **{k: v for k, v in schema.items() if k != "$ref"},
        }
    name = where or "the report"
    if "oneOf" in schema:
        found = [find_violation(value, each, whole, where) for each in schema["oneOf"]]
        return None if None in found else found[-1]
    if "type" in schema and type(value) not in _types(schema):
        return f"{name} is {_shown(value)}"
    allowed = [schema["const"]] if "const" in schema else schema.get("enum")
    if allowed is not None and value not in allowed:
        return f"{name} is {_shown(value)}"
    if isinstance(value, dict):
        return _in_object(value, schema, whole, where)
    if isinstance(value, list):
        return _in_list(value, schema, whole, where)
    return None


def _in_object(value: dict[str, Any], schema: dict[str, Any], whole: dict[str, Any], where: str) -> str | None:
    missing = [key for key in schema.get("required", ()) if key not in value]
    if missing:
        return f"{where or 'the report'} has no {missing[0]}"
    for key, each in value.items():
        inner = schema.get("properties", {}).get(key, schema.get("additionalProperties"))
        found = None if inner is None else find_violation(each, inner, whole, f"{where}.{key[:40]}".lstrip("."))
        if found:
            return found
    return None


def _in_list(value: list[Any], schema: dict[str, Any], whole: dict[str, Any], where: str) -> str | None:
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        return f"{where} has {len(value)} entries"
    items = schema.get("items")
    if items is None or (items.keys() == {"type"} and set(map(type, value)) <= _types(items)):
        return None
    violations = (find_violation(each, items, whole, f"{where}[{k}]") for k, each in enumerate(value))
    return next((found for found in violations if found), None)


def _types(schema: dict[str, Any]) -> set[type]:
    names = schema["type"]
    return {kind for name in ([names] if isinstance(names, str) else names) for kind in TYPES[name]}


def _shown(value: Any) -> str:
    return f"{type(value).__name__} {str(value)[:40]!r}"
