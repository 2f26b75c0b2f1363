"""How long a restart takes and what the daemon weighs, with a full pool and a past, and with ten times the past."""

import signal
import time

from daemon import Grown, make_backup
from report import Row, Target, each, ratios, spread, table

LIVE = 100_000
LINES, MORE_LINES = 100_000, 1_000_000
# What was needed to read the ledger goes back to the system within seconds.
REST = 5
ENDS = {"SIGTERM": signal.SIGTERM, "SIGKILL": signal.SIGKILL}


class Size(Row):
    name = "size"
    title = "Restart and memory"

    def measure(self, turn):
        backup = make_backup(self.scratch, self.binaries)
        found = {str(lines): self.of(backup, lines) for lines in (LINES, MORE_LINES)}
        backup.unlink()
        return found

    def of(self, backup, lines):
        """Memory in MiB; milliseconds from the start to the first lease, by how the daemon before it ended."""
        with self.party("size", Grown, backup, lines, LIVE) as daemon:
            time.sleep(REST)
            found = {"before_mib": daemon.resident(), "first_lease_ms": {}, "after_mib": {}}
            for name, how in ENDS.items():
                daemon.stop(how)
                found["first_lease_ms"][name] = daemon.first_lease()
                time.sleep(REST)
                found["after_mib"][name] = daemon.resident()
            files = (daemon.scratch / "data").rglob("*")
            found["disk_mib"] = sum(file.stat().st_size for file in files if file.is_file()) / 2**20
        return found

    @staticmethod
    def targets(rounds):
        size = f"{LIVE:,} live tokens and {LINES:,} lines"
        found = [
            Target(f"restart to first lease after {end}, {size}", each(rounds, str(LINES), "first_lease_ms", end), 500, unit=" ms")
            for end in ENDS
        ]
        paths = {"before a restart": ["before_mib"], "after one": ["after_mib", "SIGTERM"]}
        for when, path in paths.items():
            found.append(Target(f"resident memory {when}, {size}", each(rounds, str(LINES), *path), 120, unit=" MiB"))
        for when, path in paths.items():
            both = (each(rounds, str(lines), *path) for lines in (MORE_LINES, LINES))
            found.append(Target(f"resident memory {when}, {MORE_LINES:,} lines ÷ {LINES:,}", ratios(*both), 1.1))
        return found

    @staticmethod
    def text(rounds):
        rows = []
        for lines in (LINES, MORE_LINES):
            of = [["before_mib"], *(["after_mib", end] for end in ENDS), ["disk_mib"]]
            starts = [spread(each(rounds, str(lines), "first_lease_ms", end)) for end in ENDS]
            rows.append([f"{lines:,}", *starts, *(spread(each(rounds, str(lines), *path)) for path in of)])
        ends = list(ENDS)
        head = ["lines", *(f"first lease after {end}, ms" for end in ends), "resident before, MiB",
                *(f"after {end}, MiB" for end in ends), "files, MiB"]
        return f"""{LIVE:,} live tokens, half of them leased; the past is imported as under growth, the tokens are registered and leased by the
process whose memory is *before*. From the start of the process to the answer of a lease, and memory {REST} s later.

{table(head, rows)}
What making a past weighs, and not having one, is measured by `tests/bench/past.py` and `tests/bench/soak.py`.
"""
