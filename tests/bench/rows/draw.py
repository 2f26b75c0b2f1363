"""Makes the reports and the plots of what was measured. Usage: draw.py OUT, with OUT/measured.json in it."""

import json
import pathlib
import statistics
import sys

from daemon import Argospool  # noqa: F401  first, because it knows where the others are
import allocations
import plot
import throughput
from calls import Batches, Reads, Steady
from filling import Filling
from growth import Growth
from report import table
from sealed import Sealed
from size import Size
from throughput import TRANSPORTS, Throughput

ROWS = [Throughput, Growth, Size, Filling, Batches, Reads, Sealed, Steady]


def conditions(found):
    about = found["about"]
    rounds = len(next(iter(found["rows"].values())))
    machine = f"{about['cores']} cores ({about['cpu']}), {about['memory_gib']} GiB, {about['kernel']}"
    medians = f"Medians of {rounds} rounds, in each of" if rounds > 1 else "One round, in"
    return f"""Made by `tests/bench/run` on {about["day"]}: {machine}; load before
the run {about["load_before"]:.1f}. Whoever is measured and whoever measures it share the cores. {medians} which
everything was measured once, with ratios taken within a round; in brackets the least and the greatest of them."""


def targets(found):
    """The first page: every target, and what has none."""
    all_of_them = [target for row in ROWS if row.name in found["rows"] for target in row.targets(found["rows"][row.name])]
    head = ["what", "target", "measured", ""]
    bound = [target for target in all_of_them if target.bound is not None]
    free = [target.row() for target in all_of_them if target.bound is None]
    text = f"""# The daemon against its targets

{conditions(found)}
The figures behind them, and how each was measured: [leases a second beside the limit, Redis and PostgreSQL](throughput.md),
[everything else](rows.md).

![How much of its bound each takes](targets.svg)

{table(head, [target.row() for target in bound])}"""
    if free:
        text += f"\nWithout a target:\n\n{table(['what', 'measured'], [[row[0], row[2]] for row in free])}"
    return text, bound


def side_by_side(found):
    rounds = found["rows"]["throughput"]
    sync = statistics.median(figures["fdatasync_us"] for figures in rounds)
    text = f"""# Leases a second, side by side

{conditions(found)}
A write of 4 KiB with `fdatasync` takes {sync:.0f} µs (median).

- *echo*: `tests/bench/echo.rs`, an answer of the same size from tonic on one thread, with no work behind it. The limit.
- *argospool*: the daemon beside the simulator, driven as the echo is, by `argospool bench`; every lease is on the disk before it is
  answered. The stock is full and refill is paused.
- *Redis, appendfsync always*: the same lease as one script (idempotent by request, token, lease, deadline), by `redis-benchmark`.
- *PostgreSQL, SKIP LOCKED*: the same lease as one prepared statement, by `pgbench` on two threads. Both have one call in flight on
  each connection, so 4 × 16 are 64 connections to them.

![Leases a second](throughput.svg)
"""
    for transport, title in TRANSPORTS.items():
        text += f"\n## Over {title}\n\n{throughput.figures(rounds, transport)}"
    return text + f"""
## System calls of the daemon for each lease

By `strace`, which makes it slower and its groups larger, over TCP.

{throughput.calls(found["calls"])}"""


def others(found):
    text = f"# How the daemon grows, fills, reads and seals\n\n{conditions(found)}\n"
    for row in ROWS:
        if row.title and row.name in found["rows"]:
            text += f"\n## {row.title}\n\n{row.text(found['rows'][row.name])}"
    if "allocations" in found:
        text += f"\n## Allocations for each lease\n\n{allocations.text(found['allocations'])}"
    return text


def main(out):
    found = json.loads((out / "measured.json").read_text())
    text, bound = targets(found)
    (out / "targets.md").write_text(text)
    plot.targets(bound, out / "targets.svg")
    (out / "rows.md").write_text(others(found))
    if "throughput" in found["rows"]:
        (out / "throughput.md").write_text(side_by_side(found))
        plot.rates(found["rows"]["throughput"], out / "throughput.svg")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
