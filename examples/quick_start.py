"""What changed on my bridge domains? A first walk through ``fabrik``; it needs nothing but the wheel.

python quick_start.py
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import fabrik

WEB = "uni/tn-shop/BD-web"


def bridge_domain(name: str, **attributes: str) -> dict[str, str]:
    """Makes a row: a dict of attributes, known by its DN."""
    row = {"dn": f"uni/tn-shop/BD-{name}", "className": "fvBD", "arpFlood": "no", "unicastRoute": "yes"}
    return {**row, **attributes}


def answer(rows: list[dict[str, str]]) -> bytes:
    """Writes rows as a controller answers them."""
    objects = [{row["className"]: {"attributes": {k: v for k, v in row.items() if k != "className"}}} for row in rows]
    return json.dumps({"totalCount": str(len(objects)), "imdata": objects}).encode()


def main() -> None:
    now = datetime.now(timezone.utc)
    with fabrik.open("memory:") as tm:  # "sqlite:fabrik.db" keeps what is captured
        # Rows come from any iterable of dicts …
        rows = [bridge_domain("web"), bridge_domain("db"), bridge_domain("old")]
        at = now - timedelta(hours=2)
        before = tm.capture("bd-health", rows, captured_at=at, annotation="before CHG0042117")
        print(f"captured {before.row_count} rows as {before.id}\n")

        # … or from what a controller answered, as bytes or a file: JSON, XML, moquery, CSV and more.
        rows = [bridge_domain("web", arpFlood="yes", unicastRoute="no"), bridge_domain("db"), bridge_domain("new")]
        tm.capture("bd-health", answer(rows), captured_at=now, annotation="after CHG0042117")

        diff = tm.compare("bd-health@latest~1", "bd-health@latest", severity=True)
        print(diff)
        print()
        for change in diff:
            for name, field in change.fields.items():
                print(f"{change.dn}: {name} was {field.before!r}, is {field.after!r}")
        print(f"{diff.summary.changed} changed, {len(diff)} changes in all\n")

        print(tm.timeline("bd-health", WEB))
        print()

        # A controller is asked the same way: fabrik.Apic("https://apic1.example", "admin", password).cls("fvBD").
        with fabrik.Simulator(seed=7, objects=500) as apic:
            captured = tm.capture("simulated", apic.cls("fvBD"))
        print(f"the simulated controller has {captured.row_count} bridge domains")


if __name__ == "__main__":
    main()
