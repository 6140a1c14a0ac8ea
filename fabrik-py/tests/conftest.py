"""What the tests share: stores, and rows in one line."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Iterator

import hypothesis
import pytest

import fabrik

# A test that is slow on a busy machine is no wrong test, and what was found once must be found again.
hypothesis.settings.register_profile(
    "fabrik", deadline=None, max_examples=60, derandomize=True, database=None, print_blob=False
)
hypothesis.settings.load_profile("fabrik")


@pytest.fixture(autouse=True)
def settings_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps a test from this machine's settings: keys and folders are looked for below an empty one."""
    home = tmp_path / "home"
    home.mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "IPYTHONDIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.chdir(tmp_path)


@pytest.fixture(params=["memory", "sqlite"])
def tm(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[fabrik.TimeMachine]:
    """A store in memory and one in a file: what holds for one holds for the other."""
    address = "memory:" if request.param == "memory" else f"sqlite:{tmp_path / 'fabrik.db'}"
    with fabrik.open(address) as opened:
        yield opened


@pytest.fixture(scope="session")
def command() -> str:
    """The `fabrik` command, with which the module must agree."""
    return os.environ["FABRIK_BIN"]
