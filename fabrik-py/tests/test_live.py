"""Controllers: questions, live captures, saved connections, against the simulated one."""

from __future__ import annotations

import itertools
import pickle
import warnings
from datetime import timedelta
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

import fabrik


@pytest.fixture
def controller() -> Iterator[fabrik.Simulator]:
    with fabrik.Simulator(seed=7, objects=600) as simulator:
        yield simulator


def test_a_live_capture_has_what_the_controller_answers(tm: fabrik.TimeMachine, controller: fabrik.Simulator) -> None:
    taken = tm.capture("bds", controller.cls("fvBD"))
    answered = tm.capture("answered", controller.answer("/api/class/fvBD.json"))

    assert taken.row_count > 5
    assert taken.verdict.is_complete
    assert tm.compare(answered, taken).summary.is_equal
    assert all(row["className"] == "fvBD" for row in tm.rows(taken))


def test_what_changes_in_the_fabric_is_what_the_comparison_shows(
    tm: fabrik.TimeMachine, controller: fabrik.Simulator
) -> None:
    tm.capture("all", controller.mo("uni", query_target="subtree"))
    dn = next(change["dn"] for change in tm.rows(tm.capture("bds", controller.cls("fvBD"))))
    controller.post("uni", {"fvBD": {"attributes": {"dn": dn, "descr": "touched by hand"}}})
    controller.advance(timedelta(minutes=5))
    tm.capture("all", controller.mo("uni", query_target="subtree"))

    diff = tm.compare("all@latest~1", "all@latest", noise=True)

    assert [(change.dn, list(change.fields)) for change in diff] == [(dn, ["descr"])]
    assert next(iter(diff)).fields["descr"].after == "touched by hand"


def test_a_fabric_of_one_seed_is_the_same_fabric(tm: fabrik.TimeMachine) -> None:
    hashes: List[str] = []
    for seed in (3, 3, 4):
        with fabrik.Simulator(seed=seed, objects=300, start="2026-03-01T00:00:00Z") as simulator:
            hashes.append(tm.capture(f"seed {seed}", simulator.cls("fvBD")).version_hash)

    assert hashes[0] == hashes[1] != hashes[2]


def test_a_filter_asks_for_some_only(tm: fabrik.TimeMachine, controller: fabrik.Simulator) -> None:
    everything = tm.capture("all", controller.cls("fvBD"))
    some = tm.capture("some", controller.cls("fvBD", filter='eq(fvBD.arpFlood,"yes")', attributes="config-only"))

    expected = sum(1 for row in tm.rows(everything) if row["arpFlood"] == "yes")
    assert some.row_count == expected
    assert some.coverage == "config-only"


def test_a_question_says_what_it_asks(controller: fabrik.Simulator) -> None:
    question = controller.cls("fvBD", filter='eq(fvBD.name,"web")', rsp_subtree="full")

    assert "/api/class/fvBD.json" in question.path and "rsp-subtree=full" in question.path
    assert question.class_name == "fvBD"
    assert controller.url in str(question)
    for wrong in ({"name": ""}, {"name": "fv BD"}, {"name": "fvBD", "filter": "eq("}):
        with pytest.raises(fabrik.InvalidInput, match="expected"):
            controller.cls(**wrong)


def test_a_saved_connection_is_asked_again_without_rows(tmp_path: Path, controller: fabrik.Simulator) -> None:
    with fabrik.open(tmp_path / "fabrik.db") as tm:
        apic = fabrik.Apic(controller.url, "admin", "simulator", verify=controller.certificate or True)
        assert apic.check().version
        tm.save_connection("lab", apic)
        first = tm.capture("bds", tm.connection("lab").cls("fvBD"))

    with fabrik.open(tmp_path / "fabrik.db") as tm:
        again = tm.capture("bds", connection="lab")
        assert (first.connection, again.connection) == ("lab", "lab")
        assert again.row_count == first.row_count
        assert again.previous_snapshot_id == first.id
        with pytest.raises(fabrik.InvalidInput, match="never asked"):
            tm.capture("never asked", connection="lab")


def test_a_wrong_password_is_refused_and_not_repeated(tm: fabrik.TimeMachine, controller: fabrik.Simulator) -> None:
    apic = fabrik.Apic(controller.url, "admin", "wrong horse", verify=controller.certificate or True)

    with pytest.raises(fabrik.SourceFailed) as caught:
        tm.capture("bds", apic.cls("fvBD"))

    assert controller.url in str(caught.value)
    assert "wrong horse" not in str(caught.value)
    assert tm.snapshots() == []


def test_a_certificate_that_nobody_vouches_for_is_refused(
    tm: fabrik.TimeMachine, controller: fabrik.Simulator
) -> None:
    with pytest.raises(fabrik.SourceFailed, match="(?i)certificate"):
        tm.capture("bds", fabrik.Apic(controller.url, "admin", "simulator").cls("fvBD"))
    with pytest.warns(fabrik.InsecureConnectionWarning, match="not checked"):
        unchecked = fabrik.Apic(controller.url, "admin", "simulator", verify=False)
    assert tm.capture("bds", unchecked.cls("fvBD")).row_count > 5


def test_a_controller_that_is_gone_is_named(tm: fabrik.TimeMachine) -> None:
    with fabrik.Simulator(seed=1, objects=50) as simulator:
        question, url = simulator.cls("fvBD"), simulator.url

    with pytest.raises(fabrik.SourceFailed, match=url):
        tm.capture("bds", question)


def test_progress_is_told_and_what_it_raises_ends_the_capture(tm: fabrik.TimeMachine) -> None:
    told: List[fabrik.Progress] = []

    def until_told() -> Iterator[Dict[str, Any]]:
        for number in itertools.count():
            if told:
                return
            yield {"dn": f"uni/tn-{number}"}

    taken = tm.capture("q", until_told(), progress=told.append)
    assert 0 <= told[0].rows <= taken.row_count
    assert told[0].total_rows is None

    def stop(_: fabrik.Progress) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        tm.capture("more", ({"dn": f"uni/tn-{number}"} for number in itertools.count()), progress=stop)
    assert [query.name for query in tm.queries()] == ["q"]


def test_a_recorded_answer_is_a_source(tm: fabrik.TimeMachine, controller: fabrik.Simulator, tmp_path: Path) -> None:
    path = tmp_path / "answer.json"
    path.write_bytes(controller.answer("/api/class/fvBD.json"))
    recorded = fabrik.Recorded(path, coverage="config-only")

    assert tm.capture("bds", recorded).coverage == "config-only"
    assert tm.capture("bds", pickle.loads(pickle.dumps(recorded))).is_duplicate
    assert "answer.json" in repr(recorded)


def test_a_closed_simulator_says_so() -> None:
    simulator = fabrik.Simulator(seed=1, objects=10)
    simulator.close()
    simulator.close()

    with pytest.raises((fabrik.Error, ValueError), match="closed"):
        simulator.answer("/api/class/fvBD.json")


def test_nobody_is_warned_without_a_reason(tm: fabrik.TimeMachine, controller: fabrik.Simulator) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tm.capture("bds", controller.cls("fvBD"))
