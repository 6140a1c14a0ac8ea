"""The module and the command are one engine: over one store they give the same documents."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

import fabrik
from model import Row, at

BEFORE: List[Row] = [
    {"dn": "uni/tn-a/BD-web", "className": "fvBD", "arpFlood": "no", "modTs": "1", "uid": "1", "descr": ""},
    {"dn": "uni/tn-a/BD-db", "className": "fvBD", "arpFlood": "no", "modTs": "1", "uid": "1"},
    {"dn": "uni/tn-a/ap-x/epg-y", "className": "fvAEPg", "modTs": "1", "prio": "level3"},
    {"dn": "topology/pod-1/node-101/sys/fault-F0532", "className": "faultInst", "severity": "major", "lc": "raised"},
    {"dn": "topology/pod-1/node-101/sys/ch/supslot-1/sup/sensor-1", "className": "eqptTemp", "currentValue": "40"},
]
AFTER: List[Row] = [
    {**BEFORE[0], "arpFlood": "yes", "modTs": "2"},
    {**BEFORE[1], "modTs": "2"},
    {"dn": "uni/tn-a/ap-x/epg-z", "className": "fvAEPg", "modTs": "2", "prio": "level3"},
    {**BEFORE[3], "severity": "cleared", "lc": "retaining"},
    {**BEFORE[4], "currentValue": "41"},
    {"dn": "uni/tn-b", "className": "fvTenant", "nested": {"n": [1, 2.50, None]}},
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "fabrik.db"
    with fabrik.open(path) as tm:
        tm.capture("q", BEFORE, captured_at=at(0))
        tm.capture("q", AFTER, captured_at=at(1), annotation="the change")
    return path


Ask = Callable[..., Any]


@pytest.fixture
def ask(command: str, path: Path) -> Ask:
    def run(*arguments: str) -> Any:
        called = [command, *arguments, "--format", "json", "--store", f"sqlite:{path}"]
        ran = subprocess.run(called, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
        assert ran.returncode == 0, f"{called}\n{ran.stderr}"
        return json.loads(ran.stdout)

    return run


NOISE = '[[rule]]\nid = "flooding"\nclass = "fvBD"\nattribute = "arpFlood"\n'
COMPARISONS: Dict[str, Any] = {
    "plain": ({}, []),
    "ignore": ({"ignore": ["modTs", "uni/tn-b"]}, ["--ignore", "modTs", "--ignore", "uni/tn-b"]),
    "key": ({"key": "className,arpFlood"}, ["--key-fields", "className,arpFlood"]),
    "noise": ({"noise": True}, ["--noise", "on"]),
    "severity": ({"severity": True}, ["--severity"]),
    "both": ({"noise": True, "severity": True}, ["--noise", "on", "--severity"]),
    "least": ({"severity": True, "min_severity": "high"}, ["--severity", "--min-severity", "high"]),
}


@pytest.mark.parametrize("options, flags", COMPARISONS.values(), ids=COMPARISONS.keys())
def test_a_comparison_is_the_document_of_the_command(path: Path, ask: Ask, options: Any, flags: List[str]) -> None:
    with fabrik.open(path) as tm:
        document = json.loads(tm.compare("q@latest~1", "q@latest", **options).to_json())

    assert document == ask("compare", "q@latest~1", "q@latest", *flags)


def test_tables_that_are_overridden_are_those_of_the_command(tmp_path: Path, path: Path, ask: Ask) -> None:
    table = tmp_path / "noise.toml"
    table.write_text(NOISE)
    expected = ask("compare", "q@latest~1", "q@latest", "--noise-table", str(table))

    with fabrik.open(path) as tm:
        for noise in (table, NOISE, fabrik.NoiseTable.standard().overridden_by(NOISE)):
            assert json.loads(tm.compare("q@latest~1", "q@latest", noise=noise).to_json()) == expected


def test_a_timeline_is_the_document_of_the_command(path: Path, ask: Ask) -> None:
    with fabrik.open(path) as tm:
        document = json.loads(tm.timeline("q", "uni/tn-a/BD-web").to_json())

    assert document == ask("timeline", "--query", "q", "--dn", "uni/tn-a/BD-web")


def test_a_heatmap_is_the_document_of_the_command(path: Path, ask: Ask) -> None:
    with fabrik.open(path) as tm:
        ours = json.loads(tm.heatmap("q", "1y", timezone="Europe/Berlin").to_json())

    assert ours == ask("heatmap", "--query", "q", "--window", "1y", "--timezone", "Europe/Berlin")


def test_snapshots_of_the_command_are_captured_alike(path: Path, ask: Ask, tmp_path: Path) -> None:
    answer = tmp_path / "rows.ndjson"
    answer.write_text("".join(json.dumps(row) + "\n" for row in AFTER))
    theirs = ask("capture", "--query", "q", "--from", str(answer))

    with fabrik.open(path) as tm:
        mine = tm.capture("q", answer)
        same = ("retention_policy", "captured_by", "version_hash", "size_bytes", "key", "coverage", "verdict")
        document = tm.snapshot(theirs["id"])

        for name in same:
            assert getattr(mine, name) == getattr(document, name), name
        assert mine.is_duplicate


def test_standard_tables_are_those_of_the_command() -> None:
    noise, severity = fabrik.NoiseTable.standard(), fabrik.SeverityModel.standard()

    assert len(noise.rules) > 5 and len(severity.rules) > 5
    assert fabrik.NoiseTable.parse(noise.to_toml()).to_toml() == noise.to_toml()
    assert fabrik.SeverityModel.parse(severity.to_toml()).to_toml() == severity.to_toml()
    with pytest.raises(fabrik.InvalidInput, match="expected"):
        fabrik.NoiseTable.parse("[[rule]]\nid = 7\n")
