"""A running server answers as the engine does over the same store."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import pickle
import struct
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import fabrik
import pytest
import server as servers

DN = "uni/tn-common/BD-default"
NEW = "uni/tn-common/BD-new"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[servers.Lab]:
    with servers.lab(tmp_path_factory.mktemp("lab")) as lab:
        yield lab


@pytest.fixture(scope="module")
def apic(lab: servers.Lab) -> fabrik.Apic:
    return fabrik.Apic(lab.controller, "reader", servers.CONTROLLER_PASSWORD, verify=lab.authority)


@pytest.fixture(scope="module")
def tm(lab: servers.Lab, apic: fabrik.Apic) -> Iterator[fabrik.TimeMachine]:
    with fabrik.connect(lab.url, token=lab.token) as tm:
        tm.save_connection("Lab fabric", apic)
        yield tm


@pytest.fixture(scope="module")
def history(lab: servers.Lab, tm: fabrik.TimeMachine, apic: fabrik.Apic) -> list[fabrik.Captured]:
    """Three snapshots of the query ``bd-health``: an object comes and changes."""
    lab.set(DN, descr="first", arpFlood="no")
    captured = [tm.capture("bd-health", apic.cls("fvBD"), annotation="before the change", label="baseline")]
    lab.set(DN, descr='"quoted", ä', arpFlood="yes")
    lab.set(NEW, name="new")
    captured.append(tm.capture("bd-health", apic.cls("fvBD")))
    lab.set(NEW, descr="b")
    captured.append(tm.capture("bd-health", apic.cls("fvBD"), retention_policy="1y"))
    return captured


@pytest.fixture
def local(lab: servers.Lab, history: object) -> Iterator[fabrik.TimeMachine]:
    """The engine over the store of the server."""
    with fabrik.open(lab.store) as local:
        yield local


def series_of(tm: fabrik.TimeMachine, name: str) -> str:
    """How the store of a server calls the history of a saved query."""
    return str(next(query.id for query in tm.queries() if query.name == name))


def without(document: Any, *names: str) -> dict[str, Any]:
    """Takes away what only the server or only the store knows: its ids and names of queries and connections."""
    return {name: value for name, value in document.items() if name not in names}


# ---- The same answers ----


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ignore": ["descr"]},
        {"ignore": "fvBD.descr"},
        {"severity": True, "noise": True},
        {"severity": True, "min_severity": "high"},
        {"key": ["name"]},
        {"key": "hash"},
        {"key": "dn"},
        {"noise": '[[rule]]\nid = "texts"\nattribute = "descr"\n'},
        {"noise": fabrik.NoiseTable.parse('[[rule]]\nid = "texts"\nattribute = "descr"\n')},
        {"severity": '[[rule]]\nid = "all"\nclass = "*"\nseverity = "info"\nreason = "{object}"\n'},
    ],
    ids=str,
)
def test_comparisons_are_those_of_the_engine(
    tm: fabrik.TimeMachine, local: fabrik.TimeMachine, history: list[fabrik.Captured], options: dict[str, Any]
) -> None:
    before, after = history[0], history[2]

    there, here = tm.compare(before, after, **options), local.compare(before, after, **options)

    sides = ("snapshot_a", "snapshot_b")
    assert there.summary == here.summary
    assert (there.key, there.warnings) == (here.key, here.warnings)
    assert list(there.dicts()) == list(here.dicts())
    assert [change.to_dict() for change in there] == [change.to_dict() for change in here]
    for one, other in zip(there, here):
        for part in (
            "kind",
            "key",
            "dn",
            "class_name",
            "row",
            "before",
            "after",
            "fields",
            "severity",
            "reason",
            "rule",
        ):
            assert getattr(one, part) == getattr(other, part), part
    one, other = (json.loads(diff.to_json()) for diff in (there, here))
    assert without(one, *sides) == without(other, *sides)
    for side in sides:
        assert all(one[side][name] == value for name, value in other[side].items())
    assert len(there) == len(here) == len(list(there))
    if not options:
        assert there.summary.added == 1 and there.summary.changed == 1


def test_rows_are_paired_as_they_are_stored_whatever_the_user_likes(
    lab: servers.Lab, tm: fabrik.TimeMachine, local: fabrik.TimeMachine
) -> None:
    rows = [{"dn": "a", "name": "x", "v": "1"}, {"name": "y", "v": "1"}]
    changed = [{**row, "v": "2"} for row in rows]
    kept = {}
    for key in ("auto", "dn", "hash", "name"):
        kept[key] = local.capture(f"by {key}", rows, key=key), local.capture(f"by {key}", changed, key=key)

    for strategy in ("hash", "auto"):
        lab.call("PATCH", "time-machine/settings/", {"diff_key_strategy": strategy})
        for before, _ in kept.values():
            for _, after in kept.values():
                there, here = tm.compare(before, after), local.compare(before, after)
                assert (there.key, there.summary) == (here.key, here.summary), (before.key, after.key)
                assert list(there.dicts()) == list(here.dicts())


def test_timelines_are_those_of_the_engine(tm: fabrik.TimeMachine, local: fabrik.TimeMachine) -> None:
    series = series_of(tm, "bd-health")
    for dn in (DN, NEW, "uni/tn-common/BD-never"):
        for options in (
            {},
            {"limit": 2},
            {"since": datetime.now(timezone.utc) - timedelta(days=1)},
            {"until": "2020-01-01"},
        ):
            there, here = tm.timeline("bd-health", dn, **options), local.timeline(series, dn, **options)
            known = ("saved_query_id", "connections")
            assert without(there.document, *known) == without(here.document, *known), (dn, options)
            assert len(there) == len(here)


def test_heatmaps_are_those_of_the_engine(tm: fabrik.TimeMachine, local: fabrik.TimeMachine) -> None:
    series = series_of(tm, "bd-health")
    for window in ("30d", "2w", timedelta(days=3)):
        for zone in ("UTC", "Pacific/Auckland"):
            there = tm.heatmap("bd-health", window, timezone=zone)
            # How risky its captures were is the server's own.
            days = [without(day, "risk_max") for day in there.document["days"]]
            assert {**there.document, "days": days} == local.heatmap(series, window, timezone=zone).document


def test_keys_are_those_of_the_engine(
    tm: fabrik.TimeMachine, local: fabrik.TimeMachine, history: list[fabrik.Captured]
) -> None:
    for snapshot in history:
        for part in ("", "BD-DEF", "nothing like this"):
            assert tm.keys(snapshot, part, limit=7) == local.keys(snapshot, part, limit=7)


def test_rows_are_those_of_the_engine(
    tm: fabrik.TimeMachine, local: fabrik.TimeMachine, history: list[fabrik.Captured]
) -> None:
    there, here = tm.rows(history[2]), local.rows(history[2])

    assert list(there) == list(here)
    assert len(there) == len(here) == history[2].row_count
    assert any(row["dn"] == DN and row["descr"] == '"quoted", ä' for row in there)


def test_odd_values_keep_their_digits(lab: servers.Lab, tm: fabrik.TimeMachine, local: fabrik.TimeMachine) -> None:
    rows = [
        {"dn": "a", "n": 12345678901234567890123, "x": 0.1, "list": [1, {"deep": None}], "none": None, "yes": True},
        {"dn": "b", "text": "line\nbreak\u2028\x00 ä \U0001f600", "x": -0.0},
        {"dn": "c"},
    ]
    snapshot = local.capture("odd", rows)
    raw = local.capture("odd-json", b'[{"dn":"d","n":1.50,"m":1e400,"k":1E5}]')

    for one in (snapshot, raw):
        there, here = list(tm.rows(one)), list(local.rows(one))
        assert there == here
        assert [[type(value) for value in row.values()] for row in there] == [
            [type(value) for value in row.values()] for row in here
        ]


def test_snapshots_are_those_of_the_engine(tm: fabrik.TimeMachine, local: fabrik.TimeMachine) -> None:
    series = series_of(tm, "bd-health")
    there, here = tm.snapshots("bd-health"), local.snapshots(series)

    named = ("saved_query", "query_name", "apic_connection", "apic_connection_name")
    assert len(there) == len(here) == 3
    for one, other in zip(there, here):
        for name, value in without(other.document, *named).items():
            assert one.document[name] == value, name
    assert [one.id for one in tm.snapshots("bd-health", limit=2)] == [one.id for one in there[:2]]
    assert tm.snapshots("bd-health", limit=0) == []
    assert [one.id for one in tm.snapshots("bd-health", until=there[1].captured_at)] == [one.id for one in there[1:]]
    assert {one.id for one in there} <= {one.id for one in tm.snapshots()}
    assert [one.id for one in tm.snapshots("bd-health", connection="Lab fabric")] == [one.id for one in there]


def script(tm: fabrik.TimeMachine, apic: fabrik.Apic, lab: servers.Lab, text: str) -> list[Any]:
    """What a person writes, whatever it runs on."""
    tm.capture("script", apic.cls("fvBD"), annotation="before")
    lab.set(DN, descr=text)
    tm.capture("script", apic.cls("fvBD"))
    diff = tm.compare("script@latest~1", "script@latest", ignore=["modTs"])
    timeline = tm.timeline("script", DN)
    return [diff.summary.changed, [(change.dn, list(change.fields)) for change in diff], len(timeline)]


def test_a_script_moves_to_a_server_by_one_line(lab: servers.Lab, tm: fabrik.TimeMachine, apic: fabrik.Apic) -> None:
    with fabrik.open("memory:") as local:
        here = script(local, apic, lab, "one")
    there = script(tm, apic, lab, "two")

    assert there == here == [1, [(DN, ["descr"])], 2]


# ---- Names ----


def test_snapshots_have_many_names(tm: fabrik.TimeMachine, history: list[fabrik.Captured]) -> None:
    first, _, last = history
    number = series_of(tm, "bd-health")

    for name in (
        last,
        last.id,
        str(last.id),
        str(last.id).upper(),
        last.id.hex,
        str(last.id)[:-2],
        "bd-health@latest",
        f"{number}@latest",
        "bd-health@-0m",
        "bd-health@Lab fabric@latest",
        f"bd-health@{datetime.now(timezone.utc).isoformat()}",
    ):
        assert tm.snapshot(name).id == last.id, name
    assert tm.snapshot("bd-health@latest~2").id == first.id
    assert tm.snapshot(first).label == "baseline"


def test_names_of_nothing_are_told(tm: fabrik.TimeMachine, history: list[fabrik.Captured]) -> None:
    for name in ("bd-health@latest~99", "no-such@latest", "00000000-0000-7000-8000-000000000000", "bd-health@-9w"):
        with pytest.raises(fabrik.NotFound) as told:
            tm.snapshot(name)
        assert name in str(told.value)
    with pytest.raises(fabrik.NotFound, match="bd-health@latest"):
        tm.snapshot("bd-health")
    for name in ("", "x", "bd-health@soon"):
        with pytest.raises(fabrik.InvalidInput):
            tm.snapshot(name)
    with pytest.raises(fabrik.NotFound, match="no-such"):
        tm.timeline("no-such", DN)
    with pytest.raises(fabrik.NotFound, match="no-such"):
        tm.snapshots("bd-health", connection="no-such")


def test_a_query_that_was_made_anew_is_found(lab: servers.Lab, tm: fabrik.TimeMachine, apic: fabrik.Apic) -> None:
    tm.capture("fleeting", apic.cls("fvCtx"))
    lab.call("DELETE", f"queries/saved-queries/{series_of(tm, 'fleeting')}/")

    again = tm.capture("fleeting", apic.cls("fvCtx"))

    assert tm.snapshot("fleeting@latest").id == again.id


def test_histories_of_no_saved_query_are_there_for_administrators(
    lab: servers.Lab, tm: fabrik.TimeMachine, local: fabrik.TimeMachine
) -> None:
    rows = [{"dn": "uni/tn-a", "name": "a"}]
    captured = local.capture("by hand", rows, connection="lab@home")

    assert tm.snapshot("by hand@latest").id == captured.id
    assert list(tm.rows("by hand@lab@home@latest")) == rows
    lab.call(
        "POST", "queries/saved-queries/", {"name": "Adopted @ home", "class_name": "fvTenant", "series": "by hand"}
    )
    assert tm.snapshot("Adopted @ home@latest").id == captured.id
    assert tm.snapshot("Adopted @ home@lab@home@latest").id == captured.id
    assert [one.id for one in tm.snapshots("Adopted @ home")] == [captured.id]


# ---- Capturing ----


def test_a_capture_says_what_it_did(history: list[fabrik.Captured]) -> None:
    first, second, third = history

    assert (first.annotation, first.label, first.retention_policy) == ("before the change", "baseline", "30d")
    assert first.captured_by == "root"
    assert first.previous_snapshot_id is None and second.previous_snapshot_id == first.id
    assert third.retention_policy == "1y" and third.has_changes and not third.is_duplicate
    assert isinstance(first.id, UUID) and first.captured_at.tzinfo is not None


def test_the_saved_query_asks_what_the_question_asks(
    lab: servers.Lab, tm: fabrik.TimeMachine, apic: fabrik.Apic
) -> None:
    for name, question in (
        ("filtered", apic.cls("fvBD", 'eq(fvBD.arpFlood,"yes")')),
        ("below", apic.mo("uni/tn-common", query_target="subtree", target_subtree_class="fvBD")),
        ("as a path", apic.query("/api/class/fvCtx.json?rsp-prop-include=config-only")),
    ):
        first = tm.capture(name, question)
        assert tm.capture(name, question).is_duplicate
        assert first.row_count > 0
        with fabrik.open("memory:") as local:
            assert list(local.rows(local.capture(name, question))) == list(tm.rows(first)), name
    saved = lab.call("GET", f"queries/saved-queries/{series_of(tm, 'filtered')}/")
    assert (saved["class_name"], saved["filter"]) == ("fvBD", 'eq(fvBD.arpFlood,"yes")')


def test_a_query_that_asks_something_else_is_not_captured(
    lab: servers.Lab, tm: fabrik.TimeMachine, apic: fabrik.Apic, history: list[fabrik.Captured]
) -> None:
    n_before = len(tm.snapshots("bd-health"))

    with pytest.raises(
        fabrik.InvalidInput, match=r"asks something else than /api/class/fvCtx\.json: it asks /api/class/fvBD"
    ):
        tm.capture("bd-health", apic.cls("fvCtx"))
    with pytest.raises(fabrik.InvalidInput, match="known by"):
        tm.capture("bd-health", apic.cls("fvBD"), key=["name"])
    steps = [{"processorType": "limit", "config": {"count": 1}}]
    lab.call("POST", "queries/saved-queries/", {"name": "processed", "class_name": "fvBD", "post_processors": steps})
    with pytest.raises(fabrik.InvalidInput, match="post-processors"):
        tm.capture("processed", apic.cls("fvBD"))

    assert len(tm.snapshots("bd-health")) == n_before
    replaced = tm.capture("processed", apic.cls("fvCtx"), key=["name", "dn"], replace_query=True)
    assert replaced.key == "name,dn"
    assert {row["className"] for row in tm.rows(replaced)} == {"fvCtx"}


def test_a_query_runs_as_it_is_without_a_question(tm: fabrik.TimeMachine, apic: fabrik.Apic) -> None:
    tm.capture("as it is", apic.cls("fvTenant"))

    assert tm.capture("as it is").is_duplicate
    assert tm.capture("as it is", connection="Lab fabric").is_duplicate
    assert tm.capture("as it is", tm.connection("Lab fabric").cls("fvTenant")).is_duplicate
    with pytest.raises(fabrik.NotFound, match="no-such"):
        tm.capture("no-such")


def test_columns_that_rows_are_known_by_become_those_of_the_query(tm: fabrik.TimeMachine, apic: fabrik.Apic) -> None:
    captured = tm.capture("by name", apic.cls("fvTenant"), key=["name", "dn"])

    assert captured.key == "name,dn"
    assert tm.capture("by name", apic.cls("fvTenant"), key="name,dn").is_duplicate


@pytest.mark.parametrize(
    "rows",
    [[{"dn": "a"}], b"[]", Path("answer.json"), fabrik.Recorded(b'{"imdata":[]}')],
    ids=lambda rows: type(rows).__name__,
)
def test_rows_are_not_for_a_server(tm: fabrik.TimeMachine, rows: Any) -> None:
    with pytest.raises(fabrik.Unsupported, match="a server takes no .*fabrik.open"):
        tm.capture("forged", rows)

    assert "forged" not in [query.name for query in tm.queries()]


def test_a_controller_that_the_server_does_not_know_is_told(tm: fabrik.TimeMachine) -> None:
    stranger = fabrik.Apic("https://apic9.example", "admin", "secret")

    with pytest.raises(fabrik.NotFound, match=r"no connection to https://apic9\.example.*save_connection"):
        tm.capture("stranger", stranger.cls("fvBD"))


def test_who_captured_when_says_the_server(tm: fabrik.TimeMachine, apic: fabrik.Apic) -> None:
    for more in ({"captured_by": "mara"}, {"captured_at": datetime.now(timezone.utc)}, {"format": "json"}):
        with pytest.raises(fabrik.Unsupported, match=next(iter(more))):
            tm.capture("bd-health", apic.cls("fvBD"), **more)
    assert tm.capture("pinned at once", apic.cls("fvTenant"), pinned=True).pinned
    assert tm.snapshot("pinned at once@latest").pinned


def test_a_controller_that_fails_leaves_nothing(lab: servers.Lab, tm: fabrik.TimeMachine) -> None:
    wrong = fabrik.Apic(lab.controller, "nobody", "wrong", verify=lab.authority)
    tm.save_connection("Broken", wrong)

    with pytest.raises(fabrik.SourceFailed) as told:
        tm.capture("failing", wrong.cls("fvBD"), connection="Broken")
    assert told.value.request_id and told.value.status == 502
    with pytest.raises(fabrik.SourceFailed):
        tm.connection("Broken").check()
    tm.remove_connection("Broken")

    assert "failing" not in [query.name for query in tm.queries()]


# ---- What is said about snapshots, and forgetting them ----


def test_what_is_said_about_a_snapshot_changes(tm: fabrik.TimeMachine, apic: fabrik.Apic) -> None:
    captured = tm.capture("said", apic.cls("fvTenant"), annotation="a", label="b")

    assert tm.annotate("said@latest", "c").annotation == "c"
    assert tm.snapshot(captured).label == "b"
    assert tm.annotate(captured, label="").label is None
    assert tm.annotate(captured, "").annotation is None
    assert tm.pin("said@latest").pinned and tm.snapshot(captured).pinned
    assert not tm.unpin(captured).pinned and not tm.snapshot(captured).pinned
    assert tm.snapshot(captured).version_hash == captured.version_hash
    with pytest.raises(fabrik.InvalidInput):
        tm.annotate(captured)
    with pytest.raises(fabrik.InvalidInput, match="label"):
        tm.annotate(captured, label="x" * 101)


def test_a_plan_is_applied_as_it_was_made(tm: fabrik.TimeMachine, local: fabrik.TimeMachine) -> None:
    old = datetime(2026, 1, 1, tzinfo=timezone.utc)
    rows = [{"dn": "uni/tn-a"}]
    captured = [
        local.capture("expired", rows, captured_at=old + timedelta(days=day), retention_policy="7d") for day in range(4)
    ]
    plan, here = tm.plan_retention(), local.plan_retention()
    assert [one.snapshot_id for one in plan.doomed] == [one.id for one in captured]
    assert without(plan.document) == without(here.document)
    spared = tm.plan_retention(protect_newest=True)
    assert [one.snapshot_id for one in spared.protected] == [captured[3].id]

    later = local.capture("expired too", rows, captured_at=old, retention_policy="7d")
    tm.pin(captured[0])
    outcome = tm.apply_retention(plan)

    assert list(outcome.deleted) == [one.id for one in captured[1:]]
    assert [one.snapshot_id for one in tm.plan_retention().doomed] == [later.id]
    assert list(tm.apply_retention(plan).deleted) == []
    with pytest.raises(fabrik.NotFound):
        tm.snapshot(captured[1])
    for other in (here, pickle.loads(pickle.dumps(plan))):
        with pytest.raises(fabrik.Unsupported, match="make it anew"):
            tm.apply_retention(other)


def test_what_a_server_does_not_offer_says_what_does(tm: fabrik.TimeMachine) -> None:
    for call, what in ((tm.verify, "fabrik verify"), (tm.stats, "fabrik stats")):
        with pytest.raises(fabrik.Unsupported, match=what):
            call()


# ---- Connections ----


def test_connections_are_kept_listed_and_forgotten(tm: fabrik.TimeMachine, apic: fabrik.Apic) -> None:
    tm.save_connection("Second", apic)
    with pytest.raises(fabrik.InvalidInput, match="Second"):
        tm.save_connection("Second", apic)
    tm.save_connection("Second", apic, replace=True)
    listed = {one.name: one for one in tm.connections()}
    assert (listed["Second"].url, listed["Second"].username) == (apic.url, "reader")

    second = tm.connection("Second")
    assert second.check()
    for shown in (repr(second), repr(listed["Second"]), repr(listed["Second"].document)):
        assert servers.CONTROLLER_PASSWORD not in shown
    with pytest.raises(fabrik.Ambiguous, match="'Lab fabric', 'Second'"):
        tm.capture("of two", apic.cls("fvTenant"))
    tm.remove_connection("Second")

    assert "Second" not in [one.name for one in tm.connections()]
    with pytest.raises(fabrik.NotFound, match="Second"):
        tm.connection("Second")


def test_a_simulator_is_a_controller_like_any(tm: fabrik.TimeMachine) -> None:
    with fabrik.Simulator(seed=7, objects=500) as simulator:
        saved = tm.save_connection("Simulated", simulator)
        before = tm.capture("simulated", simulator.cls("fvBD"))
        simulator.advance(timedelta(minutes=1), added=1)
        tm.capture("simulated", simulator.cls("fvBD"))
        tm.remove_connection("Simulated")

    assert saved.verification == "own authority"
    assert before.row_count > 0
    assert len(tm.timeline("simulated", "uni/tn-none/BD-none")) == 2


# ---- Logging in ----


def test_a_name_and_a_password_log_in(lab: servers.Lab, history: list[fabrik.Captured]) -> None:
    with fabrik.connect(lab.url, username="root", password=servers.PASSWORD) as tm:
        assert tm.snapshot("bd-health@latest")
        assert servers.PASSWORD not in repr(tm)
    with pytest.raises(fabrik.Unauthorized):
        fabrik.connect(lab.url, username="root", password="wrong")


def test_a_second_step_takes_the_code_of_an_authenticator(lab: servers.Lab) -> None:
    body = {
        "username": "twostep",
        "email": "t@lab.example",
        "password": servers.PASSWORD,
        "password_confirm": servers.PASSWORD,
    }
    lab.call("POST", "auth/management/", body)
    session = lab.call("POST", "auth/login/", {"username": "twostep", "password": servers.PASSWORD})["access"]
    secret = lab.call("POST", "auth/mfa/setup/", token=session)["secret"]
    # A code is good once: this is that of the step before.
    lab.call("POST", "auth/mfa/verify/", {"code": totp(secret, -1)}, token=session)

    with pytest.raises(fabrik.Unauthorized, match="`otp`"):
        fabrik.connect(lab.url, username="twostep", password=servers.PASSWORD)
    with fabrik.connect(lab.url, username="twostep", password=servers.PASSWORD, otp=totp(secret)) as tm:
        assert tm.queries() == []


def totp(secret: str, steps: int = 0) -> str:
    """The code of a moment: RFC 6238."""
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.new(key, struct.pack(">Q", int(time.time()) // 30 + steps), hashlib.sha1).digest()
    place = digest[-1] & 15
    return f"{(int.from_bytes(digest[place : place + 4], 'big') & 0x7FFFFFFF) % 10**6:06}"


def test_whoever_may_not_is_told(lab: servers.Lab, history: list[fabrik.Captured]) -> None:
    body = {
        "username": "mara",
        "email": "m@lab.example",
        "password": servers.PASSWORD,
        "password_confirm": servers.PASSWORD,
    }
    lab.call("POST", "auth/management/", body)
    with fabrik.connect(lab.url, username="mara", password=servers.PASSWORD) as tm:
        with pytest.raises(fabrik.NotFound):
            tm.snapshot("bd-health@latest")
        with pytest.raises(fabrik.NotFound):
            tm.rows(history[0])
        with pytest.raises(fabrik.Forbidden):
            tm.apply_retention(tm.plan_retention())
    with fabrik.connect(lab.url, token="fab_no-such-key") as tm, pytest.raises(fabrik.Unauthorized):
        tm.queries()


def test_a_server_that_is_not_there_is_named() -> None:
    cannot = r"http://127\.0\.0\.1:9 cannot be reached"
    with fabrik.connect("http://127.0.0.1:9", token="fab_x") as tm, pytest.raises(fabrik.ServerError, match=cannot):
        tm.queries()


def test_certificates_are_checked_by_the_authorities_that_are_given(lab: servers.Lab) -> None:
    # The controller speaks TLS, too, and is no Fabrik server.
    for verify, sentence in ((lab.authority, "is no Fabrik server"), (True, r"cannot be reached.*(?i:certificate)")):
        tm = fabrik.connect(lab.controller, token="fab_x", verify=verify)
        with tm, pytest.raises(fabrik.ServerError, match=sentence):
            tm.queries()


def test_what_is_connected_is_not_pickled_and_what_it_answers_is(
    lab: servers.Lab, tm: fabrik.TimeMachine, history: list[fabrik.Captured]
) -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(tm)
    diff = tm.compare(history[0], history[2])

    for answer in (history[0], diff.summary, tm.keys(history[0]), tm.timeline("bd-health", DN)):
        assert pickle.loads(pickle.dumps(answer)) == answer
        assert lab.token not in repr(answer)


def test_a_closed_connection_says_so(lab: servers.Lab) -> None:
    tm = fabrik.connect(lab.url, token=lab.token)
    tm.close()

    with pytest.raises(fabrik.InvalidInput, match="closed"):
        tm.queries()


# ---- Running ----


def test_the_async_twins_answer_the_same(
    lab: servers.Lab, tm: fabrik.TimeMachine, history: list[fabrik.Captured]
) -> None:
    async def ask() -> list[Any]:
        diff = await tm.acompare(history[0], history[2])
        return [await tm.asnapshot("bd-health@latest"), [change.dn async for change in diff]]

    snapshot, dns = asyncio.run(ask())

    assert snapshot.query == "bd-health"
    assert dns == [change.dn for change in tm.compare(history[0], history[2])]


def test_changes_are_read_while_they_are_used(tm: fabrik.TimeMachine, history: list[fabrik.Captured]) -> None:
    diff = tm.compare(history[0], history[2])

    one = iter(diff)
    first = next(one)
    del one

    assert first.dn == next(iter(diff)).dn
    assert str(diff)


def test_arrow_is_that_of_the_engine(
    tm: fabrik.TimeMachine, local: fabrik.TimeMachine, history: list[fabrik.Captured], tmp_path: Path
) -> None:
    assert tm.rows(history[0]).to_arrow() == local.rows(history[0]).to_arrow()
    tm.rows(history[0]).to_parquet(tmp_path / "rows.parquet")
    assert (tmp_path / "rows.parquet").read_bytes()[:4] == b"PAR1"
    there, here = tm.compare(history[0], history[2]), local.compare(history[0], history[2])
    assert there.to_arrow() == here.to_arrow()
