"""How long a restart takes and what it weighs, with a full pool and a long past.

Usage: restart.py PATH-TO-ARGOSPOOL [LIVE [PAST]], in an environment with grpcio and grpcio-tools.
Fills LIVE tokens (default 100,000, half of them leased) after PAST leases (default 100,000) were taken
and given back, then kills and restarts the daemon five times. Prints the time from exec to the first
lease, and resident memory before and after. Bounded by its counts; loopback only.
"""

import json
import os
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

import grpc

from simulated import configure  # first, because it knows where the next one is
from session import free_port, get, stubs, until

BATCH = 500


def resident(process):
    lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))


def main(binary, live, past):
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        pool, pool_grpc, admin, admin_grpc, _ = stubs(scratch)
        port, grpc_port = free_port(), free_port()
        config = configure(
            scratch, f"127.0.0.1:{grpc_port}", f"127.0.0.1:{port}",
            argos={"reserve_tokens": 0, "calls_per_second": 100.0, "calls_burst": 100},
            tokens={"settle_delay": "100ms"}, refill={"target_tokens": live // 2}, lease={"ttl_default": "24h"},
        )
        processes = [subprocess.Popen([binary, "simulator", "--listen", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL)]
        log = open(scratch / "log", "wb")

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

            def take(number):
                taken = []
                while len(taken) < number:
                    until("a batch is ready", lambda: counts().ready >= BATCH, 300)
                    wishes = [pool.CreateLeaseRequest(request_id=str(uuid.uuid4())) for _ in range(BATCH)]
                    taken += leases.BatchCreateLeases(pool.BatchCreateLeasesRequest(requests=wishes)).leases
                return taken

            began = time.monotonic()
            for _ in range(0, past, 25_000):
                flying = []
                for lease in take(min(past, 25_000)):
                    flying.append(leases.ReleaseLease.future(pool.ReleaseLeaseRequest(lease_id=lease.lease_id)))
                    if len(flying) >= 128:
                        flying.pop(0).result()
                for call in flying:
                    call.result()
            until("the dead are deleted", lambda: counts().doomed == 0, 300)
            take(live // 2)
            until("the pool is full", lambda: counts().ready >= live // 2, 300)
            have = counts()
            print(f"prepared in {time.monotonic() - began:.0f} s: {have.ready} ready, {have.leased} leased, {past} past")
            print(f"resident before restart: {resident(daemon):.1f} MiB")

            times, sizes = [], []
            for turn in range(5):
                daemon.send_signal(signal.SIGKILL if turn % 2 else signal.SIGTERM)
                daemon.wait()
                began = time.monotonic()
                daemon = serve()
                while True:
                    fresh = grpc.insecure_channel(
                        f"127.0.0.1:{grpc_port}", options=[("grpc.use_local_subchannel_pool", 1)]
                    )
                    try:
                        stub = pool_grpc.TokenPoolServiceStub(fresh)
                        stub.CreateLease(pool.CreateLeaseRequest(), timeout=5)
                        break
                    except grpc.RpcError:
                        assert time.monotonic() - began < 60
                        time.sleep(0.002)
                    finally:
                        fresh.close()
                times.append(time.monotonic() - began)
                # What it needed to read the ledger goes back to the system within seconds.
                time.sleep(5)
                sizes.append(resident(daemon))
            print("restart to first lease:", ", ".join(f"{t * 1000:.0f}" for t in times), "ms; median",
                  f"{statistics.median(times) * 1000:.0f} ms (odd ones after kill -9)")
            print("resident after restart:", ", ".join(f"{s:.1f}" for s in sizes), "MiB")
            size = sum(file.stat().st_size for file in (scratch / "data").rglob("*") if file.is_file())
            print(f"data directory: {size / 2**20:.0f} MiB")
        finally:
            for process in processes:
                process.kill()
                process.wait()


if __name__ == "__main__":
    arguments = [int(argument) for argument in sys.argv[2:]]
    main(os.path.abspath(sys.argv[1]), *(arguments + [100_000, 100_000][len(arguments):]))
