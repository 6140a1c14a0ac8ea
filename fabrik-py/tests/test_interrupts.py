"""Ctrl-C ends a long call: KeyboardInterrupt comes out of it, and nothing is stored."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PRELUDE = """
import itertools, json, os, signal, sys, threading, time
import fabrik

def say(what):
    print(what, flush=True)

def interrupt():
    # What Ctrl-C does: the signal is the process's, and the main thread handles it.
    os.kill(os.getpid(), signal.SIGINT)

tm = fabrik.open(sys.argv[1])
"""


def run(path: Path, story: str) -> str:
    program = PRELUDE + textwrap.dedent(story)
    ran = subprocess.run(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stdout
    return ran.stdout


def test_a_capture_of_endless_rows_is_interrupted(tmp_path: Path) -> None:
    told = run(
        tmp_path / "fabrik.db",
        """
        def endless():
            for number in itertools.count():
                if number == 50_000:
                    interrupt()
                yield {"dn": f"uni/tn-{number}"}

        try:
            tm.capture("q", endless())
        except KeyboardInterrupt:
            say("interrupted")
        say(f"{len(tm.snapshots())} snapshots, {tm.capture('q', [{'dn': 'uni'}]).row_count} row, {tm.verify().is_clean}")
        """,
    )

    assert told == "interrupted\n0 snapshots, 1 row, True\n"


def test_a_capture_of_bytes_that_never_end_is_interrupted(tmp_path: Path) -> None:
    told = run(
        tmp_path / "fabrik.db",
        """
        import io

        class Endless(io.RawIOBase):
            n = 0
            def readable(self):
                return True
            def readinto(self, buffer):
                self.n += 1
                if self.n == 200:
                    interrupt()
                line = b'{"dn":"uni/tn-%09d"}\\n' % self.n
                buffer[:len(line)] = line
                return len(line)

        try:
            tm.capture("q", Endless(), format="ndjson")
        except KeyboardInterrupt:
            say("interrupted")
        say(f"{len(tm.snapshots())} snapshots")
        """,
    )

    assert told == "interrupted\n0 snapshots\n"


LONG = """
    rows = b"".join(b'{"dn":"uni/tn-%d","a":"%d","b":"x"}\\n' % (n, n) for n in range(100_000))
    tm.capture("q", rows)
    tm.capture("q", rows.replace(b'"x"', b'"y"'))

    def while_it_runs(work):
        main = threading.main_thread().ident
        working = threading.Event()

        def watch():
            # The call is under way when the main thread stands in the package.
            while "fabrik" not in sys._current_frames()[main].f_code.co_filename:
                time.sleep(0)
            interrupt()

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            work()
            say("done")
        except KeyboardInterrupt:
            say("interrupted")
        watcher.join()
"""


@pytest.mark.parametrize(
    "work",
    [
        'lambda: tm.compare("q@latest~1", "q@latest", key="hash").summary',
        'lambda: tm.compare("q@latest~1", "q@latest", key="b,a").to_json()',
        'lambda: tm.capture("more", rows)',
        "lambda: tm.verify()",
    ],
    ids=["summary", "document", "capture", "verify"],
)
def test_a_long_call_is_interrupted_and_changes_nothing(tmp_path: Path, work: str) -> None:
    told = run(
        tmp_path / "fabrik.db",
        LONG
        + f"""
    n = len(tm.snapshots())
    while_it_runs({work})
    say(len(tm.snapshots()) - n)
    """,
    )

    assert told == "interrupted\n0\n"


def test_a_signal_handler_of_the_program_is_called_and_decides(tmp_path: Path) -> None:
    told = run(
        tmp_path / "fabrik.db",
        """
        signal.signal(signal.SIGINT, lambda *_: say("noted"))

        def rows():
            for number in range(30_000):
                if number == 10_000:
                    interrupt()
                yield {"dn": f"uni/tn-{number}"}

        say(tm.capture("q", rows()).row_count)
        """,
    )

    assert told == "noted\n30000\n"


def test_ctrl_c_from_outside_reaches_the_call(tmp_path: Path) -> None:
    program = PRELUDE + textwrap.dedent(
        """
        def endless():
            for number in itertools.count():
                if number == 10_000:
                    say("under way")
                yield {"dn": f"uni/tn-{number}"}
        tm.capture("q", endless())
        """
    )
    arguments = [sys.executable, "-c", program, str(tmp_path / "fabrik.db")]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None and child.stderr is not None
        assert child.stdout.readline() == "under way\n"
        child.send_signal(signal.SIGINT)
        complaint = child.stderr.read()
        child.wait(60)

    assert complaint.strip().endswith("KeyboardInterrupt")
