"""A Fabrik server with the surface of the engine, so that a script moves from a file to a server by one line.

Answers are those of the engine over the store of the server. What differs, differs for a reason:

- A server asks controllers itself and takes rows from nobody, so that its history cannot be forged. ``capture`` takes a
  question to a controller whose connection the server has, or nothing where the query says what to ask.
- Queries are the server's saved queries, by name or id. Who captured, and when, says the server.
- ``noise=True`` and ``severity=True`` are the tables of the server, which may hold rules of its site.
- ``verify`` and ``stats`` are for those who have the store: ``fabrik verify`` and ``fabrik stats`` beside the server.
- Ctrl-C ends the waiting, not what the server has begun: a capture that is under way may still become a snapshot.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from . import _errors, _fabrik
from ._answers import RemoteDiff, RemoteRows
from ._asked import difference, plain_form
from ._diff import Diff, Rows
from ._evolution import Heatmap, Timeline
from ._fabrik import NoiseTable, SeverityModel, loads
from ._http import Server, path_of
from ._local import _noise, _severity, _table_text
from ._names import CONNECTIONS, SAVED_QUERIES, TIME_MACHINE, Names, naming
from ._records import (
    Captured,
    Connection,
    Edge,
    KeyPage,
    Moment,
    Progress,
    Query,
    RetentionOutcome,
    RetentionPlan,
    Snapshot,
    Snapshots,
    Span,
    Stats,
    Verification,
    days_text,
    edge_text,
    policy_text,
    refuse,
)
from ._sources import Apic, Question, Recorded, Simulator, _Asks
from ._time_machine import Input, Reference, Table, TimeMachine


def connect(
    url: str,
    *,
    token: str | None = None,
    username: str | None = None,
    password: str | None = None,
    otp: str | None = None,
    verify: bool | str | os.PathLike[str] = True,
    timeout: timedelta | float = 60.0,
) -> RemoteTimeMachine:
    """Connects to a Fabrik server.

    Args:
        url: The address of the server, such as ``https://fabrik.example``.
        token: An API key (``fab_…``) or an access token. Nothing is sent before the first call.
        username: Who logs in, where there is no token; ``password`` belongs to it. The session is renewed by itself.
        otp: The code of the authenticator, for users with a second step. It is good once, so a session that has ended
            is not begun anew; programs that run for days use an API key.
        verify: ``True`` for the authorities of the machine, or a file with others in PEM form.
        timeout: How long an ordinary answer may take. What captures, compares or streams takes as long as it takes.

    Raises:
        InvalidInput: The address or what proves who asks makes no sense.
        ServerError: The server is not there.
        Unauthorized: Name, password or code is not right.
    """
    server = Server(
        url,
        token=token,
        username=username,
        password=password,
        otp=otp,
        verify=verify if isinstance(verify, bool) else os.fspath(verify),
        timeout=timeout,
    )
    return RemoteTimeMachine(server)


class RemoteTimeMachine(TimeMachine):
    """The snapshots of a running server. Made by :func:`connect`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._names = Names(server, self.snapshots)

    def __repr__(self) -> str:
        return f"<fabrik.RemoteTimeMachine {self._server!r}>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a connection to a server is not pickled: it holds a token; connect again")

    def close(self) -> None:
        """Ends the connection to the server."""
        self._server.close()

    # ---- Capturing ----

    def capture(
        self,
        query: str,
        rows: Input | None = None,
        *,
        connection: str | None = None,
        annotation: str | None = None,
        label: str | None = None,
        retention_policy: Span | None = "30d",
        pinned: bool = False,
        captured_by: str | None = None,
        captured_at: Moment | None = None,
        key: str | Sequence[str] | None = None,
        format: str | None = None,
        replace_query: bool = False,
        progress: Callable[[Progress], object] | None = None,
    ) -> Captured:
        """Makes the server ask a controller and keep the answer.

        ``rows`` is a question such as ``apic.cls("fvBD")``: the saved query of this name is made when there is none,
        and must ask the same when there is one, unless ``replace_query`` changes it. Without ``rows`` the query runs as
        it is. ``connection`` names one of the server's; unless told, the one with the address of the question's
        controller, or else that of the query. ``progress`` is not called: the server tells when it is done.

        Raises:
            Unsupported: ``rows`` is data, or says who captured when: only the server does.
            InvalidInput: The query asks something else, or the server has no connection to the controller.
            SourceFailed: The controller failed; nothing was kept.
        """
        for name, value in (("captured_by", captured_by), ("captured_at", captured_at), ("format", format)):
            if value is not None:
                raise _errors.Unsupported(f"{name} is not for a server: it notes itself who captured what and when")
        policy = policy_text(retention_policy)
        question = None if rows is None else _question_of(rows)
        columns = _columns_of(key)
        found = self._names.find_query(query)
        chosen: int | None = None if connection is None else self._names.connection_id(connection)
        if question is None:
            if found is None:
                raise self._names.unknown_query(query)
            if columns is not None:
                raise _errors.Unsupported(
                    "key is not for a query that runs as it is: it says what its rows are known by"
                )
            number = int(found["id"])
        else:
            if chosen is None:
                chosen = self._connection_to(question, found)
            if found is None:
                number = self._save_query(query, question.path, columns, chosen)
            else:
                number = int(found["id"])
                self._check_query(number, query, question.path, columns, replace_query)
        self._names.remember(query, number)
        body = {
            "saved_query": number,
            "apic_connection": chosen,
            "retention_policy": policy,
            "annotation": annotation,
            "label": label,
        }
        answer = self._server.post(
            TIME_MACHINE + "capture/", {name: value for name, value in body.items() if value is not None}
        )
        if pinned:
            self._say(str(answer["id"]), {"pinned": True})
            answer["pinned"] = True
        return Captured.from_document(answer)

    def _save_query(self, name: str, path: str, key: list[str] | None, connection: int) -> int:
        form = {"name": name, **plain_form(path), "apic_connection": connection}
        if key is not None:
            form["key_fields"] = key
        return int(self._server.post(SAVED_QUERIES, form)["id"])

    def _check_query(self, number: int, name: str, path: str, key: list[str] | None, replace: bool) -> None:
        """Sees to it that a saved query asks this."""
        place = SAVED_QUERIES + path_of(number)
        what = difference(self._server.get(place), path, key)
        if what is None:
            return
        if replace:
            self._server.patch(place, {**plain_form(path), "post_processors": [], "key_fields": key})
            return
        raise _errors.InvalidInput(
            f"the saved query {name!r} of {self._server.address} asks something else than {path}: {what}; capture "
            "under another name, say replace_query=True, or leave the question out to run the saved query as it is"
        )

    # ---- Queries and snapshots ----

    def queries(self) -> list[Query]:
        """Lists the saved queries that have snapshots, that with the newest snapshot first."""
        histories = self._server.get(TIME_MACHINE + "queries/")["queries"]
        names = self._names.connection_names() if any(history["connections"] for history in histories) else {}
        for history in histories:
            history["connections"] = [names.get(number, str(number)) for number in history["connections"]]
        return [Query.from_document(history) for history in histories]

    def snapshots(
        self,
        query: str | None = None,
        *,
        connection: str | None = None,
        since: Edge | None = None,
        until: Edge | None = None,
        limit: int | None = None,
    ) -> Snapshots:
        """Lists snapshots without their rows, the newest first."""
        if limit is not None and limit < 0:
            raise refuse("limit", limit, "a number that is not negative")
        params = {"from_date": edge_text("since", since), "to_date": edge_text("until", until)}
        if connection is not None:
            params["apic_connection"] = str(self._names.connection_id(connection))
        numbers = [history.id for history in self.queries()] if query is None else [self._names.query_id(query)]
        found: list[Snapshot] = []
        for number in numbers:
            items = self._server.pages(TIME_MACHINE + "snapshots/", saved_query=number, **params)
            found.extend(Snapshot.from_document(item) for item in islice(items, limit))
        if len(numbers) > 1:
            found.sort(key=lambda snapshot: (snapshot.captured_at, snapshot.id), reverse=True)
        return Snapshots(found if limit is None else found[:limit])

    def snapshot(self, reference: Reference) -> Snapshot:
        """Returns the snapshot that a reference names."""
        return Snapshot.from_document(self._about(reference, "head/"))

    def rows(self, reference: Reference) -> Rows:
        """Returns the rows of a snapshot in the order of their keys; they are read while they are used."""
        return Rows(RemoteRows(self._server, self.snapshot(reference)))

    # ---- What changed ----

    def compare(
        self,
        before: Reference,
        after: Reference,
        *,
        key: str | Sequence[str] | None = None,
        ignore: str | Iterable[str] = (),
        noise: Table | NoiseTable = None,
        severity: Table | SeverityModel = None,
        min_severity: str | None = None,
    ) -> Diff:
        """Compares two snapshots. The server compares; changes are read while they are used."""
        patterns = [ignore] if isinstance(ignore, str) else list(ignore)
        # The engine here finds what makes no sense before the server is asked, and says the same.
        _fabrik.DiffOptions(
            key=key if key is None or isinstance(key, str) else list(key),
            ignore=patterns,
            noise=_noise(noise),
            severity=_severity(severity),
            min_severity=min_severity,
        )
        older, newer = self.snapshot(before), self.snapshot(after)
        body: dict[str, Any] = {
            "snapshot_a": str(older.id),
            "snapshot_b": str(newer.id),
            "ignore": patterns,
            **_pairing(key, older, newer),
            **_table("noise", noise, NoiseTable.standard()),
            **_table("severity", severity, SeverityModel.standard()),
        }
        if min_severity is not None:
            body["min_severity"] = min_severity
        return Diff(RemoteDiff(self._server, body, older, newer))

    def timeline(
        self,
        query: str,
        dn: str,
        *,
        limit: int = 20,
        since: Edge | None = None,
        until: Edge | None = None,
        connection: str | None = None,
    ) -> Timeline:
        """Follows one object through the newest snapshots of a query."""
        if limit < 1:
            raise refuse("limit", limit, "a number from 1 to 100")
        text = self._server.text(
            TIME_MACHINE + "timeline/",
            saved_query_id=self._names.query_id(query),
            dn=dn,
            limit=limit,
            from_date=edge_text("since", since),
            to_date=edge_text("until", until),
            apic_connection=None if connection is None else self._names.connection_id(connection),
        )
        return Timeline.from_document(loads(text), text)

    def heatmap(
        self,
        query: str | None = None,
        window: Span = "30d",
        *,
        timezone: str = "UTC",
        connection: str | None = None,
        now: Moment | None = None,
    ) -> Heatmap:
        """Tells how much a query's result changed on each day up to today."""
        if now is not None:
            raise _errors.Unsupported("now is not for a server: it has a clock of its own")
        if query is None:
            raise _errors.Unsupported("a server shows one query at a time: name one of those that `queries` lists")
        text = self._server.text(
            TIME_MACHINE + "heatmap/",
            saved_query=self._names.query_id(query),
            window=days_text("window", window),
            timezone=timezone,
            apic_connection=None if connection is None else self._names.connection_id(connection),
        )
        return Heatmap.from_document(loads(text), query, text)

    def keys(self, reference: Reference, part: str = "", *, limit: int = 50) -> KeyPage:
        """Finds the DNs of a snapshot that contain a text, whatever the case of its letters; at most 200."""
        if limit < 1:
            raise refuse("limit", limit, "a number from 1 to 200")
        return KeyPage.from_document(self._about(reference, "dns/", q=part, limit=limit))

    # ---- What is said about snapshots ----

    def annotate(self, reference: Reference, annotation: str | None = None, *, label: str | None = None) -> Snapshot:
        """Changes the annotation or label of a snapshot: ``None`` leaves a text as it is, an empty one clears it."""
        said = {"annotation": annotation, "label": label}
        return self._say(reference, {name: value for name, value in said.items() if value is not None})

    def pin(self, reference: Reference) -> Snapshot:
        """Keeps a snapshot whatever its retention policy says."""
        return self._say(reference, {"pinned": True})

    def unpin(self, reference: Reference) -> Snapshot:
        """Lets the retention policy of a snapshot decide again."""
        return self._say(reference, {"pinned": False})

    def _say(self, reference: Reference, what: Mapping[str, Any]) -> Snapshot:
        with naming(reference):
            said = self._server.post(
                TIME_MACHINE + "snapshots/" + path_of(self._names.reference(reference)) + "annotate/", dict(what)
            )
        return self.snapshot(str(said["id"]))

    # ---- Forgetting ----

    def plan_retention(
        self,
        *,
        query: str | None = None,
        protect_newest: bool = False,
        max_per_series: int | None = None,
        now: Moment | None = None,
    ) -> RetentionPlan:
        """Tells which snapshots have expired or are too many. Nothing is deleted until the plan is applied.

        What the settings of the server say of the newest snapshot and of the number in each series holds here, too.
        """
        if max_per_series is not None:
            raise _errors.Unsupported("max_per_series is not for a server: its setting retention_count says it for all")
        if now is not None:
            raise _errors.Unsupported("now is not for a server: it has a clock of its own")
        document = self._server.get(
            TIME_MACHINE + "cleanup/preview/",
            saved_query=None if query is None else self._names.query_id(query),
            keep_newest=protect_newest or None,
        )
        return RetentionPlan.from_document(document, self._server.address)

    def apply_retention(self, plan: RetentionPlan) -> RetentionOutcome:
        """Deletes the snapshots of a plan, for administrators. One that was pinned or went meanwhile is passed over."""
        if plan.handle != self._server.address:
            raise _errors.Unsupported(f"this plan was not made by {self._server.address}, or was pickled; make it anew")
        named = [str(doomed.snapshot_id) for doomed in plan.doomed]
        return RetentionOutcome.from_document(
            self._server.post(TIME_MACHINE + "cleanup/execute/", {"snapshots": named})
        )

    def verify(self) -> Verification:
        """Is not for a server: whoever has the store checks it."""
        raise _errors.Unsupported("a server does not check its store over HTTP: run `fabrik verify` where the store is")

    def stats(self) -> Stats:
        """Is not for a server: whoever has the store measures it."""
        raise _errors.Unsupported(
            "a server does not measure its store over HTTP: run `fabrik stats` where the store is"
        )

    # ---- Connections to controllers ----

    def connections(self) -> list[Connection]:
        """Lists the connections of the server that the caller can see, by name."""
        found = sorted(self._server.pages(CONNECTIONS), key=lambda one: str(one["name"]))
        return [_connection(one) for one in found]

    def save_connection(self, name: str, apic: Apic | Simulator, *, replace: bool = False) -> Connection:
        """Saves a connection on the server, with the address, user and password of ``apic``.

        The server keeps the password sealed and never gives it back. It must reach the controller itself.
        """
        if isinstance(apic, Simulator):
            apic = apic.apic
        login = apic._login()
        if "password" not in login:
            raise _errors.Unsupported("a server logs in with a password, not with a certificate")
        verify = login["verify"]
        body = {
            "name": name,
            "host": apic.url,
            "username": login["username"],
            "password": login["password"],
            "login_domain": login["domain"] or "",
            "verify_ssl": verify is not False,
            "ca_certificate": verify if isinstance(verify, str) else "",
        }
        known = [one for one in self._server.pages(CONNECTIONS, name=name) if one["name"] == name]
        if not known:
            return _connection(self._server.post(CONNECTIONS, body))
        if replace:
            return _connection(self._server.patch(CONNECTIONS + path_of(known[0]["id"]), body))
        raise refuse("connection", name, "a name that no connection has yet, or the wish to replace it")

    # A connection of the server asks as one of a store does, but has no password to give.
    def connection(self, name: str | None = None) -> ServerConnection:  # type: ignore[override]
        """Opens a connection of the server; without a name, the only one. What it asks is for :meth:`capture`."""
        if name is not None:
            return ServerConnection(
                self._server, self._server.get(CONNECTIONS + path_of(self._names.connection_id(name)))
            )
        found = list(self._server.pages(CONNECTIONS))
        if len(found) != 1:
            expected = ", ".join(sorted(str(one["name"]) for one in found))
            raise refuse("connection", "", f"one of {expected}" if found else "the name of a connection; none is saved")
        return ServerConnection(self._server, found[0])

    def remove_connection(self, name: str) -> None:
        """Makes the server forget a connection and its password. Snapshots stay."""
        self._server.delete(CONNECTIONS + path_of(self._names.connection_id(name)))

    def _connection_to(self, question: Question, query: Mapping[str, Any] | None) -> int:
        """Finds the server's connection with the address of a question's controller."""
        origin = question.origin
        if isinstance(origin, ServerConnection):
            if origin.server is not self._server and origin.server.address != self._server.address:
                raise _errors.InvalidInput(
                    f"the question is to a connection of {origin.server.address}, another server"
                )
            return origin.id
        url = origin.url
        found = [one for one in self._server.pages(CONNECTIONS) if _origin(str(one["host"])) == _origin(url)]
        if not found:
            raise _errors.NotFound(
                f"{self._server.address} has no connection to {url}: give it one by "
                "`tm.save_connection(name, apic)`, or name one of its own as `connection`"
            )
        own = None if query is None else query.get("apic_connection")
        best = [one for one in found if one["id"] == own] or [one for one in found if one.get("is_default")] or found
        if len(best) > 1:
            names = ", ".join(repr(one["name"]) for one in best)
            raise _errors.Ambiguous(
                f"{self._server.address} has several connections to {url}: name one of {names} as `connection`"
            )
        return int(best[0]["id"])

    def _about(self, reference: Reference, rest: str, **params: Any) -> dict[str, Any]:
        """Returns what the server says about a snapshot."""
        with naming(reference):
            found: dict[str, Any] = self._server.get(
                TIME_MACHINE + "snapshots/" + path_of(self._names.reference(reference)) + rest, **params
            )
        return found


class ServerConnection(_Asks):
    """A connection that a server has to a controller: what asks through it, without a password.

    Made by :meth:`RemoteTimeMachine.connection`; ``cls``, ``mo`` and ``query`` make questions as those of
    :class:`fabrik.Apic` do, for :meth:`RemoteTimeMachine.capture`.
    """

    def __init__(self, server: Server, document: Mapping[str, Any]) -> None:
        self.server = server
        self.id = int(document["id"])
        self.name = str(document["name"])
        self.username = str(document["username"])
        self._url = str(document["host"])

    @property
    def url(self) -> str:
        """The address of the controller."""
        return self._url

    def __repr__(self) -> str:
        return f"<fabrik.ServerConnection {self.name!r} of {self.server.address} to {self.url} as {self.username!r}>"

    def check(self) -> str:
        """Makes the server log in and out again; returns what it says about that.

        Raises:
            SourceFailed: It could not.
        """
        answer = self.server.post(CONNECTIONS + path_of(self.id) + "test_connection/")
        if not answer["success"]:
            raise _errors.SourceFailed(f"{self.name}: {answer['message']}")
        return str(answer["message"])


def _question_of(rows: object) -> Question:
    """Takes a question; refuses rows."""
    if isinstance(rows, Recorded):
        raise _errors.Unsupported(
            "a server takes no recorded answers: it asks controllers itself, so that nobody can forge its history; "
            "capture them into a store of your own by fabrik.open(…)"
        )
    if not isinstance(rows, Question):
        kind = type(rows).__name__
        raise _errors.Unsupported(
            f"a server takes no rows ({kind}): it asks controllers itself, so that nobody can forge its history; give "
            'a question such as apic.cls("fvBD"), or capture the rows into a store of your own by fabrik.open(…)'
        )
    return rows


def _columns_of(key: str | Sequence[str] | None) -> list[str] | None:
    """Returns the columns that rows are to be known by; ``None`` for their DN."""
    if key is None or key == "auto":
        return None
    if key in ("dn", "hash"):
        raise _errors.Unsupported(
            f"key={key!r} is not for a capture by a server: it takes the DN, or columns that you name"
        )
    return _names(key)


def _names(key: str | Sequence[str]) -> list[str]:
    return [name.strip() for name in key.split(",")] if isinstance(key, str) else list(key)


def _pairing(key: str | Sequence[str] | None, older: Snapshot, newer: Snapshot) -> dict[str, Any]:
    """Says what rows are paired by: as told, else as the engine does, whatever the user's settings on the server."""
    strategies = ("auto", "dn", "hash")
    if key is None:
        kept = [snapshot.key for snapshot in (older, newer)]
        normal = ["auto" if one == "dn" else one for one in kept]
        if normal[0] != normal[1]:
            return {"key_strategy": "auto"}
        key = kept[1]
    if isinstance(key, str) and key in strategies:
        return {"key_strategy": key}
    return {"key_fields": _names(key)}


def _table(
    name: str, table: Table | NoiseTable | SeverityModel, standard: NoiseTable | SeverityModel
) -> dict[str, Any]:
    """Says which rules hold: none, those of the server, or others before them."""
    if table is None or isinstance(table, bool):
        return {name: True} if table else {}
    if isinstance(table, (NoiseTable, SeverityModel)):
        # What stands alone is not to be helped out by rules that it does not have.
        own = {rule["id"] for rule in table.rules}
        gone = ", ".join(f'"{rule["id"]}"' for rule in standard.rules if rule["id"] not in own)
        return {f"{name}_table": f"disable = [{gone}]\n{table.to_toml()}"}
    return {f"{name}_table": _table_text(table)[0]}


def _origin(url: str) -> tuple[str, str | None, int]:
    """Returns what makes two addresses of controllers one."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    return parts.scheme, parts.hostname, parts.port or (80 if parts.scheme == "http" else 443)


def _connection(document: Mapping[str, Any]) -> Connection:
    """Shows a connection of the server as those of a store are shown."""
    own = "own authority" if document.get("ca_certificate") else "system"
    verification = own if document.get("verify_ssl", True) else "off"
    known = {"url": document["host"], "domain": document.get("login_domain") or None, "verification": verification}
    return Connection.from_document({**document, **known})
