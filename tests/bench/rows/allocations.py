"""How often the daemon asks its allocator for memory, for one lease: gdb counts the calls, and nothing is built for it.

Each call stops the daemon for a moment, so rates mean nothing here. What is not a lease's (connections, the look at the
status before them) falls out of the difference between few leases and many.
"""

import os
import pathlib
import re
import signal
import subprocess
import time

from daemon import Argospool
from party import ALONE, FEW, ended
from report import table
from session import until

# Of mimalloc, as Rust's allocator calls it.
CALLS = {"mi_malloc_aligned": "new", "mi_zalloc_aligned": "new, zeroed", "mi_realloc_aligned": "made larger or smaller"}
LEASES = {ALONE: (50, 250), FEW: (64, 640)}
SECONDS = 120


class Counted(Argospool):
    def allocations(self, callers, leases):
        """How often each function was called while so many leases were taken."""
        out = self.scratch / "counted"
        command = ["gdb", "-nx", "-q", "-p", str(self.daemon.pid), "-ex", "set pagination off", "-ex", "handle SIGINT stop nopass"]
        for number, name in enumerate(CALLS, 1):
            command += ["-ex", f"break *{name}", "-ex", f"ignore {number} 1000000000"]
        command += ["-ex", "continue", "-ex", "info breakpoints", "-ex", "detach", "-ex", "quit"]
        with open(out, "wb") as log:
            watcher = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            until("gdb watches", self.watched)
            self.bench(callers, "--calls", leases, seconds=SECONDS)
            # gdb takes the signal for itself and goes on with its commands.
            os.kill(self.daemon.pid, signal.SIGINT)
            watcher.wait(60)
        finally:
            if watcher.poll() is None:
                watcher.terminate()
                ended(watcher)
        said = out.read_text()
        hits = {
            name: int(found[1]) if (found := re.search(rf"<{name}\S*>\s+breakpoint already hit (\d+) time", said)) else 0
            for name in CALLS
        }
        assert hits["mi_malloc_aligned"], said
        return hits

    def watched(self):
        """Whether it is traced and runs all the same: breakpoints are there when gdb lets it go on."""
        def running():
            status = dict(
                line.split(":\t", 1) for line in pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines()
            )
            return status["TracerPid"] != "0" and status["State"][0] in "SR"

        before = running()
        time.sleep(0.3)
        return before and running()


def allocations(scratch, binaries):
    """Calls of each function for one lease, under each load."""
    found = {}
    for callers, (few, many) in LEASES.items():
        with Counted(scratch / "counted", binaries, stock=2_000) as daemon:
            less, more = (daemon.allocations(callers, leases) for leases in (few, many))
        found[str(callers)] = {name: (more[name] - less[name]) / (many - few) for name in CALLS}
    return found


def text(found):
    rows = [[load, f"{sum(each.values()):.0f}", *(f"{each[name]:.1f}" for name in CALLS)] for load, each in found.items()]
    return f"""By gdb, which counts calls of mimalloc and makes them slow, so that groups are larger; over TCP, of the whole daemon.

{table(["connections × in flight", "all", *CALLS.values()], rows)}"""
