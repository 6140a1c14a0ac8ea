"""Errors are a small tree, the same as the engine's, and say what was wrong with what and what was expected."""

from __future__ import annotations

import pickle
import re
import sqlite3
from pathlib import Path
from typing import Any, Dict, Set, Type

import pytest

import fabrik

ENGINE = Path(__file__).parents[2] / "fabrik-core" / "src" / "error.rs"


def tree(root: Type[fabrik.Error]) -> Set[Type[fabrik.Error]]:
    return {root}.union(*(tree(below) for below in root.__subclasses__()))


def codes() -> Dict[str, Type[fabrik.Error]]:
    return {error.code: error for error in tree(fabrik.Error) if "code" in vars(error)}


def test_every_kind_of_the_engine_is_an_exception_of_its_own() -> None:
    source = ENGINE.read_text(encoding="utf-8")
    body = source[source.index("pub fn code(self)") :]
    kinds = re.findall(r'Self::\w+ => "(\w+)"', body[: body.index("\n    }\n}")])
    assert len(kinds) >= 8

    for kind in kinds:
        assert issubclass(codes()[kind], fabrik.Error), kind


def test_no_two_exceptions_share_a_code() -> None:
    named = [error for error in tree(fabrik.Error) if "code" in vars(error)]

    assert len(named) == len({error.code for error in named})


def test_exceptions_are_also_what_python_calls_them() -> None:
    assert issubclass(fabrik.InvalidInput, ValueError)
    assert issubclass(fabrik.NotFound, LookupError)
    assert issubclass(fabrik.Error, Exception)


def test_all_exceptions_are_exported() -> None:
    for error in tree(fabrik.Error):
        assert getattr(fabrik, error.__name__) is error
        assert error.__doc__


@pytest.mark.parametrize("error", sorted(tree(fabrik.Error), key=lambda error: error.__name__))
def test_an_exception_pickles(error: Any) -> None:
    back = pickle.loads(pickle.dumps(error("what was wrong")))

    assert (type(back), str(back), back.code) == (error, "what was wrong", error("x").code)


BAD = [
    (dict(query=""), ["query", '""', "1 to 200"]),
    (dict(query="a\nb"), ["query", "1 to 200"]),
    (dict(label="x" * 101), ["label", "at most 100"]),
    (dict(annotation="x" * 10_001), ["annotation", "at most 10000"]),
    (dict(retention_policy="3 weeks"), ["retention policy", "3 weeks", "30d"]),
    (dict(captured_at="yesterday"), ["captured_at", "yesterday"]),
    (dict(key="a,a"), ["key", "a,a", "different"]),
    (dict(connection=""), ["connection", "1 to 200"]),
]


@pytest.mark.parametrize("arguments, words", BAD, ids=lambda value: str(value)[:40])
def test_a_bad_argument_is_named_with_its_value_and_what_was_expected(arguments: Any, words: Any) -> None:
    with fabrik.open("memory:") as tm:
        with pytest.raises(fabrik.InvalidInput) as caught:
            tm.capture(**{"query": "q", "rows": [{"dn": "uni"}], **arguments})

        missing = [word for word in words if word not in str(caught.value)]
        assert not missing, str(caught.value)
        assert caught.value.code == "invalid_input"
        assert tm.snapshots() == []


@pytest.mark.parametrize("address", ["postgres:", "mysql://localhost/db", "sqlite:", ""])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(fabrik.Error) as caught:
        fabrik.open(address)

    assert address in str(caught.value)


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.db"
    path.write_text("no store")

    with pytest.raises(fabrik.Error, match="notes.db"):
        fabrik.open(path)

    assert path.read_text() == "no store"


def test_reading_goes_on_while_somebody_writes(tmp_path: Path) -> None:
    path = tmp_path / "fabrik.db"
    with fabrik.open(path) as tm:
        tm.capture("q", [{"dn": "uni"}])
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")

        assert len(list(tm.rows("q@latest"))) == len(tm.snapshots()) == 1
        other.execute("ROLLBACK")
        other.close()


def test_damage_names_the_snapshots_that_it_hurts(tmp_path: Path) -> None:
    path = tmp_path / "fabrik.db"
    with fabrik.open(path) as tm:
        taken = tm.capture("q", [{"dn": f"uni/tn-{number}", "n": number} for number in range(500)])
    with sqlite3.connect(path) as other:
        other.execute("UPDATE chunk SET frame = CAST(x'00ff' || frame AS BLOB)")
    other.close()

    with fabrik.open(path) as tm:
        with pytest.raises(fabrik.Damaged, match=str(taken.id)) as caught:
            list(tm.rows("q@latest"))
        assert caught.value.code == "damaged"
        damage = tm.verify().damage
    assert damage and any(taken.id in found.snapshots for found in damage)
