"""Leases a second and how long each takes, side by side in one run: the limit, the daemon, Redis, PostgreSQL.

Usage: measure.py ARGOSPOOL ECHO OUT [ROUNDS]. In every round each party is measured under every load, one after
the other, so that what else the machine does strikes all of them; ratios are taken within a round, and medians over
the rounds. Writes OUT/throughput.json, and draws OUT/throughput.md and OUT/throughput.svg of it.
"""

import dataclasses
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

import draw
from parties import Argospool, Callers, Echo, Postgres, Redis

LOADS = [Callers(1, 1), Callers(4, 16), Callers(64, 1), Callers(4, 64)]
PARTIES = [Echo, Argospool, Redis, Postgres]


@dataclasses.dataclass(frozen=True)
class Binaries:
    argospool: pathlib.Path
    echo: pathlib.Path


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


def main(argospool, echo, out, rounds):
    binaries = Binaries(pathlib.Path(argospool).resolve(), pathlib.Path(echo).resolve())
    about, samples, syncs = conditions(), [], []
    with tempfile.TemporaryDirectory(dir=os.environ.get("SCRATCH")) as directory:
        # PostgreSQL, as another user, has to get through.
        os.chmod(directory, 0o711)
        for turn in range(rounds):
            syncs.append(synced(pathlib.Path(directory)))
            for unix in (False, True):
                for callers in LOADS:
                    for party in PARTIES:
                        with party(pathlib.Path(directory) / "party", binaries, unix) as measured:
                            sample = measured.measure(callers)
                        samples.append({
                            "round": turn, "transport": "unix" if unix else "tcp", "load": str(callers),
                            "party": party.name, **dataclasses.asdict(sample),
                        })
                        print(f"round {turn + 1} of {rounds}, {samples[-1]['transport']:4}, {callers!s:6}, {party.name:25}"
                              f"{sample.rate:9,.0f}/s  p50 {sample.p50:7,.0f} us  p99 {sample.p99:7,.0f} us", flush=True)
        calls = {}
        for callers in LOADS:
            with Argospool(pathlib.Path(directory) / "party", binaries, False) as watched:
                calls[str(callers)] = watched.system_calls(callers)
    about["fdatasync_us"] = statistics.median(syncs)
    out = pathlib.Path(out)
    (out / "throughput.json").write_text(json.dumps({"about": about, "samples": samples, "calls": calls}, indent=1) + "\n")
    draw.main(out)


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]) if len(sys.argv) > 4 else 3)
