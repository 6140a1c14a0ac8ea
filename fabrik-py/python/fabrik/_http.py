"""How a server is spoken to: logging in, waiting where it says so, and its refusals as exceptions.

Secrets are in no ``repr``, no exception and no pickle. Redirects are not followed: a token goes to the address that it
was given for, and nowhere else.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Union
from urllib.parse import quote, urlsplit

import httpx

from . import _errors
from ._fabrik import loads

Pathish = Union[str, "Path"]

#: How long one request waits, in seconds, where the server asks to come back later.
LONGEST_WAIT = 60.0
#: How many items a page of a list has.
PAGE_SIZE = 200
#: How many bytes of a refusal are read.
MOST_OF_A_REFUSAL = 1 << 20

LINES = "application/x-ndjson"


def path_of(*parts: object) -> str:
    """Joins the parts of a path below ``/api/``, each of which may hold any letters."""
    return "".join(f"{quote(str(part), safe='')}/" for part in parts)


class _Login:
    """What proves who asks. Knows how to get new tokens, and shows none."""

    def __init__(self, token: str | None, username: str | None, password: str | None, otp: str | None) -> None:
        self._access = token
        self._refresh: str | None = None
        self._username = username
        self._password = password
        self._otp = otp
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        if self._username is not None:
            return f"as {self._username!r}"
        return "with a token" if self._access is not None else "as nobody"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("a login is not pickled: it holds secrets")

    @property
    def headers(self) -> dict[str, str]:
        """The headers of a request, with the token where there is one."""
        return {} if self._access is None else {"Authorization": f"Bearer {self._access}"}

    def begin(self, server: Server) -> None:
        """Trades name and password for tokens, where there are any."""
        if self._username is not None:
            with self._lock:
                self._begin(server)

    def renew(self, server: Server, refused: str | None) -> bool:
        """Gets new tokens in place of a refused one; false where there is no way to."""
        with self._lock:
            if self._access != refused:
                return True  # Another thread was faster.
            if self._refresh is None:
                return False
            spent, self._refresh = self._refresh, None
            try:
                self._take(server.ask_openly("auth/token/refresh/", {"refresh": spent}))
            except _errors.Unauthorized:
                if self._otp is not None:
                    return False  # A code is good once.
                self._begin(server)
            return True

    def token(self) -> str | None:
        return self._access

    def _begin(self, server: Server) -> None:
        answer = server.ask_openly("auth/login/", {"username": self._username, "password": self._password})
        if answer.get("mfa_required"):
            if self._otp is None:
                raise _errors.Unauthorized(
                    f"{server.address} asks {self._username!r} for a second step: give the code of the authenticator "
                    "as `otp`, or use an API key as `token`"
                )
            answer = server.ask_openly("auth/mfa-login/", {"mfa_token": answer["mfa_token"], "code": self._otp})
        self._take(answer)

    def _take(self, answer: Mapping[str, Any]) -> None:
        self._access = answer["access"]
        self._refresh = answer.get("refresh")


class Server:
    """A server at an address, and who asks it.

    Any number of threads may use it.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        username: str | None = None,
        password: str | None = None,
        otp: str | None = None,
        verify: bool | Pathish = True,
        timeout: timedelta | float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.address = _address(url)
        if token is not None and (username is not None or password is not None):
            raise _errors.InvalidInput("give a token, or a username and a password, not both")
        if (username is None) != (password is None):
            raise _errors.InvalidInput("a username and a password belong together")
        if token is not None and (not token or not token.isascii() or not token.isprintable() or " " in token):
            raise _errors.InvalidInput(
                "the token is no API key and no access token: it has letters that those never have"
            )
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)
        if not seconds > 0:
            raise _errors.InvalidInput(f"timeout: {timeout!r} is not valid: expected more than 0 seconds")
        self._timeout = httpx.Timeout(seconds, connect=min(seconds, 20.0))
        self._without_end = httpx.Timeout(None, connect=min(seconds, 20.0))
        self._login = _Login(token, username, password, otp)
        self._client = httpx.Client(
            verify=_verification(verify),
            timeout=self._timeout,
            follow_redirects=False,
            headers={"Accept": "application/json", "User-Agent": "fabrik-py"},
            transport=transport,
        )
        try:
            self._login.begin(self)
        except BaseException:
            self._client.close()
            raise

    def __repr__(self) -> str:
        return f"{self.address} {self._login!r}"

    def __reduce__(self) -> str | tuple[Any, ...]:
        raise TypeError("what is connected to a server is not pickled: it holds a token; connect again")

    def close(self) -> None:
        """Ends the connections to the server."""
        self._client.close()

    # ---- Whole answers ----

    def get(self, path: str, **params: Any) -> Any:
        """Returns what is at a path below ``/api/``."""
        with self._send("GET", path, params=params, is_repeatable=True) as response:
            return self._json(response)

    def text(self, path: str, **params: Any) -> str:
        """Returns what is at a path as it was written."""
        with self._send("GET", path, params=params, is_repeatable=True) as response:
            return b"".join(self._pieces(response)).decode()

    def post(self, path: str, body: Any = None, *, params: Mapping[str, Any] | None = None, reads: bool = False) -> Any:
        """Posts to a path. It takes as long as it takes; ``reads`` says that doing it again does no harm."""
        with self._send("POST", path, params=params, body=body, is_repeatable=reads, is_long=True) as response:
            return self._json(response)

    def patch(self, path: str, body: Any) -> Any:
        """Changes what is at a path."""
        with self._send("PATCH", path, body=body) as response:
            return self._json(response)

    def delete(self, path: str) -> None:
        """Deletes what is at a path."""
        with self._send("DELETE", path):
            pass

    def pages(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        """Gives the items of a list, page by page, each once though the list grows meanwhile."""
        seen: set[Any] = set()
        number = 1
        while True:
            page = self.get(path, page=number, page_size=PAGE_SIZE, **params)
            for item in page["results"]:
                if item["id"] not in seen:
                    seen.add(item["id"])
                    yield item
            if page.get("next") is None:
                return
            number += 1

    def ask_openly(self, path: str, body: Any) -> Any:
        """Posts without a token, for those who have none yet."""
        with self._open("POST", path, {}, {"json": body}) as response:
            if not response.is_success:
                raise self._refusal(response)
            return self._json(response)

    # ---- Streams ----

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        *,
        accept: str,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
    ) -> Iterator[Iterator[bytes]]:
        """Opens an answer that only reads and gives its bytes piece by piece."""
        with self._send(
            method, path, params=params, body=body, is_repeatable=True, is_long=True, accept=accept
        ) as response:
            yield self._pieces(response)

    def lines(self, method: str, path: str, **request: Any) -> Iterator[bytes]:
        """Gives the lines of an answer while they arrive."""
        with self.stream(method, path, accept=LINES, **request) as pieces:
            rest = b""
            for piece in pieces:
                *whole, rest = (rest + piece).split(b"\n")
                yield from whole
            if rest:
                yield rest

    def _pieces(self, response: httpx.Response) -> Iterator[bytes]:
        try:
            yield from response.iter_bytes()
        except httpx.HTTPError as error:
            raise self._unreachable(error, "the answer broke off") from None

    # ---- One request ----

    @contextmanager
    def _send(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Any = None,
        is_repeatable: bool = False,
        is_long: bool = False,
        accept: str | None = None,
    ) -> Iterator[httpx.Response]:
        """Sends a request and opens its answer, which is a good one.

        A token that has run out is renewed once. Where the server asks to come back later, a request that only reads
        waits, for :data:`LONGEST_WAIT` seconds in all.
        """
        request: dict[str, Any] = {"timeout": self._without_end if is_long else self._timeout}
        if params:
            request["params"] = {name: _parameter(value) for name, value in params.items() if value is not None}
        if body is not None:
            request["json"] = body
        patience, may_renew = LONGEST_WAIT, True
        while True:
            token = self._login.token()
            headers = self._login.headers
            if accept is not None:
                headers["Accept"] = accept
            with self._open(method, path, headers, request) as response:
                if response.is_success:
                    yield response
                    return
                refusal = self._refusal(response)
            if isinstance(refusal, _errors.Unauthorized) and may_renew:
                may_renew = False
                if self._login.renew(self, token):
                    continue
            if isinstance(refusal, _errors.Throttled) and refusal.retry_after is not None and is_repeatable:
                wait = refusal.retry_after.total_seconds()
                if wait <= patience:
                    patience -= wait
                    time.sleep(wait)
                    continue
            raise refusal

    @contextmanager
    def _open(
        self, method: str, path: str, headers: dict[str, str], request: dict[str, Any]
    ) -> Iterator[httpx.Response]:
        try:
            opened = self._client.stream(method, f"{self.address}/api/{path}", headers=headers, **request)
            response = opened.__enter__()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Its cause holds the request and with it the token.
            raise self._unreachable(error, "cannot be reached") from None
        except RuntimeError as error:
            raise _errors.InvalidInput(f"the connection to {self.address} is closed") from error
        try:
            yield response
        finally:
            opened.__exit__(None, None, None)

    def _json(self, response: httpx.Response) -> Any:
        content = b"".join(self._pieces(response))
        if not content:
            return None
        try:
            return loads(content.decode())
        except ValueError:
            raise self._strange(response) from None

    # ---- What went wrong ----

    def _unreachable(self, error: Exception, what: str) -> Exception:
        if isinstance(error, httpx.TimeoutException):
            what = "cannot be reached" if isinstance(error, httpx.ConnectTimeout) else "does not answer"
            return _errors.ServerError(f"{self.address} {what}: it took too long")
        return _errors.ServerError(f"{self.address} {what}: {error}")

    def _strange(self, response: httpx.Response) -> Exception:
        kind = response.headers.get("Content-Type", "nothing")
        return _told(
            _errors.ServerError(f"{self.address} is no Fabrik server: it answers {response.status_code} with {kind}"),
            response.status_code,
            None,
        )

    def _refusal(self, response: httpx.Response) -> Exception:
        """Makes the exception that a bad answer stands for."""
        content = b""
        for piece in self._pieces(response):
            content += piece
            if len(content) > MOST_OF_A_REFUSAL:
                break
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        status = response.status_code
        if response.is_redirect or (not isinstance(body, dict) and status < 500):
            return self._strange(response)
        body = body if isinstance(body, dict) else {}
        request_id = body.get("request_id") or response.headers.get("X-Request-ID")
        fields = {name: value for name, value in body.items() if isinstance(value, list)} if status == 400 else {}
        sentence = _sentence(body, fields, status)
        error: Exception
        if status == 400:
            error = _errors.InvalidInput(sentence)
        elif status == 401:
            error = _errors.Unauthorized(f"{self.address}: {sentence}")
        elif status == 403:
            needed = body.get("required_permission")
            error = _errors.Forbidden(f"{sentence} ({needed} is needed)" if needed else sentence)
        elif status == 404:
            error = _errors.NotFound(sentence)
        elif status == 429:
            error = _errors.Throttled(sentence)
            error.retry_after = _retry_after(response)
        else:
            kind = {
                "source_failed": _errors.SourceFailed,
                "store_locked": _errors.Locked,
                "storage_full": _errors.StorageFull,
            }.get(str(body.get("error")), _errors.ServerError)
            error = kind(sentence)
        return _told(error, status, request_id, fields)


def _told(
    error: Exception, status: int, request_id: str | None, fields: dict[str, list[str]] | None = None
) -> Exception:
    """Notes what the server said besides."""
    error.status = status  # type: ignore[attr-defined]
    error.request_id = request_id  # type: ignore[attr-defined]
    error.fields = fields or {}  # type: ignore[attr-defined]
    return error


def _sentence(body: Mapping[str, Any], fields: Mapping[str, list[str]], status: int) -> str:
    detail = body.get("detail")
    if isinstance(detail, str) and detail:
        return detail
    said = [
        " ".join(map(str, sentences)) if field == "non_field_errors" else f"{field}: {' '.join(map(str, sentences))}"
        for field, sentences in fields.items()
    ]
    return "; ".join(said) or f"the server answered {status} and does not say why"


def _retry_after(response: httpx.Response) -> timedelta:
    text = response.headers.get("Retry-After", "")
    if text.isascii() and text.isdigit():
        return timedelta(seconds=min(int(text), 366 * 86400))
    try:
        return max(parsedate_to_datetime(text) - datetime.now(timezone.utc), timedelta(0))
    except (TypeError, ValueError):
        return timedelta(seconds=1)


def _parameter(value: Any) -> Any:
    return ("true" if value else "false") if isinstance(value, bool) else value


def _address(url: str) -> str:
    """Returns the address of a server without its last slash.

    What is wrong with it is told without repeating it: it may hold a password.
    """
    refused = _errors.InvalidInput(
        "url is not valid: expected the address of a server, such as https://fabrik.example, without a user and a query"
    )
    try:
        parts = urlsplit(url.strip())
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise refused from None
    if not is_good or "@" in parts.netloc or parts.query or parts.fragment:
        raise refused
    path = parts.path.rstrip("/")
    # Whoever copies the address of the interface means the server.
    path = path[: -len("/api")] if path.endswith("/api") else path
    return f"{parts.scheme}://{parts.netloc}{path}"


def _verification(verify: bool | Pathish) -> ssl.SSLContext | bool:
    if verify is True:
        return True
    if verify is False:
        raise _errors.InvalidInput(
            "verify: the certificate of a server is always checked; give the file of its authority, in PEM form"
        )
    place = Path(verify)
    try:
        if place.is_dir():
            return ssl.create_default_context(capath=str(place))
        return ssl.create_default_context(cafile=str(place))
    except (OSError, ssl.SSLError) as error:
        raise _errors.InvalidInput(f"verify: {str(place)!r} holds no authorities in PEM form: {error}") from error
