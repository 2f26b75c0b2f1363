"""How deletion keeps up when many leases end: so many a second for a minute, within the default call budget.

Usage: purge.py PATH-TO-ARGOSPOOL [RATE [SECONDS [release|revoke]]], in an environment with grpcio and
grpcio-tools. Every second a batch of RATE leases (default 500) is taken and ended, for SECONDS (default 60):
each by a call of its own, spread over the second, or with `revoke` all of them by one bulk revocation. ARGOS takes
LATENCY_MS for every answer.
Prints the highest backlog, how long after the last ending it was gone, the calls that ARGOS saw, and whether
they kept to the budget. Bounded by its counts; loopback only.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time

import grpc

from simulated import configure  # first, because it knows where the next one is
from session import free_port, get, stubs, until

# The defaults of argospool: tokens in stock are the only thing that this much work needs more of.
PER_SECOND, BURST, IN_FLIGHT = 5.0, 20, 4
PATIENCE = 120
LATENCY_MS = 200


def main(binary, rate, seconds, way):
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        pool, pool_grpc, admin, admin_grpc, _ = stubs(scratch)
        port, grpc_port, http_port = free_port(), free_port(), free_port()
        argos, daemon = f"127.0.0.1:{port}", f"127.0.0.1:{http_port}"
        # Half of all there will be is in stock, and refill goes on beside the deletions.
        target = min(max(rate * seconds // 2, 5_000), 80_000)
        refill = {"target_tokens": target, "low_water_tokens": target // 2}
        config = configure(scratch, f"127.0.0.1:{grpc_port}", argos, daemon, refill=refill)
        log = open(scratch / "log", "wb")
        arguments = [["simulator", "--listen", argos], ["serve", "--config", str(config)]]
        processes = [subprocess.Popen([binary, *each], stdout=log, stderr=log) for each in arguments]
        try:
            channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port}")
            leases, control = pool_grpc.TokenPoolServiceStub(channel), admin_grpc.AdminServiceStub(channel)

            def counts():
                return control.GetStatus(admin.GetStatusRequest()).projects[0].counts

            def counters():
                return json.loads(get(argos, "/_sim/counters?pid=pid_demo")[1])

            def backlog():
                page = get(daemon, "/metrics")[1]
                return int(re.search(r"^argospool_purge_backlog_tokens\{.*\} (\d+)$", page, re.MULTILINE)[1])

            def end(taken, began):
                if way == "revoke":
                    labels = {"batch": taken[0].labels["batch"]}
                    filter = pool.LeaseFilter(labels=labels)
                    answer = control.RevokeLeases(admin.RevokeLeasesRequest(filter=filter))
                    assert answer.revoked_leases == len(taken), answer
                    return
                flying = []
                for number, lease in enumerate(taken):
                    time.sleep(max(began + number / rate - time.monotonic(), 0))
                    flying.append(leases.ReleaseLease.future(pool.ReleaseLeaseRequest(lease_id=lease.lease_id)))
                    if len(flying) >= 64:
                        flying.pop(0).result()
                for call in flying:
                    call.result()

            latency = {"kind": "latency", "ms": LATENCY_MS}
            until("the simulator answers", lambda: get(argos, "/_sim/counters")[0] == 200)
            script = json.dumps({"times": "always", "fault": latency})
            assert get(argos, "/_sim/faults", "POST", script)[0] == 200
            until("the pool is full", lambda: counts().ready >= target, 300)
            before = counters()
            seen, over = [0], threading.Event()

            def watch():
                while not over.wait(0.05):
                    seen.append(backlog())

            watcher = threading.Thread(target=watch, daemon=True)
            watcher.start()
            late, ended = 0, 0
            began = time.monotonic()
            for second in range(seconds):
                wish = pool.CreateLeaseRequest(labels={"batch": str(second)})
                batch = pool.BatchCreateLeasesRequest(requests=[wish] * rate)
                end(leases.BatchCreateLeases(batch, timeout=30).leases, began + second)
                ended += rate
                ahead = began + second + 1 - time.monotonic()
                late = max(late, -ahead)
                time.sleep(max(ahead, 0))
            took, last = time.monotonic() - began, time.monotonic()
            print(f"{ended} leases ended in {took:.1f} s, {ended / took:.0f} a second by {way}; "
                  f"at most {late:.1f} s late")

            while (left := backlog()) and time.monotonic() - last < PATIENCE:
                time.sleep(0.1)
            over.set()
            watcher.join()
            print(f"highest backlog {max(seen)} tokens; gone {time.monotonic() - last:.1f} s after the last ending"
                  + (f", but for {left}" if left else ""))
            after, span = counters(), time.monotonic() - began
            names = ["posts", "post_tokens", "deletes", "delete_tokens", "gets", "lists", "counts", "submissions"]
            print("calls:", ", ".join(f"{name} {after[name] - before[name]}" for name in names))
            calls = sum(after[name] - before[name] for name in names if not name.endswith("_tokens"))
            print(f"{calls} calls in {span:.0f} s, {calls / span:.2f} a second of {PER_SECOND}; busiest second "
                  f"{after['calls_per_second_max']}, busiest minute {after['calls_per_minute_max']}, "
                  f"in flight {after['calls_in_flight_max']}")
            kept = (
                calls <= BURST + PER_SECOND * span
                and after["calls_per_second_max"] <= BURST + PER_SECOND
                and after["calls_per_minute_max"] <= BURST + PER_SECOND * 60
            )
            print("budget kept" if kept else "budget NOT kept")
            now = counts()
            print(f"in the end {now.ready} ready, {now.leased} leased, {now.doomed} doomed, "
                  f"{after['pool_size']} at ARGOS")
        finally:
            for process in processes:
                process.kill()
                process.wait()


if __name__ == "__main__":
    given = sys.argv[2:]
    way = given[2] if len(given) > 2 else "release"
    assert way in ("release", "revoke"), way
    numbers = [int(argument) for argument in given[:2]]
    main(os.path.abspath(sys.argv[1]), *(numbers + [500, 60][len(numbers):]), way)
