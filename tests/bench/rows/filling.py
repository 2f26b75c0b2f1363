"""How long it takes to register a full pool at an ARGOS that is far away."""

import time

from daemon import Argospool
from report import Row, Target, each, spread

TOKENS, PER_CALL, IN_FLIGHT, LATENCY_MS = 100_000, 500, 4, 100
# Nothing can be faster: calls in a row, of as many as may be in flight.
IDEAL = TOKENS / PER_CALL / IN_FLIGHT * LATENCY_MS / 1000
SETTLE = "1ms"


class Far(Argospool):
    """A daemon without stock, whose ARGOS takes its time for every answer."""

    def begin(self):
        self.begin_argos("--latency", f"{LATENCY_MS}ms")

    def fill(self):
        """The seconds from the first call to ARGOS to when all tokens can be leased."""
        self.daemon = self.start(self.binaries.argospool, "serve", "--config", self.config)
        began = self.wait("a first call", lambda: self.called())
        client = self.client()
        ended = self.wait("the pool is full", lambda: client.counts().ready >= TOKENS)
        client.close()
        return ended - began

    def called(self):
        seen = self.counters()
        return seen["calls_in_flight"] or seen["posts"]

    def wait(self, what, look):
        """Looks every few milliseconds, and says when it was true."""
        deadline = time.monotonic() + 20 * IDEAL
        while not look():
            assert time.monotonic() < deadline, f"never: {what}"
            time.sleep(0.003)
        return time.monotonic()


class Filling(Row):
    name = "filling"
    title = "Filling"

    def measure(self, turn):
        with self.party("far", Far, stock=TOKENS, argos={"calls_in_flight": IN_FLIGHT},
                        tokens={"settle_delay": SETTLE}) as daemon:
            seconds = daemon.fill()
            counters = daemon.counters()
        return {"seconds": seconds, "posts": counters["posts"], "in_flight": counters["calls_in_flight_max"],
                "registered": counters["post_tokens"]}

    @staticmethod
    def targets(rounds):
        times = [seconds / IDEAL for seconds in each(rounds, "seconds")]
        calls = TOKENS // PER_CALL
        ideal = f"({calls} ÷ {IN_FLIGHT} calls × latency)"
        return [
            Target(f"filling {TOKENS:,} tokens, {LATENCY_MS} ms a call ÷ {ideal}", times, 1.05),
            Target(f"calls that register {TOKENS:,} tokens", each(rounds, "posts"), calls),
        ]

    @staticmethod
    def text(rounds):
        seconds = spread(each(rounds, "seconds"), " s")
        posts, in_flight = (spread(each(rounds, name)) for name in ("posts", "in_flight"))
        return f"""From the first call to ARGOS to {TOKENS:,} tokens that can be leased, without reserve, with `settle_delay` at {SETTLE} and a
budget that does not bind: {seconds}, where {IDEAL:g} s is the least that {IN_FLIGHT} calls in flight allow;
{posts} calls that register, and at most {in_flight} calls of any kind at a time.
"""
