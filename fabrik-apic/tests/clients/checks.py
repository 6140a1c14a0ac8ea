"""What the scripts share: where the controller is, and how a check is told."""

import faulthandler
import os
import sys
import time

# A client that waits for ever ends the script, and shows where it waits.
faulthandler.dump_traceback_later(150, exit=True)

URL = os.environ["APIC_URL"]
HOST = URL.split("://")[1]
USER = os.environ["APIC_USER"]
PASSWORD = os.environ["APIC_PASSWORD"]
CERTIFICATE = os.environ["APIC_CERTIFICATE"]


def check(what, condition, found=None):
    """Prints what was checked, and ends the script with a failure if it is not so."""
    if condition:
        print(f"ok      {what}", flush=True)
    else:
        print(f"FAILED  {what}: found {found!r}", flush=True)
        sys.stdout.flush()
        # Not sys.exit: threads of a client may not be daemons and would keep the process alive.
        os._exit(1)


def until(condition, seconds=30):
    """Returns whether a condition that a thread of the client fulfils comes true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def done():
    """Ends the script, whatever threads the client has left behind."""
    print("all checks passed", flush=True)
    os._exit(0)
