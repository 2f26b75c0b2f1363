"""What callers see beside single leases: batches, reads while others write, and a steady rate over a socket."""

import dataclasses
import statistics
import threading
import time

from client import BATCH, timed
from daemon import Argospool
from party import ALONE, FEW
from report import Row, Target, each, median, ratios, spread, table

BATCHES = 40
SINGLES = 2_000
# Of each kind, a second.
READS = 50
READ_SECONDS = 2
WRITES = 40_000
PAGE = 100
STEADY, STEADY_SECONDS = 1_000, 5


class Batches(Row):
    name = "batches"
    title = "Batches"

    def measure(self, turn):
        with self.party("batches", Argospool, stock=BATCHES * BATCH + SINGLES + 1_000) as daemon:
            single = daemon.bench(ALONE, "--calls", SINGLES)
            client = daemon.client()
            spans = sorted(timed(client.batch) for _ in range(BATCHES))
            client.close()
        return {"single": dataclasses.asdict(single), "batch_p50": statistics.median(spans), "batch_greatest": spans[-1]}

    @staticmethod
    def targets(rounds):
        each_of = [micros / BATCH for micros in each(rounds, "batch_p50")]
        return [Target(f"a lease in a batch of {BATCH} ÷ a single one, p50", ratios(each_of, each(rounds, "single", "p50")))]

    @staticmethod
    def text(rounds):
        millis = [micros / 1000 for micros in each(rounds, "batch_p50")]
        slowest = [micros / 1000 for micros in each(rounds, "batch_greatest")]
        each_of = [micros / BATCH for micros in each(rounds, "batch_p50")]
        return f"""`BatchCreateLeases` with {BATCH} requests, one call at a time, of {BATCHES}, by a Python client, whose own work counts: p50
{spread(millis, " ms")}, the slowest {spread(slowest, " ms")}. That is {spread(each_of, " µs")} for each lease, where a single one takes
{spread(each(rounds, "single", "p50"), " µs")} by `argospool bench`.
"""


class Reader:
    """Reads of every kind in turn, at a steady rate, until told to end. Begins at once."""

    def __init__(self, daemon):
        self.client = daemon.client()
        self.lease = self.client.lease()
        self.spans = {name: [] for name in self.kinds()}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def kinds(self):
        leases, pool = self.client.leases, self.client.pool
        return {
            "GetStatus": self.client.counts,
            "GetLease": lambda: leases.GetLease(pool.GetLeaseRequest(lease_id=self.lease.lease_id), timeout=30),
            f"ListLeases, {PAGE} a page": lambda: leases.ListLeases(pool.ListLeasesRequest(page_size=PAGE), timeout=30),
        }

    def read(self):
        due = time.monotonic()
        while not self.over.is_set():
            for name, call in self.kinds().items():
                self.spans[name].append(timed(call))
                due += 1 / READS / len(self.spans)
                self.over.wait(max(due - time.monotonic(), 0))

    def end(self):
        """p50 and p99 of each kind, in microseconds."""
        self.over.set()
        self.thread.join(60)
        self.client.close()
        return {
            name: {"p50": statistics.median(spans), "p99": sorted(spans)[len(spans) * 99 // 100], "number": len(spans)}
            for name, spans in self.spans.items()
        }


class Reads(Row):
    name = "reads"
    title = "Reads beside leases"

    def measure(self, turn):
        with self.party("reads", Argospool) as daemon:
            # A page has its full length.
            client = daemon.client()
            client.batch()
            client.close()
            reader = Reader(daemon)
            time.sleep(READ_SECONDS)
            found = {"reads": reader.end()}

            def alone():
                found["leases"] = dataclasses.asdict(daemon.bench(FEW, "--calls", WRITES))

            def beside():
                reader = Reader(daemon)
                try:
                    found["leases_beside"] = dataclasses.asdict(daemon.bench(FEW, "--calls", WRITES))
                finally:
                    found["reads_beside"] = reader.end()

            for measure in (alone, beside) if turn % 2 == 0 else (beside, alone):
                measure()
        return found

    @staticmethod
    def targets(rounds):
        both = "leases_beside", "leases"
        return [
            Target(f"leases a second at {FEW}, with readers ÷ alone", ratios(*(each(rounds, which, "rate") for which in both))),
            Target(f"p99 of leases at {FEW}, with readers ÷ alone", ratios(*(each(rounds, which, "p99") for which in both))),
        ]

    @staticmethod
    def text(rounds):
        rows = []
        for name in rounds[0]["reads"]:
            figures = [each(rounds, which, name, figure) for which in ("reads", "reads_beside") for figure in ("p50", "p99")]
            rows.append([name, *map(median, figures)])
        leases = [each(rounds, which, figure) for which in ("leases", "leases_beside") for figure in ("p50", "p99")]
        rows.append([f"CreateLease at {FEW}", *map(median, leases)])
        rates = [median(each(rounds, which, "rate")) for which in ("leases", "leases_beside")]
        head = ["µs", "alone, p50", "p99", "both at once, p50", "p99"]
        return f"""A Python client that reads {READS} times a second in each of the ways below, while nobody leases and while `argospool bench` takes
{WRITES:,} leases at {FEW} as fast as they are given: {rates[0]} leases a second without readers and {rates[1]} with them. What reads wait for
is above all a turn on two cores that the leases fill. Of each kind there are some hundred reads, so their p99 is the slowest but one.

{table(head, rows)}"""


class Steady(Row):
    name = "steady"
    title = "A steady rate over a unix socket"

    def measure(self, turn):
        with self.party("steady", Argospool, True, stock=STEADY * (STEADY_SECONDS + 1)) as daemon:
            return dataclasses.asdict(daemon.bench(FEW, "--rate", STEADY, seconds=STEADY_SECONDS))

    @staticmethod
    def targets(rounds):
        millis = [micros / 1000 for micros in each(rounds, "p99")]
        return [Target(f"p99 over a unix socket at {STEADY:,} leases a second", millis, 1, unit=" ms")]

    @staticmethod
    def text(rounds):
        return f"""{STEADY:,} leases a second for {STEADY_SECONDS} s over a unix socket, each begun when it is due, whatever the ones before do: p50
{spread(each(rounds, "p50"), " µs")}, p99 {spread(each(rounds, "p99"), " µs")}. A sidecar would lease like this, from a ledger of its own.
"""
