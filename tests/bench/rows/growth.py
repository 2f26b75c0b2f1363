"""Whether a lease takes longer when there is much: many live tokens and a long past, against a small pool without one."""

import dataclasses
import signal
import time

from daemon import Argospool, Grown, make_backup
from party import ALONE, FEW
from report import Row, Target, each, median, ratios, spread, table

LIVE = 100_000
# What is leased in a round, so that the same is left at its end.
CALLS = {ALONE: 4_000, FEW: 20_000}
WARM_UP = "200ms"
STOCK = 35_000
BOTH = ["grown", "small"]
PLACES = {"small": "small pool, no past", "grown": "grown"}


class Growth(Row):
    name = "growth"
    title = "Growth"

    def __init__(self, scratch, binaries, lines):
        super().__init__(scratch, binaries)
        self.lines = lines

    def __enter__(self):
        backup = make_backup(self.scratch, self.binaries)
        began = time.monotonic()
        self.grown = self.party("grown", Grown, backup, self.lines, LIVE)
        self.grown.__enter__()
        backup.unlink()
        self.grown.stop()
        print(f"a past of {self.lines:,} lines: made in {time.monotonic() - began:.0f} s", flush=True)
        return self

    def __exit__(self, *_):
        self.grown.__exit__()

    def measure(self, turn):
        since = time.time()
        with self.party("small", Argospool, stock=STOCK) as small:
            figures = {"lines": self.lines, "live": LIVE, "first_lease_ms": self.grown.first_lease()}
            both = {"small": small, "grown": self.grown}
            for callers, calls in CALLS.items():
                # Each comes first in every other round.
                for place in sorted(both, reverse=turn % 2 == 0):
                    sample = both[place].bench(callers, "--calls", calls, warm_up=WARM_UP)
                    figures.setdefault(str(callers), {})[place] = dataclasses.asdict(sample)
            figures["resident_mib"] = self.grown.resident()
        self.grown.revert(since)
        self.grown.stop(signal.SIGTERM)
        return figures

    @staticmethod
    def targets(rounds):
        lines, live = rounds[0]["lines"], rounds[0]["live"]
        size = f"{live:,} live tokens, {lines:,} lines ÷ small"
        return [
            Target(f"p50 of a lease at {callers}, {size}", ratios(*(each(rounds, str(callers), place, "p50") for place in BOTH)), 1.1)
            for callers in CALLS
        ]

    @staticmethod
    def text(rounds):
        lines, live = rounds[0]["lines"], rounds[0]["live"]
        rows = []
        for callers in map(str, CALLS):
            for place, called in PLACES.items():
                rate, p50, p99 = (each(rounds, callers, place, figure) for figure in ("rate", "p50", "p99"))
                rows.append([callers, called, median(rate), median(p50), median(p99)])
        head = table(["connections × in flight", "", "leases/s", "p50 µs", "p99 µs"], rows)
        rates = ratios(*(each(rounds, str(FEW), place, "rate") for place in BOTH))
        return f"""*Grown* is {live:,} live tokens, half of them leased, and {lines:,} lines of history. Those are made once, of one real line, by
`argospool ledger import`: they closed evenly over 72 hours, so that a third of their requests are remembered. The tokens are real. The
small pool has {STOCK:,} tokens, no more than the measurement takes.

{head}
Leases a second at {FEW}, grown ÷ small: {spread(rates)}. From the start of the grown daemon to its first lease:
{spread(each(rounds, "first_lease_ms"), " ms")}; resident memory after the measurement: {spread(each(rounds, "resident_mib"), " MiB")}.
"""
