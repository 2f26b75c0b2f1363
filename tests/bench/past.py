"""What a long past weighs: resident memory against the number of closed leases.

Usage: past.py PATH-TO-ARGOSPOOL [LIVE [PAST]], in an environment with grpcio and grpcio-tools.
Fills a pool to LIVE tokens (default 100,000, the most there can be). Leases with request ids are then created
in batches and released one by one until PAST (default 1,000,000) have closed, while refill and purge run.
Prints resident memory on the way, each time at rest and with the same live tokens, and once more after a kill
and a restart. Bounded by its counts; loopback only.
"""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import uuid

import grpc

from simulated import configure  # first, because it knows where the next one is
from session import free_port, get, stubs, until

BATCH = 500
IN_FLIGHT = 256
REST = 5
MARKS = (0, 100_000, 250_000, 500_000, 1_000_000, 2_000_000)


def memory(process):
    """Resident and anonymous memory in MiB."""
    found = {}
    for file in ("status", "smaps_rollup"):
        for line in pathlib.Path(f"/proc/{process.pid}/{file}").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name in ("VmRSS", "VmHWM", "Anonymous"):
                found[name] = int(rest.split()[0]) / 1024
    return found


def main(binary, live, past):
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        pool, pool_grpc, admin, admin_grpc, _ = stubs(scratch)
        port, grpc_port = free_port(), free_port()
        config = configure(
            scratch, f"127.0.0.1:{grpc_port}", f"127.0.0.1:{port}",
            argos={"reserve_tokens": 0, "calls_per_second": 1000.0, "calls_burst": 100},
            tokens={"settle_delay": "100ms"}, refill={"target_tokens": live},
        )
        log = open(scratch / "log", "wb")
        processes = [subprocess.Popen([binary, "simulator", "--listen", f"127.0.0.1:{port}"], stdout=log, stderr=log)]

        def serve():
            processes.append(subprocess.Popen([binary, "serve", "--config", str(config)], stdout=log, stderr=log))
            return processes[-1]

        try:
            until("the simulator answers", lambda: get(f"127.0.0.1:{port}", "/_sim/counters")[0] == 200)
            daemon = serve()
            channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port}")
            leases, control = pool_grpc.TokenPoolServiceStub(channel), admin_grpc.AdminServiceStub(channel)

            def counts():
                return control.GetStatus(admin.GetStatusRequest()).projects[0].counts

            def at_rest():
                have = counts()
                return have.ready > live - BATCH and have.doomed == have.minted == have.leased == 0

            def churn(number):
                flying, closed = [], 0
                while closed < number:
                    wishes = [pool.CreateLeaseRequest(request_id=str(uuid.uuid4())) for _ in range(BATCH)]
                    batch = pool.BatchCreateLeasesRequest(requests=wishes)
                    batch.wait.FromSeconds(30)
                    for lease in leases.BatchCreateLeases(batch).leases:
                        flying.append(leases.ReleaseLease.future(pool.ReleaseLeaseRequest(lease_id=lease.lease_id)))
                        if len(flying) >= IN_FLIGHT:
                            flying.pop(0).result()
                    closed += BATCH
                for call in flying:
                    call.result()

            closed = 0
            print(f"{'closed':>10} {'VmRSS':>8} {'anonymous':>10} {'VmHWM':>8}  MiB with {live} live tokens; rate since the mark before", flush=True)
            for mark in (mark for mark in MARKS if mark <= past):
                began = time.monotonic()
                churn(mark - closed)
                rate = (mark - closed) / (time.monotonic() - began)
                closed = mark
                until("the pool is at rest", at_rest, 300)
                time.sleep(REST)
                size = memory(daemon)
                print(f"{closed:>10} {size['VmRSS']:>8.1f} {size['Anonymous']:>10.1f} {size['VmHWM']:>8.1f} {rate:>8.0f}/s", flush=True)
            daemon.send_signal(signal.SIGKILL)
            daemon.wait()
            began = time.monotonic()
            daemon = serve()
            until("it answers again", lambda: counts().ready)
            took = time.monotonic() - began
            until("the pool is full again", lambda: counts().ready > live - BATCH, 300)
            time.sleep(REST)
            size = memory(daemon)
            print(f" restarted {size['VmRSS']:>8.1f} {size['Anonymous']:>10.1f} {size['VmHWM']:>8.1f}  answers after {took:.1f} s")
            disk = sum(file.stat().st_size for file in (scratch / "data").rglob("*") if file.is_file())
            print(f"data directory: {disk / 2**20:.0f} MiB")
        finally:
            for process in processes:
                process.kill()
                process.wait()


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[2:]]
    main(os.path.abspath(sys.argv[1]), *(arguments + [100_000, 1_000_000][len(arguments):]))
