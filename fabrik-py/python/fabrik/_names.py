"""What is on a server by its names: saved queries, connections, and snapshots.

A server knows queries and connections by ids, people know them by names.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from . import _errors
from ._http import Server, path_of
from ._records import Snapshot, refuse
from ._time_machine import Reference, reference_text

TIME_MACHINE = "time-machine/"
SAVED_QUERIES = "queries/saved-queries/"
CONNECTIONS = "apic/connections/"
#: For how many seconds the id of a query is trusted, which may be renamed meanwhile.
TRUSTED = 5.0

_PREFIX = re.compile(r"[0-9a-fA-F-]{4,36}\Z")


class Names:
    """Finds what has a name on a server."""

    def __init__(self, server: Server, snapshots: Callable[[], Iterable[Snapshot]]) -> None:
        self._server = server
        #: Lists all snapshots that the caller can see.
        self._snapshots = snapshots
        #: The ids of saved queries by their names, each with the moment up to which it is trusted.
        self._ids: dict[str, tuple[int, float]] = {}

    def unknown_query(self, name: str) -> Exception:
        """Makes the error for a query that is not there."""
        return _errors.NotFound(
            f"query {name!r} not found: no saved query that {self._server.address} shows is called so"
        )

    def find_query(self, name: str | int) -> dict[str, Any] | None:
        """Finds a saved query by its name, or else its id."""
        if isinstance(name, str):
            try:
                found = [one for one in self._server.pages(SAVED_QUERIES, search=name) if one["name"] == name]
            except _errors.Forbidden:
                # Whoever may not look at queries may still look at the history of those that are theirs to see.
                histories = self._server.get(TIME_MACHINE + "queries/")["queries"]
                return next((one for one in histories if name in (one["name"], str(one["id"]))), None)
            if len(found) > 1:
                mine = self._server.pages(SAVED_QUERIES, search=name, my_queries=True)
                found = [one for one in mine if one["name"] == name] or found
            if len(found) > 1:
                ids = ", ".join(str(one["id"]) for one in found)
                raise _errors.Ambiguous(f"query {name!r} is ambiguous: name it by its id, one of {ids}")
            if found:
                return found[0]
            if not _is_number(name):
                return None
        try:
            saved: dict[str, Any] = self._server.get(SAVED_QUERIES + path_of(name))
        except _errors.NotFound:
            return None
        return saved

    def query_id(self, name: str | int) -> int:
        """Returns the id of a saved query."""
        if isinstance(name, int):
            return name
        number, until = self._ids.get(name, (0, 0.0))
        if time.monotonic() < until:
            return number
        found = self.find_query(name)
        if found is None:
            raise self.unknown_query(name)
        return self.remember(name, int(found["id"]))

    def remember(self, name: str, number: int) -> int:
        """Trusts that a query has this name for a while."""
        self._ids[name] = (number, time.monotonic() + TRUSTED)
        return number

    def reference(self, given: Reference) -> str:
        """Returns a reference as the server knows it: with the ids of queries and connections."""
        name = reference_text(given)
        series, at, moment = name.rpartition("@")
        if at:
            return f"{self._series_of(series)}@{moment}"
        try:
            return str(UUID(name))
        except ValueError:
            pass
        if _PREFIX.match(name):
            return self._by_prefix(name)
        if name and self.find_query(name) is not None:
            hint = f'it is a query: write "{name}@latest" for its newest snapshot'
            raise _errors.NotFound(f"snapshot {name!r} not found; {hint}")
        expected = "an id, its first 4 or more digits, or QUERY@latest, QUERY@latest~2, QUERY@TIME, QUERY@-7d"
        raise refuse("snapshot", name, expected)

    def _series_of(self, series: str) -> str:
        """Returns ``QUERY`` or ``QUERY@CONNECTION`` with ids; a history that no saved query has stays as it is."""
        known = self._id_or_none(series)
        if known is not None:
            return str(known)
        for place in range(len(series) - 1, -1, -1):
            if series[place] != "@":
                continue
            known = self._id_or_none(series[:place])
            if known is not None:
                connection = series[place + 1 :]
                try:
                    return f"{known}@{self.connection_id(connection)}"
                except (_errors.NotFound, _errors.Forbidden):
                    # A history that was adopted has connections of its own.
                    return f"{known}@{connection}"
        return series

    def _id_or_none(self, name: str) -> int | None:
        try:
            return self.query_id(name) if name else None
        except _errors.NotFound:
            return None

    def _by_prefix(self, digits: str) -> str:
        """Finds the only snapshot that the caller can see whose id begins like this."""
        start = digits.replace("-", "").lower()
        found = [str(one.id) for one in self._snapshots() if one.id.hex.startswith(start)]
        if len(found) > 1:
            raise _errors.Ambiguous(f"snapshot {digits!r} is ambiguous: it may be {', '.join(found[:5])}")
        if not found:
            raise _errors.NotFound(f"snapshot {digits!r} not found")
        return found[0]

    def connection_names(self) -> dict[int, str]:
        """Returns the names of the connections that the caller can see, by their ids."""
        try:
            return {one["id"]: one["name"] for one in self._server.pages(CONNECTIONS)}
        except _errors.Forbidden:
            return {}

    def connection_id(self, name: str | int) -> int:
        """Finds a connection by its name, or else its id."""
        if isinstance(name, int):
            return name
        try:
            found = [one["id"] for one in self._server.pages(CONNECTIONS, name=name) if one["name"] == name]
        except _errors.Forbidden:
            if not _is_number(name):
                raise
            found = []
        if len(found) > 1:
            raise _errors.Ambiguous(f"connection {name!r} is ambiguous: its ids are {', '.join(map(str, found))}")
        if found:
            return int(found[0])
        if _is_number(name):
            return int(name)
        raise _errors.NotFound(
            f"connection {name!r} not found on {self._server.address}: `save_connection` gives it one"
        )


@contextmanager
def naming(reference: Reference) -> Iterator[None]:
    """Says which snapshot is not there; the server says only that it is not."""
    try:
        yield
    except _errors.NotFound as error:
        if error.status is None:
            raise
        found = _errors.NotFound(f"snapshot {reference_text(reference)!r} not found")
        found.status, found.request_id = error.status, error.request_id
        raise found from None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19
