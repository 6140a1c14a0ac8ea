"""The real server and a simulated controller, as processes on loopback that end with the tests."""

from __future__ import annotations

import os
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

#: The command, which `python.rs` names; without it these tests cannot run, and fail.
BINARY = os.environ["FABRIK_BIN"]
PASSWORD = "correct-horse-battery-9"
CONTROLLER_PASSWORD = "Marker-81c0-of-a-Controller"


@contextmanager
def process(folder: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> Iterator[IO[str]]:
    """Runs the command in a folder, without anything of our environment, and gives what it prints."""
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(
            [BINARY, *arguments], cwd=folder, env=dict(environment), stdout=subprocess.PIPE, stderr=log, text=True
        ) as child,
    ):
        try:
            assert child.stdout is not None
            yield child.stdout
        finally:
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()


@dataclass
class Lab:
    """A server on a store, its administrator, and a controller that it can reach."""

    folder: Path
    url: str
    token: str
    controller: str
    #: The certificate that the controller shows.
    authority: Path

    @property
    def store(self) -> Path:
        """The file of the store."""
        return self.folder / "fabrik.db"

    def call(self, method: str, path: str, body: Any = None, *, token: str | None = None) -> Any:
        """Asks the server without the client that is tested."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        answer = httpx.request(method, f"{self.url}/api/{path}", json=body, headers=headers, timeout=60)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def set(self, dn: str, **attributes: str) -> None:
        """Changes or makes an object of the controller."""
        user = {"aaaUser": {"attributes": {"name": "reader", "pwd": CONTROLLER_PASSWORD}}}
        trusted = ssl.create_default_context(cafile=str(self.authority))
        with httpx.Client(base_url=self.controller, verify=trusted) as client:
            client.post("/api/aaaLogin.json", json=user).raise_for_status()
            body = {"fvBD": {"attributes": {"dn": dn, **attributes}}}
            client.post(f"/api/mo/{dn}.json", json=body).raise_for_status()


@contextmanager
def lab(folder: Path, *settings: str) -> Iterator[Lab]:
    """Starts both in a folder; rates are off, unless the settings say otherwise."""
    scopes = ["zone_api", "zone_login", "anon", "user", "login", "mfa", "token_refresh", "sensitive_action"]
    rates = [f"rate_limit.{scope}=off" for scope in scopes]
    options = [part for setting in [*rates, *settings] for part in ("--set", setting)]
    admin = {"FABRIK_ADMIN_USERNAME": "root", "FABRIK_ADMIN_PASSWORD": PASSWORD}
    simulator = ["apic-sim", "--listen", "127.0.0.1:0", "--certificate", "ca.pem", "--user", "reader"]
    server = ["serve", "--store", "sqlite:fabrik.db", "--listen", "127.0.0.1:0", "--set", "log.filter=warn", *options]
    controllers = folder / "controller"
    controllers.mkdir()
    with process(controllers, [*simulator, "--objects", "2000", "--password", CONTROLLER_PASSWORD], {}) as printed:
        controller = _after(printed, "Simulated APIC at ").split(" ")[0]
        with process(folder, server, admin) as printed:
            url = _after(printed, "serving ").removesuffix("/api/docs/")
            login = httpx.post(f"{url}/api/auth/login/", json={"username": "root", "password": PASSWORD})
            session = login.json()["access"]
            key = httpx.post(
                f"{url}/api/auth/api-keys/",
                json={"name": "tests", "scopes": ["*", "users"]},
                headers={"Authorization": f"Bearer {session}"},
            )
            yield Lab(folder, url, key.json()["key"], controller, controllers / "ca.pem")


def _after(printed: IO[str], start: str) -> str:
    """Returns what follows on the line that begins like this."""
    for line in printed:
        if line.startswith(start):
            return line[len(start) :].strip()
    raise AssertionError("it ended before it served; its log is beside it")
