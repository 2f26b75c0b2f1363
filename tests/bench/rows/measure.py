"""Measures the daemon side by side with others and with itself, and reports.

Usage: measure.py ARGOSPOOL ECHO OUT [ROUNDS [LINES [ROW ...]]]. In every round each row is measured once, one after
the other, so that what else the machine does strikes all of them; ratios are taken within a round, and medians over
the rounds. LINES is how long the past of the grown ledger is (default 5,000,000); rows are throughput, growth, size,
filling, batches, reads, sealed, steady and, once for all rounds, allocations (default: all). Writes OUT/measured.json, and what draw.py makes of it.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import sys
import tempfile
import time

from daemon import Argospool  # noqa: F401  first, because it knows where the others are
import draw
from allocations import allocations
from calls import Batches, Reads, Steady
from filling import Filling
from growth import Growth
from sealed import Sealed
from size import Size
from throughput import Throughput

ROUNDS, LINES = 3, 5_000_000


@dataclasses.dataclass(frozen=True)
class Binaries:
    argospool: pathlib.Path
    echo: pathlib.Path


def conditions():
    cpu = next(line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name"))
    kernel = os.uname()
    return {
        "cores": os.cpu_count(),
        "cpu": cpu,
        "kernel": f"{kernel.sysname} {kernel.release} {kernel.machine}",
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "load_before": os.getloadavg()[0],
        "day": time.strftime("%Y-%m-%d"),
    }


def main(argospool, echo, out, rounds=ROUNDS, lines=LINES, *wanted):
    binaries = Binaries(pathlib.Path(argospool).resolve(), pathlib.Path(echo).resolve())
    found = {"about": conditions(), "rows": {}}
    with tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH")) as directory, contextlib.ExitStack() as open_rows:
        # PostgreSQL, as another user, has to get through.
        os.chmod(directory, 0o711)
        scratch = pathlib.Path(directory)
        throughput = Throughput(scratch, binaries)
        others = [kind(scratch, binaries) for kind in (Size, Filling, Batches, Reads, Sealed, Steady)]
        rows = [throughput, Growth(scratch, binaries, int(lines)), *others]
        rows = [open_rows.enter_context(row) for row in rows if not wanted or row.name in wanted]
        for turn in range(int(rounds)):
            for row in rows:
                began = time.monotonic()
                found["rows"].setdefault(row.name, []).append(row.measure(turn))
                print(f"round {turn + 1} of {rounds}, {row.name}: {time.monotonic() - began:.0f} s", flush=True)
        if throughput in rows:
            found["calls"] = throughput.system_calls()
        if not wanted or "allocations" in wanted:
            found["allocations"] = allocations(scratch, binaries)
    out = pathlib.Path(out)
    (out / "measured.json").write_text(json.dumps(found, indent=1) + "\n")
    draw.main(out)


if __name__ == "__main__":
    main(*sys.argv[1:])
