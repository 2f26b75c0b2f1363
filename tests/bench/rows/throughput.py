"""Leases a second and how long each takes: the limit, the daemon, Redis, PostgreSQL."""

import dataclasses
import os
import statistics
import time

from daemon import Argospool
from parties import Echo, Postgres, Redis
from party import LOADS
from report import Row, Target, ratios, spread, table

TRANSPORTS = {"tcp": "TCP on loopback", "unix": "a unix socket"}
PARTIES = [Echo, Argospool, Redis, Postgres]

# Which ratio, under which load, and where it is to be. Over TCP.
RATES = [
    ("leases a second ÷ echo", Echo.name, "4 × 16", 0.5),
    ("leases a second ÷ echo", Echo.name, "64 × 1", 0.65),
    ("leases a second ÷ echo", Echo.name, "4 × 64", 0.65),
    ("leases a second ÷ Redis", Redis.name, "4 × 16", 1.6),
    ("leases a second ÷ Redis", Redis.name, "64 × 1", 1.1),
    ("leases a second ÷ Redis", Redis.name, "4 × 64", 2.0),
    ("leases a second ÷ PostgreSQL", Postgres.name, "64 × 1", 8.0),
]


class Throughput(Row):
    name = "throughput"

    def measure(self, turn):
        samples = []
        sync = synced(self.scratch)
        for transport in TRANSPORTS:
            for callers in LOADS:
                for kind in PARTIES:
                    with self.party("party", kind, transport == "unix") as party:
                        sample = party.measure(callers)
                    samples.append({
                        "transport": transport, "load": str(callers), "party": party.name, **dataclasses.asdict(sample),
                    })
                    print(f"round {turn + 1}, {transport:4}, {callers!s:6}, {party.name:25}"
                          f"{sample.rate:9,.0f}/s  p50 {sample.p50:7,.0f} us  p99 {sample.p99:7,.0f} us", flush=True)
        return {"fdatasync_us": sync, "samples": samples}

    def system_calls(self):
        """Of the daemon for one lease, under each load."""
        counts = {}
        for callers in LOADS:
            with self.party("party", Argospool) as watched:
                counts[str(callers)] = watched.system_calls(callers)
        return counts

    @staticmethod
    def targets(rounds):
        found = [
            Target(f"{what}, {load}", ratio(rounds, "rate", party, load), least, least=True)
            for what, party, load, least in RATES
        ]
        alone = ("p50", Argospool.name, "1 × 1"), ("p50", Echo.name, "1 × 1")
        ours, theirs = (of(rounds, *which) for which in alone)
        syncs = [(one - other) / figures["fdatasync_us"] for one, other, figures in zip(ours, theirs, rounds)]
        return found + [
            Target("p50 of a single caller − echo, in syncs of the disk", syncs, 1.3),
            Target("p50 of a single caller ÷ Redis", ratio(rounds, "p50", Redis.name, "1 × 1"), 1.1),
            Target("p99 at 4 × 16 ÷ echo", ratio(rounds, "p99", Echo.name, "4 × 16"), 3),
        ]


def of(rounds, figure, party, load, transport="tcp"):
    """One value for each round, in order."""
    return [
        sample[figure] for figures in rounds for sample in figures["samples"]
        if (sample["party"], sample["load"], sample["transport"]) == (party, load, transport)
    ]


def ratio(rounds, figure, party, load, transport="tcp"):
    """Of the daemon to a party, round by round."""
    return ratios(of(rounds, figure, Argospool.name, load, transport), of(rounds, figure, party, load, transport))


def figures(rounds, transport):
    rows = []
    for load in map(str, LOADS):
        for party in (kind.name for kind in PARTIES):
            rate, p50, p99 = (
                statistics.median(of(rounds, figure, party, load, transport)) for figure in ("rate", "p50", "p99")
            )
            share = "" if party == Argospool.name else spread(ratio(rounds, "rate", party, load, transport))
            rows.append([load, party, f"{rate:,.0f}", f"{p50:,.0f}", f"{p99:,.0f}", share])
    return table(["connections × in flight", "", "leases/s", "p50 µs", "p99 µs", "argospool ÷ this"], rows)


def calls(counted):
    """System calls of the daemon for each lease; those that are rare under every load are summed up."""
    names = sorted({name for counts in counted.values() for name in counts})
    often = [name for name in names if any(counts.get(name, 0) >= 0.02 for counts in counted.values())]
    rows = []
    for load, counts in counted.items():
        rare = sum(count for name, count in counts.items() if name not in often)
        rows.append([load, f"{sum(counts.values()):.2f}", *(f"{counts.get(name, 0):.2f}" for name in often), f"{rare:.2f}"])
    return table(["connections × in flight", "all", *(f"`{name}`" for name in often), "others"], rows)


def synced(scratch):
    """The median of writing 4 KiB into a file that is there already, with fdatasync, in microseconds."""
    path = scratch / "synced"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        os.pwrite(descriptor, bytes(4096 * 256), 0)
        os.fsync(descriptor)
        spans = []
        for turn in range(256):
            began = time.perf_counter()
            os.pwrite(descriptor, bytes([turn]) * 4096, turn * 4096)
            os.fdatasync(descriptor)
            spans.append((time.perf_counter() - began) * 1e6)
        return statistics.median(spans)
    finally:
        os.close(descriptor)
        path.unlink()
