"""The rows and the changes that a server sends, read while they are used."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Union

from . import _errors
from ._diff import Change
from ._fabrik import loads
from ._http import Server, path_of
from ._names import TIME_MACHINE
from ._records import Snapshot
from ._tasks import frame

ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
Pathish = Union[str, "os.PathLike[str]"]


class RemoteRows:
    """The rows of a snapshot of a server."""

    def __init__(self, server: Server, snapshot: Snapshot) -> None:
        self._server = server
        self.snapshot = snapshot
        self._path = TIME_MACHINE + "snapshots/" + path_of(snapshot.id)

    def rows(self) -> Iterator[dict[str, Any]]:
        """Reads the rows, from the first one each time."""
        n = 0
        for line in self._server.lines("GET", self._path):
            n += 1
            yield loads(line.decode())
        if n != self.snapshot.row_count:
            raise _errors.ServerError(f"the answer broke off: {n} rows of {self.snapshot.row_count} came")

    def write(self, path: Pathish | None) -> str | None:
        """Writes the rows as a JSON array."""

        def pieces() -> Iterator[bytes]:
            before = b"["
            for line in self._server.lines("GET", self._path):
                yield before + line
                before = b","
            yield b"[]" if before == b"[" else b"]"

        return _write(pieces(), path)

    def arrow(self, requested_schema: object | None) -> object:
        """Opens the rows as a capsule with an Arrow stream."""
        answer = self._server.stream("GET", self._path, accept=ARROW, params={"format": "arrow"})
        return _capsule(answer, requested_schema)

    def parquet(self, path: Pathish) -> None:
        """Writes the rows into a Parquet file."""
        with self._server.stream("GET", self._path, accept=PARQUET, params={"format": "parquet"}) as pieces:
            _write(pieces, path)


class RemoteDiff:
    """What a server says about two snapshots."""

    PATH = TIME_MACHINE + "compare/"

    def __init__(self, server: Server, body: dict[str, Any], before: Snapshot, after: Snapshot) -> None:
        self._server = server
        self._body = body
        self._snapshots = (before, after)

    def snapshots(self) -> tuple[Snapshot, Snapshot]:
        """The snapshots that are compared."""
        return self._snapshots

    def head(self) -> dict[str, Any]:
        """Everything but the changes."""
        head: dict[str, Any] = self._server.post(self.PATH, self._body, params={"summary_only": True}, reads=True)
        return head

    def changes(self) -> Iterator[Change]:
        """Reads the changes in the order of their keys, from the first one each time."""
        return map(Change.from_document, self._lines(whole=True))

    def entries(self) -> Iterator[dict[str, Any]]:
        """Reads the changes as dicts, without the rows that changed."""
        return self._lines(whole=False)

    def _lines(self, *, whole: bool) -> Iterator[dict[str, Any]]:
        for line in self._server.lines("POST", self.PATH, params={"whole": whole}, body=self._body):
            document: dict[str, Any] = loads(line.decode())
            if "kind" not in document:
                return  # The summary is the last line.
            yield document
        raise _errors.ServerError("the answer broke off before the last change")

    def write(self, path: Pathish | None) -> str | None:
        """Writes the whole comparison as one JSON document."""
        with self._server.stream("POST", self.PATH, accept="application/json", body=self._body) as pieces:
            return _write(pieces, path)

    def arrow(self, requested_schema: object | None) -> object:
        """Opens the changes as a capsule with an Arrow stream."""
        answer = self._server.stream("POST", self.PATH, accept=ARROW, body=self._body)
        return _capsule(answer, requested_schema)


class _Pieces(io.RawIOBase):
    """The pieces of an answer as a file, which ends the answer when it is closed."""

    def __init__(self, answer: AbstractContextManager[Iterator[bytes]]) -> None:
        self._answer = answer
        self._left = answer.__enter__()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._left, None)
            if piece is None:
                return 0
            self._rest = piece
        n = min(len(buffer), len(self._rest))
        buffer[:n], self._rest = self._rest[:n], self._rest[n:]
        return n

    def close(self) -> None:
        if not self.closed:
            super().close()
            self._answer.__exit__(None, None, None)


def _capsule(answer: AbstractContextManager[Iterator[bytes]], requested_schema: object | None) -> object:
    """Hands on an answer in Arrow's own form while it arrives."""
    stream = frame("pyarrow.ipc", "arrow").open_stream(io.BufferedReader(_Pieces(answer), 1 << 16))
    capsule: object = stream.__arrow_c_stream__(requested_schema)
    return capsule


def _write(pieces: Iterable[bytes], path: Pathish | None) -> str | None:
    """Puts an answer together, or into a file that is there only when it is whole."""
    if path is None:
        return b"".join(pieces).decode()
    target = Path(path)
    part = target.with_name(target.name + ".part")
    try:
        with part.open("wb") as file:
            file.writelines(pieces)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return None
