"""Measures the Python module ``fabrik`` beside the ``fabrik`` command and beside what people use in Python.

It takes a folder of numbered answers with a manifest of their known differences, as the other measurements do, and rows
that it makes itself. Every result is checked against what is known; exit code 1 when anything is wrong. Needs the
module, and what ``wheel.txt`` names. ``README.md`` says what is inside the timed parts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Set, Tuple

import fabrik

QUERY = "measured"
START = datetime(2026, 1, 1, tzinfo=timezone.utc)
Rows = Dict[str, Dict[str, Any]]
#: How many rows were added, removed and changed.
Counts = Tuple[int, int, int]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path, help="the folder with manifest.json and the files that it names")
    parser.add_argument("--fabrik", type=Path, default=Path("target/release/fabrik"), help="the command [%(default)s]")
    parser.add_argument("--changes", type=int, default=100_000, help="rows that differ when changes are iterated")
    parser.add_argument("--arrow-rows", type=int, default=1_000_000, help="rows of the table made by to_arrow")
    parser.add_argument("--runs", type=int, default=7, help="how often to measure what takes less than seconds")
    parser.add_argument("--baseline-runs", type=int, default=1, help="how often to measure a baseline; the best counts")
    parser.add_argument("--deepdiff-rows", type=int, default=20_000, help="leave deepdiff out when there are more rows")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure [everything]")
    parser.add_argument("--no-baselines", action="store_true", help="leave out what is not Fabrik")
    options = parser.parse_args()
    if not options.fabrik.exists():
        parser.error(f"{options.fabrik}: there is no such file; build it with --release first, or name it by --fabrik")

    checks, report = Checks(), Report()
    # Where the other measurements put their stores, too: TMPDIR says where, let it be a real disk.
    with tempfile.TemporaryDirectory() as scratch:
        for part in options.parts:
            PARTS[part](options, Path(scratch), checks, report)
    print(report)
    for failure in checks.failures:
        print(f"WRONG: {failure}", file=sys.stderr)
    print(f"{checks.passed} checks passed, {len(checks.failures)} failed", file=sys.stderr)
    return 1 if checks.failures else 0


class Answers(NamedTuple):
    """The first two answers of a folder and what is known of them."""

    files: List[Path]
    taken: List[datetime]
    rows: int
    counts: Counts

    @classmethod
    def read(cls, folder: Path) -> Answers:
        manifest = json.loads((folder / "manifest.json").read_text())
        first_two = manifest["snapshots"][:2]
        known = manifest["consecutive"][0]
        return cls(
            [folder / snapshot["files"]["json"]["file"] for snapshot in first_two],
            [datetime.fromisoformat(snapshot["taken"].replace("Z", "+00:00")) for snapshot in first_two],
            first_two[1]["rows"],
            (known["added"], known["removed"], known["changed"]),
        )


def measure_answers(options: argparse.Namespace, scratch: Path, checks: Checks, report: Report) -> None:
    answers = Answers.read(options.dir)
    command = Command(options.fabrik)
    start, _ = timed(lambda: command.run("--version"))
    texts = [file.read_bytes() for file in answers.files]

    # One after the other in turns, so that a machine that slows down slows both down.
    times: Dict[str, List[float]] = {name: [] for name in ("first", "next", "command first", "command next")}
    for run in range(options.runs):
        by_module, by_command = scratch / f"module-{run}.db", scratch / f"command-{run}.db"
        for place, name in enumerate(("first", "next")):
            took, captured = timed(lambda: capture_bytes(by_module, texts[place], answers.taken[place]))
            times[name].append(took)
            took, printed = timed(lambda: command.capture(by_command, answers.files[place], answers.taken[place]))
            times[f"command {name}"].append(took)
            checks.equal("version hash of a capture", captured, json.loads(printed)["version_hash"])
    store = scratch / "module-0.db"
    for name, title, changes in (("first", "capture, first snapshot", None), ("next", "capture, each following", 1)):
        total = sum(answers.counts) if changes else None
        of_command = statistics.median(times[f"command {name}"])
        report.add(title, answers.rows, total, statistics.median(times[name]), "the command", of_command)

    measured: Dict[str, List[float]] = {name: [] for name in ("changes", "json", "summary", "as json", "as summary")}
    names = [f"{QUERY}@latest~1", f"{QUERY}@latest"]
    for _ in range(options.runs):
        took, counts = timed(lambda: compare_objects(store, names))
        measured["changes"].append(took)
        checks.equal("changes iterated", counts, answers.counts)
        took, document = timed(lambda: compare_json(store, names))
        measured["json"].append(took)
        checks.equal("counts of to_json", counts_of(json.loads(document)["summary"]), answers.counts)
        took, printed = timed(lambda: command.run("--store", f"sqlite:{store}", "compare", *names, "--format", "json"))
        measured["as json"].append(took)
        checks.equal("counts of the command", counts_of(json.loads(printed)["summary"]), answers.counts)
        took, counts = timed(lambda: compare_summary(store, names))
        measured["summary"].append(took)
        checks.equal("counts of the summary", counts, answers.counts)
        arguments = ("--store", f"sqlite:{store}", "compare", *names, "--summary", "--format", "json")
        measured["as summary"].append(timed(lambda: command.run(*arguments))[0])
    medians = {name: statistics.median(values) for name, values in measured.items()}
    total = sum(answers.counts)
    report.add("compare, as JSON", answers.rows, total, medians["json"], "the command", medians["as json"])
    report.add("compare, counts alone", answers.rows, total, medians["summary"], "the command", medians["as summary"])
    report.add("the command's own start and end", answers.rows, None, start)
    report.add("compare, all changes as objects", answers.rows, total, medians["changes"])
    if not options.no_baselines:
        for name, diff in answer_baselines(options, texts):
            took, counts = best(options.baseline_runs, diff)
            checks.equal(f"changes found by {name}", counts, answers.counts)
            report.add("", answers.rows, total, medians["changes"], name, took)


def capture_bytes(store: Path, text: bytes, taken: datetime) -> str:
    with fabrik.open(f"sqlite:{store}") as tm:
        return str(tm.capture(QUERY, text, captured_at=taken, retention_policy="forever").version_hash)


def compare_objects(store: Path, names: List[str]) -> Counts:
    found = {"added": 0, "removed": 0, "changed": 0}
    with fabrik.open(f"sqlite:{store}") as tm:
        for change in tm.compare(*names):
            found[change.kind] += 1
    return found["added"], found["removed"], found["changed"]


def compare_json(store: Path, names: List[str]) -> str:
    with fabrik.open(f"sqlite:{store}") as tm:
        return str(tm.compare(*names).to_json())


def compare_summary(store: Path, names: List[str]) -> Counts:
    with fabrik.open(f"sqlite:{store}") as tm:
        summary = tm.compare(*names).summary
        return summary.added, summary.removed, summary.changed


def counts_of(summary: Dict[str, int]) -> Counts:
    return summary["added"], summary["removed"], summary["changed"]


class Command:
    """The ``fabrik`` command, measured from its start to its end."""

    def __init__(self, program: Path) -> None:
        self.program = program

    def run(self, *arguments: str) -> bytes:
        return subprocess.run([self.program, *arguments], stdout=subprocess.PIPE, check=True).stdout

    def capture(self, store: Path, file: Path, taken: datetime) -> bytes:
        place = ("--store", f"sqlite:{store}", "capture", "--query", QUERY, "--retention", "forever")
        return self.run(*place, "--from", str(file), "--at", taken.isoformat(), "--format", "json")


def answer_baselines(options: argparse.Namespace, texts: List[bytes]) -> Iterator[Tuple[str, Callable[[], Counts]]]:
    """Yields ways to compare two answers in memory; all but the last of each pair parse them first."""
    yield "dictionaries", lambda: dict_diff(*map(rows_by_dn, texts))
    before, after = map(rows_by_dn, texts)
    yield "dictionaries, parsed before", lambda: dict_diff(before, after)
    yield "polars join", lambda: polars_join(*map(rows_by_dn, texts))
    yield "polars join, parsed before", lambda: polars_join(before, after)
    yield "datacompy, parsed before", lambda: datacompy_compare(before, after)
    if len(after) <= options.deepdiff_rows:
        yield "deepdiff, parsed before", lambda: deepdiff_compare(before, after)


def rows_by_dn(text: bytes) -> Rows:
    rows = {}
    for item in json.loads(text)["imdata"]:
        ((class_name, body),) = item.items()
        rows[body["attributes"]["dn"]] = {"className": class_name, **body["attributes"]}
    return rows


def dict_changes(before: Rows, after: Rows) -> Iterator[Dict[str, Any]]:
    """Lists changes in the shape that the module gives them."""
    for dn, row in after.items():
        was = before.get(dn)
        if was is None:
            yield {"kind": "added", "row": row}
        elif was != row:
            names = [name for name in {**was, **row} if was.get(name) != row.get(name)]
            fields = {name: {"before": was.get(name), "after": row.get(name)} for name in names}
            yield {"kind": "changed", "key": {"dn": dn}, "fields": fields}
    for dn, row in before.items():
        if dn not in after:
            yield {"kind": "removed", "row": row}


def dict_diff(before: Rows, after: Rows) -> Counts:
    found = {"added": 0, "removed": 0, "changed": 0}
    for change in dict_changes(before, after):
        found[change["kind"]] += 1
    return found["added"], found["removed"], found["changed"]


def polars_join(before: Rows, after: Rows) -> Counts:
    import polars as pl

    names = sorted({name for rows in (before, after) for row in rows.values() for name in row})
    schema = {name: pl.String for name in names}
    older = pl.DataFrame(list(before.values()), schema=schema)
    newer = pl.DataFrame(list(after.values()), schema=schema)
    differs = [pl.col(name).ne_missing(pl.col(f"{name}_after")) for name in names if name != "dn"]
    both = older.join(newer, on="dn", how="inner", suffix="_after").filter(pl.any_horizontal(differs))
    added, removed = newer.join(older, on="dn", how="anti"), older.join(newer, on="dn", how="anti")
    return added.height, removed.height, both.height


def datacompy_compare(before: Rows, after: Rows) -> Counts:
    import datacompy
    import pandas as pd

    names = sorted({name for rows in (before, after) for row in rows.values() for name in row})
    older, newer = (pd.DataFrame(list(rows.values()), columns=names) for rows in (before, after))
    compared = datacompy.PandasCompare(older, newer, join_columns="dn", cast_column_names_lower=False)
    changed = len(compared.intersect_rows) - int(compared.count_matching_rows())
    return len(compared.df2_unq_rows), len(compared.df1_unq_rows), changed


def deepdiff_compare(before: Rows, after: Rows) -> Counts:
    from deepdiff import DeepDiff

    # A view of trees: the text view cannot tell a row from an attribute where a DN holds brackets.
    found = DeepDiff(before, after, view="tree")
    sides: Dict[str, Set[str]] = {"dictionary_item_added": set(), "dictionary_item_removed": set()}
    changed = set()
    for kind, items in found.items():
        for item in items:
            path = item.path(output_format="list")
            if len(path) == 1:
                sides[kind].add(path[0])
            else:
                changed.add(path[0])
    return len(sides["dictionary_item_added"]), len(sides["dictionary_item_removed"]), len(changed)


def measure_dicts(options: argparse.Namespace, scratch: Path, checks: Checks, report: Report) -> None:
    before, after = made_up(options.changes, 0), made_up(options.changes, 1)
    counts = (0, 0, options.changes)
    store = scratch / "changes.db"
    with fabrik.open(f"sqlite:{store}") as tm:
        for place, rows in enumerate((before, after)):
            tm.capture(QUERY, rows.values(), captured_at=START + timedelta(days=place))
        diff = tm.compare(f"{QUERY}@latest~1", f"{QUERY}@latest")
        times = []
        for _ in range(options.runs):
            took, found = timed(lambda: sum(1 for _ in diff.dicts()))
            checks.equal("changes iterated as dicts", found, options.changes)
            times.append(took)
        first = next(iter(diff.dicts()))
        checks.equal("a change as a dict", (first["kind"], sorted(first["fields"])), ("changed", ["arpFlood", "descr"]))
    title, took = "compare and iterate, changes as dicts", statistics.median(times)
    command = Command(options.fabrik)
    names = (f"{QUERY}@latest~1", f"{QUERY}@latest")
    arguments = ("--store", f"sqlite:{store}", "compare", *names, "--format", "ndjson")
    of_command = statistics.median(timed(lambda: command.run(*arguments))[0] for _ in range(options.runs))
    report.add(title, options.changes, options.changes, took, "the command, NDJSON", of_command)
    alone, found = best(options.runs, lambda: compare_summary(store, list(names)))
    checks.equal("counts of the summary", found, counts)
    report.add("of that, the comparison: counts alone", options.changes, options.changes, alone)
    report.aim("iterating changes as dicts", took * 100_000 / options.changes, 0.3, "seconds for 100 000")
    if options.no_baselines:
        return
    baselines = [
        ("dictionaries, in memory", lambda: dict_diff(before, after)),
        ("polars join, in memory", lambda: polars_join(before, after)),
        ("datacompy, in memory", lambda: datacompy_compare(before, after)),
    ]
    if options.changes <= options.deepdiff_rows:
        baselines.append(("deepdiff, in memory", lambda: deepdiff_compare(before, after)))
    for name, diff_of in baselines:
        baseline, found = best(options.baseline_runs, diff_of)
        checks.equal(f"changes found by {name}", found, counts)
        report.add("", options.changes, options.changes, took, name, baseline)


def made_up(count: int, version: int) -> Rows:
    """Makes bridge domains; those of different versions differ in two attributes each."""
    rows = {}
    for place in range(count):
        dn = f"uni/tn-{place % 97:02}/BD-{place:07}"
        rows[dn] = {
            "dn": dn,
            "className": "fvBD",
            "name": f"{place:07}",
            "arpFlood": "yes" if version else "no",
            "descr": f"version {version}",
            "mac": "00:22:BD:F8:19:FF",
            "mtu": "inherit",
            "pcTag": str(place % 32768),
            "seg": str(place),
            "type": "regular",
            "unicastRoute": "yes",
            "unkMacUcastAct": "proxy",
        }
    return rows


def measure_arrow(options: argparse.Namespace, scratch: Path, checks: Checks, report: Report) -> None:
    import pyarrow as pa

    count = options.arrow_rows
    table = pa.table(made_up_columns(count))
    with fabrik.open(f"sqlite:{scratch / 'arrow.db'}") as tm:
        took, captured = timed(lambda: tm.capture(QUERY, table, captured_at=START))
        checks.equal("rows captured from Arrow", captured.row_count, count)
        report.add("capture from Arrow", count, None, took)
        times = []
        for _ in range(max(options.runs // 3, 1)):
            objects = sys.getallocatedblocks()
            took, found = timed(lambda: tm.rows(captured).to_arrow())
            objects = sys.getallocatedblocks() - objects
            times.append(took)
        checks.equal("rows of to_arrow", found.num_rows, count)
        checks.equal("cells of to_arrow", sorted_cells(found), sorted_cells(table))
        # A Python object for each cell would be millions.
        checks.equal("Python objects that to_arrow leaves behind are few", objects < max(count // 100, 10_000), True)
        title, took = "to_arrow", statistics.median(times)
        report.add(title, count, None, took)
        if options.no_baselines:
            return
        baseline, found = best(options.baseline_runs, lambda: pa.Table.from_pylist(list(tm.rows(captured))))
        checks.equal("rows by way of dicts", found.num_rows, count)
        report.add("", count, None, took, "a dict each, pyarrow from_pylist", baseline)
    lines = b"".join(json.dumps(row).encode() + b"\n" for row in table.to_pylist())
    baseline, found = best(options.baseline_runs, lambda: pa.Table.from_pylist(parse_lines(lines)))
    checks.equal("rows of JSON", found.num_rows, count)
    report.add("", count, None, took, "json.loads each line, from_pylist", baseline)


def made_up_columns(count: int) -> Dict[str, List[str]]:
    return {
        "dn": [f"uni/tn-{place % 97:02}/BD-{place:07}" for place in range(count)],
        "className": ["fvBD"] * count,
        "name": [f"{place:07}" for place in range(count)],
        "arpFlood": ["yes" if place % 3 else "no" for place in range(count)],
        "mtu": ["inherit"] * count,
        "pcTag": [str(place % 32768) for place in range(count)],
        "seg": [str(place) for place in range(count)],
        "unicastRoute": ["yes"] * count,
    }


def parse_lines(lines: bytes) -> List[Any]:
    return [json.loads(line) for line in lines.splitlines()]


def sorted_cells(table: Any) -> Any:
    """Returns a table with columns and rows in one order, so that two can be compared."""
    import pyarrow as pa

    table = table.select(sorted(table.column_names)).sort_by("dn")
    return {name: table[name].cast(pa.large_string()).combine_chunks() for name in table.column_names}


def timed(work: Callable[[], Any]) -> Tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def best(runs: int, work: Callable[[], Any]) -> Tuple[float, Any]:
    """Takes the best of some runs, which favours what is measured: baselines."""
    took, result = timed(work)
    for _ in range(runs - 1):
        took = min(took, timed(work)[0])
    return took, result


class Checks:
    """What was right and what was not: a fast wrong answer is no figure."""

    def __init__(self) -> None:
        self.passed = 0
        self.failures: List[str] = []

    def equal(self, what: str, found: Any, known: Any) -> None:
        if found == known:
            self.passed += 1
        else:
            self.failures.append(f"{what}: {str(found)[:200]}, not {str(known)[:200]}")


class Report:
    """Results as a Markdown table, then what the module aims at."""

    HEADINGS = ("operation", "rows", "changes", "median", "baseline", "its time", "ratio")

    def __init__(self) -> None:
        self.lines: List[Tuple[str, ...]] = []
        self.aims: List[str] = []

    def add(
        self,
        operation: str,
        rows: int,
        changes: Optional[int],
        took: float,
        baseline: Optional[str] = None,
        its_time: Optional[float] = None,
    ) -> None:
        """Adds a line; the ratio says how many times the baseline is above the figure."""
        ratio = "" if its_time is None else f"{three_digits(its_time / took)}×"
        its = "" if its_time is None else duration(its_time)
        self.lines.append((operation, str(rows), str(changes or ""), duration(took), baseline or "", its, ratio))
        if baseline == "the command" and its_time is not None:
            self.aim(operation, took / its_time, 1.1, "times the command")

    def aim(self, what: str, figure: float, limit: float, unit: str) -> None:
        verdict = "reached" if figure <= limit else "MISSED"
        self.aims.append(f"{verdict}: {what}: {figure:.3g} {unit}, at most {limit}")

    def __str__(self) -> str:
        rows = [self.HEADINGS, ("---", "---:", "---:", "---:", "---", "---:", "---:"), *self.lines]
        widths = [max(map(len, column)) for column in zip(*rows)]
        numbers = (1, 2, 3, 5, 6)

        def line(cells: Tuple[str, ...]) -> str:
            padded = (
                cell.rjust(w) if i in numbers else cell.ljust(w) for i, (cell, w) in enumerate(zip(cells, widths))
            )
            return f"| {' | '.join(padded)} |"

        return "\n".join([*map(line, rows), "", *self.aims])


def duration(seconds: float) -> str:
    """Writes a time with three digits."""
    if seconds >= 1:
        return f"{three_digits(seconds)} s"
    if seconds >= 1e-3:
        return f"{three_digits(seconds * 1e3)} ms"
    return f"{three_digits(seconds * 1e6)} µs"


def three_digits(number: float) -> str:
    return f"{number:.{0 if number >= 99.95 else 1 if number >= 9.995 else 2}f}"


PARTS = {"answers": measure_answers, "dicts": measure_dicts, "arrow": measure_arrow}

if __name__ == "__main__":
    sys.exit(main())
