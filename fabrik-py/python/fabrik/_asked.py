"""What a controller is asked, between a question in a script and a saved query of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

#: The options that the plain form of a saved query has places for, beside its filter.
OPTIONS = frozenset(
    {
        "query-target",
        "target-subtree-class",
        "rsp-subtree",
        "rsp-subtree-class",
        "rsp-subtree-filter",
        "rsp-subtree-include",
        "rsp-prop-include",
        "order-by",
        "time-range",
    }
)
FILTER = "query-target-filter"
CLASS = "/api/class/"
JSON = ".json"


def _parts(path: str) -> tuple[str, list[tuple[str, str]]]:
    """Returns whom a path asks, and its options in the order they stand in, decoded."""
    parts = urlsplit(path)
    options = [option.partition("=") for option in parts.query.split("&") if option]
    return unquote(parts.path), [(unquote(name), unquote(value)) for name, _, value in options]


def plain_form(path: str) -> dict[str, Any]:
    """Returns the fields of a saved query that asks this: its class, filter and options, or else the path."""
    target, options = _parts(path)
    names = [name for name, _ in options]
    is_of_classes = target.startswith(CLASS) and target.endswith(JSON)
    if not is_of_classes or len(set(names)) < len(names) or not OPTIONS.union({FILTER}).issuperset(names):
        return {"path": path}
    form: dict[str, Any] = {"class_name": target[len(CLASS) : -len(JSON)]}
    rest = dict(options)
    if FILTER in rest:
        form["filter"] = rest.pop(FILTER)
    if rest:
        form["options"] = rest
    return form


def is_same(one: str, other: str) -> bool:
    """Returns whether two paths ask the same, whatever the order and the spelling of their options."""
    return _normal(one) == _normal(other)


def _normal(path: str) -> tuple[str, list[tuple[str, str]]]:
    target, options = _parts(path)
    # A controller answers with the objects themselves unless told.
    return target, sorted(option for option in options if option != ("query-target", "self"))


def difference(query: Mapping[str, Any], path: str, key: Sequence[str] | None) -> str | None:
    """Returns how a saved query asks something else than this path under this key; ``None`` where it does not."""
    if query.get("flow_data") is not None:
        return "it is a graph"
    if query.get("post_processors"):
        return "it has post-processors, which change the rows"
    asked = query.get("generated_query")
    if not isinstance(asked, str):
        return "what it asks is not complete without more: " + str(query.get("problem") or "it has variables")
    if not is_same(asked, path):
        return f"it asks {asked}"
    own = list(query.get("key_fields") or [])
    if own != list(key or []):
        return f"its rows are known by {', '.join(own) or 'their DN'}"
    return None
