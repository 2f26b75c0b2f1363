"""What an envelope costs: leases whose URL is sealed as a whole, against the same in the open."""

import contextlib
import dataclasses

from daemon import Argospool
from party import ALONE, FEW
from report import Row, Target, each, median, ratios, table

MODES = {"plain": "in the open", "sealed": "sealed"}
SAID = ["--userid", "customer-0000012345", "--cf1", "branch-0042", "--email", "someone@example.com", "--lang", "ko"]


class Sealed(Row):
    name = "sealed"
    title = "Sealed URLs"

    def measure(self, turn):
        figures = {}
        with contextlib.ExitStack() as both:
            daemons = {
                mode: both.enter_context(self.party(mode, Argospool, liveform={"mode": mode})) for mode in MODES
            }
            for callers in (ALONE, FEW):
                # Each comes first in every other round.
                for mode in sorted(daemons, reverse=turn % 2 == 1):
                    sample = daemons[mode].bench(callers, *SAID)
                    figures.setdefault(str(callers), {})[mode] = dataclasses.asdict(sample)
        return figures

    @staticmethod
    def targets(rounds):
        return [
            Target(f"leases a second, sealed URLs ÷ open ones, {callers}",
                   ratios(*(each(rounds, str(callers), mode, "rate") for mode in ("sealed", "plain"))))
            for callers in (ALONE, FEW)
        ]

    @staticmethod
    def text(rounds):
        rows = []
        for callers in map(str, (ALONE, FEW)):
            for mode, called in MODES.items():
                figures = (each(rounds, callers, mode, figure) for figure in ("rate", "p50", "p99"))
                rows.append([callers, called, *map(median, figures)])
        return f"""The same four parameters in every wish; sealed, all but pid and language are in the envelope (`liveform.mode`, AES-256 ECB).

{table(["connections × in flight", "", "leases/s", "p50 µs", "p99 µs"], rows)}"""
