"""Objects tell what they are, travel between processes where that makes sense, and keep secrets."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

import fabrik
from model import NOON, at

SECRET = "correct horse battery staple"


@pytest.fixture
def taken(tm: fabrik.TimeMachine) -> Any:
    tm.capture("q", [{"dn": "uni", "n": 0}, {"dn": "uni/tn-a"}], captured_at=NOON, connection="lab", retention_policy="forever")
    return tm.capture("q", [{"dn": "uni", "n": 1}, {"dn": "uni/tn-b"}], captured_at=at(1), connection="lab", retention_policy="forever")


def results(tm: fabrik.TimeMachine) -> "dict[str, Any]":
    diff = tm.compare("q@latest~1", "q@latest", severity=True)
    return {
        "captured": tm.capture("other", [{"dn": "uni"}]),
        "snapshot": tm.snapshot("q@latest"),
        "queries": tm.queries(),
        "changes": list(diff),
        "field": next(change for change in diff if change.kind == "changed").fields["n"],
        "summary": diff.summary,
        "timeline": tm.timeline("q", "uni"),
        "heatmap": tm.heatmap("q"),
        "keys": tm.keys("q@latest"),
        "plan": tm.plan_retention(),
        "outcome": tm.apply_retention(tm.plan_retention()),
        "verification": tm.verify(),
        "stats": tm.stats(),
    }


def test_results_pickle_and_copy(tm: fabrik.TimeMachine, taken: Any) -> None:
    for name, result in results(tm).items():
        assert pickle.loads(pickle.dumps(result)) == result, name
        assert copy.deepcopy(result) == result, name


def test_a_change_that_pickled_has_its_rows(tm: fabrik.TimeMachine, taken: Any) -> None:
    for change in tm.compare("q@latest~1", "q@latest", severity=True):
        back = pickle.loads(pickle.dumps(change))

        for name in ("kind", "key", "dn", "class_name", "row", "before", "after", "fields", "severity", "reason", "rule"):
            assert getattr(back, name) == getattr(change, name), name


def test_results_do_not_change(tm: fabrik.TimeMachine, taken: Any) -> None:
    snapshot = tm.snapshot("q@latest")

    with pytest.raises(AttributeError):
        snapshot.pinned = True  # type: ignore[misc]
    assert hash(snapshot) == hash(tm.snapshot("q@latest"))


def test_repr_tells_what_a_thing_is(tm: fabrik.TimeMachine, taken: Any) -> None:
    for name, result in results(tm).items():
        shown = repr(result)
        assert "object at 0x" not in shown, name
        assert len(shown) < 4000, name
    assert str(taken.id) in repr(taken)
    diff = tm.compare("q@latest~1", "q@latest")
    assert "q" in repr(diff) and "object at" not in repr(diff)
    assert "object at" not in repr(tm) + repr(tm.rows(taken))


def test_a_store_in_a_file_pickles_by_its_address_and_one_in_memory_does_not(tmp_path: Path) -> None:
    tm = fabrik.open(tmp_path / "fabrik.db")
    taken = tm.capture("q", [{"dn": "uni"}])

    assert pickle.loads(pickle.dumps(tm)).snapshot("q@latest").id == taken.id
    with pytest.raises((TypeError, pickle.PicklingError), match="memory"):
        pickle.dumps(fabrik.open("memory:"))


@pytest.mark.parametrize("thing", ["diff", "iterator", "rows"])
def test_what_is_bound_to_a_store_in_memory_does_not_pickle(thing: str) -> None:
    with fabrik.open("memory:") as tm:
        taken = tm.capture("q", [{"dn": "uni"}])
        diff = tm.compare(taken, taken)
        bound = {"diff": diff, "iterator": iter(diff), "rows": tm.rows(taken)}[thing]

        with pytest.raises((TypeError, pickle.PicklingError)):
            pickle.dumps(bound)


def test_secrets_are_shown_nowhere(tm: fabrik.TimeMachine) -> None:
    apic = fabrik.Apic("https://apic1.example", "admin", SECRET)
    tm.save_connection("lab", apic)

    shown = [repr(apic), str(apic), repr(apic.cls("fvBD")), repr(vars(apic)) if hasattr(apic, "__dict__") else ""]
    shown += [repr(tm.connections()), repr(tm.connection("lab"))]
    for thing in (apic, apic.cls("fvBD"), tm.connection("lab")):
        try:
            shown.append(repr(pickle.dumps(thing)))
        except (TypeError, pickle.PicklingError):
            continue
    assert not [text for text in shown if SECRET in text or "battery" in text]
    assert "apic1.example" in repr(apic) and "admin" in repr(apic)


def test_a_connection_is_saved_listed_replaced_and_removed(tm: fabrik.TimeMachine) -> None:
    tm.save_connection("lab", fabrik.Apic("https://apic1.example", "admin", SECRET))

    [connection] = tm.connections()
    assert (connection.name, connection.url, connection.username) == ("lab", "https://apic1.example", "admin")
    with pytest.raises(fabrik.Error, match="lab"):
        tm.save_connection("lab", fabrik.Apic("https://apic2.example", "admin", SECRET))
    tm.save_connection("lab", fabrik.Apic("https://apic2.example", "admin", SECRET), replace=True)
    assert tm.connections()[0].url == "https://apic2.example"
    tm.remove_connection("lab")
    assert tm.connections() == []
    with pytest.raises(fabrik.Error, match="lab"):
        tm.connection("lab")
