"""How a server is spoken to, against answers that are made here."""

from __future__ import annotations

import json
import pickle
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import fabrik
import httpx
import pytest
from fabrik._http import LONGEST_WAIT, Server, path_of

TOKEN = "fab_Marker-5f0e-of-a-token"
PASSWORD = "Marker-77aa-of-a-password"
Handler = Callable[[httpx.Request], httpx.Response]


def serving(handler: Handler, **login: str) -> Server:
    """Makes a server that answers as told."""
    return Server("https://fab.lab", transport=httpx.MockTransport(handler), **(login or {"token": TOKEN}))


def answers(*answers: httpx.Response) -> tuple[list[httpx.Request], Handler]:
    """Gives one answer after the other, and notes the requests."""
    asked: list[httpx.Request] = []
    left = list(answers)

    def handler(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return left.pop(0)

    return asked, handler


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long was waited, without waiting."""
    seconds: list[float] = []
    monkeypatch.setattr(time, "sleep", seconds.append)
    return seconds


@pytest.mark.parametrize(
    ("status", "body", "kind", "sentence"),
    [
        (400, {"snapshot_a": ["Not this.", "Not that."]}, fabrik.InvalidInput, "snapshot_a: Not this. Not that."),
        (400, {"non_field_errors": ["One of both."]}, fabrik.InvalidInput, "One of both."),
        (400, {"detail": "No.", "code": "snapshot_too_large"}, fabrik.InvalidInput, "No."),
        (401, {"detail": "Who?"}, fabrik.Unauthorized, "Who?"),
        (403, {"detail": "No.", "required_permission": "apic.add_x"}, fabrik.Forbidden, "No. (apic.add_x is needed)"),
        (404, {"detail": "Not found."}, fabrik.NotFound, "Not found."),
        (429, {"detail": "Later."}, fabrik.Throttled, "Later."),
        (500, {"detail": "Internal server error.", "request_id": "r1"}, fabrik.ServerError, "Internal server error."),
        (
            502,
            {"detail": "It is away.", "error": "source_failed", "request_id": "r1"},
            fabrik.SourceFailed,
            "It is away.",
        ),
        (503, {"detail": "Wait.", "error": "store_locked", "request_id": "r1"}, fabrik.Locked, "Wait."),
        (503, {"detail": "Full.", "error": "storage_full", "request_id": "r1"}, fabrik.StorageFull, "Full."),
    ],
)
def test_a_refusal_is_the_exception_that_it_stands_for(
    status: int, body: dict[str, Any], kind: type[Exception], sentence: str
) -> None:
    _, handler = answers(httpx.Response(status, json=body, headers={"X-Request-ID": "r1"}))

    with pytest.raises(kind) as told:
        serving(handler).post("x/")

    assert sentence in str(told.value)
    assert type(told.value) is kind
    assert isinstance(told.value, fabrik.Error)
    assert (told.value.status, told.value.request_id) == (status, "r1")  # type: ignore[attr-defined]


def test_fields_of_a_refusal_are_kept() -> None:
    _, handler = answers(httpx.Response(400, json={"name": ["Too short."], "filter": ["Odd."]}))

    with pytest.raises(fabrik.InvalidInput) as told:
        serving(handler).post("x/", {})

    assert told.value.fields == {"name": ["Too short."], "filter": ["Odd."]}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, text="<html>"),
        httpx.Response(404, text="<html>"),
        httpx.Response(404, json=[]),
        httpx.Response(302, headers={"Location": "https://evil.lab/"}),
    ],
)
def test_what_is_no_fabrik_server_is_called_so(answer: httpx.Response) -> None:
    asked, handler = answers(answer)

    with pytest.raises(fabrik.ServerError, match="https://fab.lab is no Fabrik server"):
        serving(handler).get("x/")

    assert len(asked) == 1


def test_a_reading_waits_as_long_as_it_is_told(waited: list[float]) -> None:
    busy = httpx.Response(429, json={"detail": "Later."}, headers={"Retry-After": "7"})
    asked, handler = answers(busy, busy, httpx.Response(200, json={"a": 1}))

    assert serving(handler).get("x/") == {"a": 1}
    assert (waited, len(asked)) == ([7.0, 7.0], 3)


def test_patience_ends_and_writing_has_none(waited: list[float]) -> None:
    def busy(_: httpx.Request) -> httpx.Response:
        return httpx.Response(429, json={"detail": "Later."}, headers={"Retry-After": "25"})

    with pytest.raises(fabrik.Throttled) as told:
        serving(busy).get("x/")
    assert told.value.retry_after == timedelta(seconds=25)
    assert sum(waited) <= LONGEST_WAIT and len(waited) == 2
    waited.clear()
    with pytest.raises(fabrik.Throttled):
        serving(busy).post("x/")
    with pytest.raises(fabrik.Throttled):
        serving(busy).delete("x/")
    assert waited == []


class Accounts:
    """Logs in, renews and answers; notes what was asked."""

    def __init__(self, *, second_step: bool = False) -> None:
        self.good = "a0"
        self.refresh = "r0"
        self.logins = self.renewals = 0
        self.second_step = second_step

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content or b"null")
        path = request.url.path
        if path == "/api/auth/login/":
            if body != {"username": "mara", "password": PASSWORD}:
                return httpx.Response(401, json={"detail": "No active account found with the given credentials"})
            if self.second_step:
                return httpx.Response(202, json={"mfa_required": True, "mfa_token": "m", "message": ""})
            return self.tokens()
        if path == "/api/auth/mfa-login/":
            return (
                self.tokens()
                if body == {"mfa_token": "m", "code": "123456"}
                else httpx.Response(401, json={"detail": "x"})
            )
        if path == "/api/auth/token/refresh/":
            if body["refresh"] != self.refresh:
                return httpx.Response(401, json={"detail": "Token is invalid", "code": "token_not_valid"})
            self.renewals += 1
            return self.tokens(count=False)
        if request.headers.get("authorization") != f"Bearer {self.good}":
            return httpx.Response(401, json={"detail": "Token is invalid", "code": "token_not_valid"})
        return httpx.Response(200, json={"ok": True})

    def tokens(self, count: bool = True) -> httpx.Response:
        self.logins += count
        n = self.logins + self.renewals
        self.good, self.refresh = f"a{n}", f"r{n}"
        return httpx.Response(200, json={"access": self.good, "refresh": self.refresh, "user": {"id": 1}})


def test_a_session_is_renewed_by_itself() -> None:
    accounts = Accounts()
    server = serving(accounts, username="mara", password=PASSWORD)

    for _ in range(3):
        accounts.good = "expired"
        assert server.get("x/") == {"ok": True}

    assert (accounts.logins, accounts.renewals) == (1, 3)


def test_a_session_that_ended_is_begun_anew() -> None:
    accounts = Accounts()
    server = serving(accounts, username="mara", password=PASSWORD)

    accounts.good = accounts.refresh = "ended"

    assert server.get("x/") == {"ok": True}
    assert (accounts.logins, accounts.renewals) == (2, 0)


def test_many_threads_renew_a_session_once() -> None:
    accounts = Accounts()
    all_refused = threading.Barrier(8)

    def handler(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/x/" and request.headers["authorization"] != f"Bearer {accounts.good}":
            all_refused.wait(20)
        return accounts(request)

    server = serving(handler, username="mara", password=PASSWORD)
    accounts.good = "expired"

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: server.get("x/"), range(8)))

    assert found == [{"ok": True}] * 8
    assert (accounts.logins, accounts.renewals) == (1, 1)


def test_a_second_step_takes_a_code_once() -> None:
    accounts = Accounts(second_step=True)
    with pytest.raises(fabrik.Unauthorized, match="second step"):
        serving(accounts, username="mara", password=PASSWORD)
    server = serving(accounts, username="mara", password=PASSWORD, otp="123456")
    assert server.get("x/") == {"ok": True}

    accounts.good = accounts.refresh = "ended"

    with pytest.raises(fabrik.Unauthorized):
        server.get("x/")
    assert accounts.logins == 1


def test_a_bad_token_is_refused_once() -> None:
    asked, handler = answers(httpx.Response(401, json={"detail": "Token is invalid", "code": "token_not_valid"}))

    with pytest.raises(fabrik.Unauthorized):
        serving(handler).get("x/")

    assert asked[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_secrets_are_in_no_repr_no_error_and_no_pickle() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    def wrong(_: httpx.Request) -> httpx.Response:
        return httpx.Response(401, json={"detail": "No."})

    server = serving(away)
    with pytest.raises(fabrik.ServerError, match="https://fab.lab cannot be reached") as told:
        server.get("x/")
    with pytest.raises(fabrik.Unauthorized) as refused:
        serving(wrong, username="mara", password=PASSWORD)
    said = [repr(server), repr(server._login), repr(vars(told.value)), repr(vars(refused.value))]
    for error in (told.value, refused.value):
        said += traceback.format_exception(type(error), error, error.__traceback__)
        said.append(str(pickle.dumps(error)))
    for text in said:
        assert TOKEN not in text and PASSWORD not in text
    for secret in (server, server._login):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(secret)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "fab.lab",
        "ftp://fab.lab",
        "https://",
        "https://mara:hunter2@fab.lab",
        "https://fab.lab?x=1",
        "https://fab.lab:x",
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(fabrik.InvalidInput, match="expected the address of a server") as told:
        Server(url, token=TOKEN)

    assert "hunter2" not in str(told.value)


def test_addresses_lose_what_means_nothing() -> None:
    for url in ("https://fab.lab", " https://fab.lab/ ", "https://fab.lab/api/"):
        assert Server(url, token=TOKEN).address == "https://fab.lab"
    assert Server("http://fab.lab:8000/fabrik/", token=TOKEN).address == "http://fab.lab:8000/fabrik"


@pytest.mark.parametrize(
    ("login", "sentence"),
    [
        ({"token": TOKEN, "username": "mara", "password": PASSWORD}, "not both"),
        ({"username": "mara"}, "belong together"),
        ({"token": "two words"}, "no API key"),
        ({"token": TOKEN, "verify": False}, "always checked"),
        ({"token": TOKEN, "verify": "/nowhere.pem"}, "/nowhere.pem"),
        ({"token": TOKEN, "timeout": 0}, "timeout"),
    ],
)
def test_what_makes_no_sense_is_refused(login: dict[str, Any], sentence: str) -> None:
    with pytest.raises(fabrik.InvalidInput, match=sentence):
        Server("https://fab.lab", **login)


def test_an_answer_that_breaks_off_is_an_error() -> None:
    def pieces() -> Any:
        yield b'{"a":1}\n{"b'
        raise httpx.RemoteProtocolError("peer closed connection")

    _, handler = answers(httpx.Response(200, content=pieces()))
    lines = serving(handler).lines("GET", "x/")

    assert next(lines) == b'{"a":1}'
    with pytest.raises(fabrik.ServerError, match="broke off"):
        next(lines)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_are_whole_however_they_arrive(size: int) -> None:
    text = b'{"a":1}\n{}\n{"b":"\xc3\xa4"}\n{"last":true}'
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    _, handler = answers(httpx.Response(200, content=iter(pieces)))

    assert list(serving(handler).lines("GET", "x/")) == text.split(b"\n")


def test_a_list_that_grows_meanwhile_gives_each_item_once() -> None:
    pages = [{"results": [{"id": 3}, {"id": 2}], "next": "x"}, {"results": [{"id": 2}, {"id": 1}], "next": None}]
    asked, handler = answers(*[httpx.Response(200, json=page) for page in pages])

    assert [item["id"] for item in serving(handler).pages("x/", label="a b", search=None)] == [3, 2, 1]
    assert [request.url.query for request in asked] == [
        b"page=1&page_size=200&label=a+b",
        b"page=2&page_size=200&label=a+b",
    ]


def test_names_in_paths_may_hold_anything() -> None:
    assert path_of("202@2026-01-15T10:30:00+01:00") == "202%402026-01-15T10%3A30%3A00%2B01%3A00/"
    assert path_of("a/b?c", 7) == "a%2Fb%3Fc/7/"


def test_numbers_keep_their_digits() -> None:
    _, handler = answers(httpx.Response(200, content=b"[1, 12345678901234567890123, 0.1, 1.50, 1e400]"))

    found = serving(handler).get("x/")

    assert found == [1, 12345678901234567890123, 0.1, Decimal("1.50"), Decimal("1e400")]
    assert [type(number) for number in found] == [int, int, float, Decimal, Decimal]
