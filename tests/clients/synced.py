"""Every lease that is answered was synced to the disk first, as the kernel saw it.

Usage: synced.py PATH-TO-ARGOSPOOL. J1 includes a lost power supply, and sled's own flush does not survive
one: the daemon syncs the database file itself. No test that kills a process can tell whether it does, so
this one runs the daemon under strace, takes leases one after another, and counts. Loopback only.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

import grpc

from session import KEY, free_port, get, status, stubs, until

LEASES = 100
# With -y strace names the file behind a descriptor.
SYNCED = re.compile(r"fdatasync\(\d+<[^>]*/ledger/db>")


def end_watched(watcher, how):
    """Ends what a process started."""
    children = pathlib.Path(f"/proc/{watcher.pid}/task/{watcher.pid}/children")
    for child in children.read_text().split() if children.exists() else []:
        os.kill(int(child), how)


def main(binary, scratch):
    pool, pool_grpc, admin, admin_grpc, _ = stubs(scratch)
    simulator, port = free_port(), free_port()
    key, trace = scratch / "key", scratch / "trace"
    key.write_text(KEY)
    key.chmod(0o600)
    settings = {
        "data_dir": scratch / "data",
        "grpc.listen": f"127.0.0.1:{port}",
        "http.listen": "127.0.0.1:0",
        "projects.default.pid": "pid_demo",
        "projects.default.api_key_file": key,
        "projects.default.argos.api_url": f"http://127.0.0.1:{simulator}/v3",
        "projects.default.tokens.settle_delay": "100ms",
        "projects.default.refill.target_tokens": 500,
        "projects.default.refill.low_water_tokens": 0,
    }
    serve = [binary, "serve"]
    for name, value in settings.items():
        serve += ["--set", f"{name}={value}"]
    watch = ["strace", "-f", "-qq", "-y", "-e", "trace=fdatasync", "-o", str(trace)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen([binary, "simulator", "--listen", f"127.0.0.1:{simulator}"], **quiet)]
    try:
        until("the simulator answers", lambda: get(f"127.0.0.1:{simulator}", "/_sim/counters")[0] == 200)
        processes.append(subprocess.Popen([*watch, *serve], **quiet))
        channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        until("the pool is filled", lambda: status(admin_grpc, admin, channel).counts.ready >= 500)

        def synced():
            return sum(1 for line in trace.read_text().splitlines() if SYNCED.search(line))

        leases = pool_grpc.TokenPoolServiceStub(channel)
        for _ in range(LEASES):
            before = synced()
            leases.CreateLease(pool.CreateLeaseRequest(), timeout=10)
            assert synced() > before, "J1: a lease was answered, and the database file was not synced"
        end_watched(processes[1], signal.SIGTERM)
        assert processes[1].wait(timeout=60) == 0
    finally:
        # strace that is killed lets go of the daemon instead of ending it.
        for process in processes:
            end_watched(process, signal.SIGKILL)
            process.kill()
            process.wait()
    print(f"{LEASES} leases, each synced before it was answered")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(sys.argv[1], pathlib.Path(directory))
