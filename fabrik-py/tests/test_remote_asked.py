"""Questions and saved queries ask the same, or it is told how they differ."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from fabrik._asked import difference, is_same, plain_form

FILTER = 'eq(fvBD.name,"a b")'


def test_the_order_and_the_spelling_of_options_mean_nothing() -> None:
    options = ["query-target-filter=eq(fvBD.name,%22a%20b%22)", "rsp-subtree=full", "rsp-prop-include=config-only"]
    paths = ["/api/class/fvBD.json?" + "&".join(order) for order in permutations(options)]
    paths.append('/api/class/fvBD.json?query-target=self&rsp-subtree=full&query-target-filter=eq(fvBD.name,"a b")')
    paths[-1] += "&rsp-prop-include=config%2Donly"

    assert all(is_same(one, other) for one in paths for other in paths)


@pytest.mark.parametrize(
    "other",
    [
        "/api/class/fvCtx.json",
        "/api/class/fvBD.json?rsp-subtree=full",
        "/api/class/fvBD.json?query-target=subtree",
        "/api/mo/uni/tn-a.json",
        "/api/node/class/fvBD.json",
        "/api/class/fvBD.xml",
    ],
)
def test_other_questions_are_others(other: str) -> None:
    assert not is_same("/api/class/fvBD.json", other)
    assert difference({"generated_query": other}, "/api/class/fvBD.json", None) == f"it asks {other}"


def test_a_class_with_options_is_saved_in_its_parts_and_all_else_as_a_path() -> None:
    path = "/api/class/fvBD.json?query-target-filter=eq(fvBD.name,%22a%20b%22)&rsp-subtree=full"
    assert plain_form(path) == {"class_name": "fvBD", "filter": FILTER, "options": {"rsp-subtree": "full"}}
    assert plain_form("/api/class/fvBD,fvCtx.json") == {"class_name": "fvBD,fvCtx"}
    for whole in (
        "/api/mo/uni/tn-a.json?query-target=subtree",
        "/api/node/class/topology/pod-1/node-101/faultInst.json",
        "/api/class/fvBD.json?rsp-subtree=full&rsp-subtree=no",
        "/api/class/fvBD.json?something-new=1",
        "/api/class/fvBD.xml",
    ):
        assert plain_form(whole) == {"path": whole}


@pytest.mark.parametrize(
    ("query", "key", "told"),
    [
        ({}, None, None),
        ({"key_fields": []}, None, None),
        ({"key_fields": ["name"]}, ["name"], None),
        ({"key_fields": ["name"]}, None, "known by name"),
        ({}, ["name"], "known by their DN"),
        ({"flow_data": {"nodes": []}}, None, "a graph"),
        ({"post_processors": [{"processorType": "limit"}]}, None, "post-processors"),
        ({"generated_query": None, "problem": "no value for x"}, None, "no value for x"),
    ],
)
def test_what_differs_is_told(query: dict[str, Any], key: list[str] | None, told: str | None) -> None:
    path = "/api/class/fvBD.json"

    found = difference({"generated_query": path, **query}, path, key)

    assert found is None if told is None else told in (found or "")
