"""What changed in my network, when, by whom, and did we mean it?

::

    import fabrik

    tm = fabrik.open("fabrik.db")
    with fabrik.Simulator(seed=7) as apic:      # or fabrik.Apic("https://apic1.example.net", "mara", password)
        tm.capture("bd-health", apic.cls("fvBD"), annotation="before the change")
        apic.advance(changed=3, removed=1)
        tm.capture("bd-health", apic.cls("fvBD"))
    diff = tm.compare("bd-health@latest~1", "bd-health@latest", ignore=["modTs"])
    print(diff)
    for change in diff:
        print(change.kind, change.dn, list(change.fields))

A :class:`TimeMachine` keeps snapshots of queries and answers what changed between them. :func:`open` gives one on a
store of this machine, :func:`connect` one on a server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List

from . import _errors
from ._diff import Change, Diff, FieldChange, Rows
from ._errors import *  # noqa: F403
from ._evolution import Attribute, AttributeValue, Heatmap, HeatmapDay, LifecycleEvent, Timeline, TimelinePoint
from ._fabrik import NoiseTable, SeverityModel, __version__
from ._local import LocalTimeMachine, open
from ._records import (
    Captured,
    Changes,
    Connection,
    Controller,
    Damage,
    Doomed,
    Key,
    KeyPage,
    Progress,
    Protected,
    Query,
    RetentionOutcome,
    RetentionPlan,
    Snapshot,
    Snapshots,
    Stats,
    Summary,
    Verdict,
    Verification,
)
from ._sources import Apic, InsecureConnectionWarning, Question, Recorded, Simulator
from ._time_machine import TimeMachine

if TYPE_CHECKING:
    from ._remote import RemoteTimeMachine, ServerConnection, connect

__all__ = [
    "Apic",
    "Attribute",
    "AttributeValue",
    "Captured",
    "Change",
    "Changes",
    "Connection",
    "Controller",
    "Damage",
    "Diff",
    "Doomed",
    "FieldChange",
    "Heatmap",
    "HeatmapDay",
    "InsecureConnectionWarning",
    "Key",
    "KeyPage",
    "LifecycleEvent",
    "LocalTimeMachine",
    "NoiseTable",
    "Progress",
    "Protected",
    "Query",
    "Question",
    "Recorded",
    "RemoteTimeMachine",
    "RetentionOutcome",
    "RetentionPlan",
    "Rows",
    "ServerConnection",
    "SeverityModel",
    "Simulator",
    "Snapshot",
    "Snapshots",
    "Stats",
    "Summary",
    "TimeMachine",
    "Timeline",
    "TimelinePoint",
    "Verdict",
    "Verification",
    "__version__",
    "connect",
    "open",
]
__all__ += _errors.__all__


def __getattr__(name: str) -> Any:
    # What talks to a server takes longer to import than all the rest, and most scripts have no use for it.
    if name in ("RemoteTimeMachine", "ServerConnection", "connect"):
        from . import _remote

        return getattr(_remote, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted(__all__)
