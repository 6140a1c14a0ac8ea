"""Rows for laws: any that JSON can hold, and some of few names and values, so that they meet."""

from __future__ import annotations

from typing import Any, List

from hypothesis import strategies as st

from model import Row

# Halves of surrogate pairs are no text, in JSON as elsewhere.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
numbers = st.one_of(
    st.integers(-5, 5),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(10**40), 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-10, 10).map(lambda number: round(number, 2)),
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=8,
)
dns = st.integers(0, 30).map(lambda number: f"uni/tn-{number}")
any_rows = st.lists(
    st.one_of(
        st.dictionaries(texts, values, max_size=5),
        st.builds(lambda name, row: {"dn": name, **row}, dns, st.dictionaries(texts, values, max_size=5)),
    ),
    max_size=12,
)

ALIKE: List[Any] = [
    None, True, False, 0, 1, 1.0, -1, "", "1", "true", "null", "a", "A", 'ä\n\\"', "\0", "{}", [], {}, [1], [1.0],
    [[1], None], {"x": 1}, {"x": {"y": "a"}}, {"x": {"y": "b"}, "x.y": "a"}, {"x": None},
]  # fmt: skip
CLASSES = ["fvBD", "fvTenant"]


def _row(name: Any, kind: Any, others: Row) -> Row:
    row = dict(others)
    if name is not None:
        row["dn"] = name[0]
    if kind is not None:
        row["className"] = kind
    return row


_some_dns = st.one_of(
    st.integers(0, 6).map(lambda number: (f"uni/tn-{number}",)),
    st.integers(0, 6).map(lambda number: (f"uni/tn-{number}",)),
    st.sampled_from([("",), (None,), (7,), ("uni",), ("uni/tn-1/BD-[x]",), ("ü",), None]),
)
meeting_row = st.builds(
    _row,
    _some_dns,
    st.sampled_from([None, 1, *CLASSES]),
    st.dictionaries(st.sampled_from(["a", "a.x", "b", "", "modTs", "ä"]), st.sampled_from(ALIKE), max_size=4),
)
meeting_rows = st.lists(meeting_row, max_size=14)


@st.composite
def two_sides(draw: Any) -> Any:
    """Two lists of rows that share many, some of them with an attribute changed."""
    before = draw(meeting_rows)
    after: List[Row] = []
    for row in before:
        fate = draw(st.sampled_from(["keep", "keep", "drop", "twice", "change"]))
        if fate == "change":
            name = draw(st.sampled_from(["a", "b", "modTs", "className"]))
            after.append({**row, name: draw(st.sampled_from(ALIKE))})
        else:
            after.extend([row] * {"keep": 1, "drop": 0, "twice": 2}[fate])
    after.extend(draw(st.lists(meeting_row, max_size=4)))
    return before, draw(st.permutations(after))


keys = st.sampled_from(["auto", "dn", "hash", "a", "b", "className,b", "a.x", "a.x.y"])
ignores = st.lists(
    st.sampled_from(["modTs", "a", "*", "fvBD.*", "fvBD.modTs", "fv*.b", "*.a", "uni/tn-1*", "dn:uni", "dn:*", "?"]),
    max_size=3,
)
