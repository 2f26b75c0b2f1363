"""Whether anything grows: minutes of steady work, sampled, with the slope of each figure.

Usage: soak.py PATH-TO-ARGOSPOOL [MINUTES [RATE [RESTARTS]]], in an environment with grpcio and grpcio-tools.
For MINUTES (default 5) RATE leases a second (default 60) are taken. Of ten, two are released, one is revoked,
three are used and decided, one is walked away from, three lapse; deadlines, graces and the history are short, so
that everything that begins also ends within the run. RESTARTS (default 2) are spread over the first third, by SIGKILL
and SIGTERM in turn, so that the figures after it are of one process. Prints a table and, of the samples after the
first third, the slope per hour by least squares.
Exits 1 when a lease was lost or a token given twice. Bounded by its minutes; loopback only.
"""

import json
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import grpc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))
from session import KEY, SECRET, free_port, get, stubs, until  # noqa: E402

CALLERS = 4
EVERY = 5
FIGURES = ("rss MiB", "ledger MiB", "files", "threads", "p50 ms", "p99 ms")
PLANS = [{"submits": {"decision": word}} for word in ("approved", "rejected", "pending")] + ["walks_away"]
SEED = 1


def configuration(scratch, simulator, grpc_port, http_port):
    for name, text in (("key", KEY), ("secret", SECRET)):
        (scratch / name).write_text(text)
        (scratch / name).chmod(0o600)
    (scratch / "argospool.toml").write_text(
        f"""
        data_dir = "{scratch / 'data'}"
        [grpc]
        listen = "127.0.0.1:{grpc_port}"
        [http]
        listen = "127.0.0.1:{http_port}"
        [ledger]
        history_max_lines = 2_000
        request_id_memory = "1m"
        [jobs]
        retention = "*/20 * * * * *"
        [webhook]
        allowed_sources = ["127.0.0.1/32"]
        [projects.default]
        pid = "pid_demo"
        api_key_file = "{scratch / 'key'}"
        [projects.default.webhook]
        secret_file = "{scratch / 'secret'}"
        [projects.default.argos]
        api_url = "http://{simulator}/v3"
        calls_per_second = 50.0
        calls_burst = 100
        [projects.default.tokens]
        settle_delay = "200ms"
        [projects.default.refill]
        target_tokens = 10_000
        low_water_tokens = 5_000
        [projects.default.lease]
        ttl_min = "1s"
        ttl_default = "20s"
        [projects.default.life]
        session_max = "20s"
        entry_window = "10s"
        decided_grace = "1s"
        lapsed_grace = "1s"
        overdue_after = "5s"
        [projects.default.liveform]
        base_url = "http://{simulator}"
        """
    )


class Caller(threading.Thread):
    """Takes leases at a steady rate, and does with them what people do."""

    def __init__(self, number, pool, stub, simulator, over, rate):
        super().__init__(daemon=True)
        self.pool, self.stub, self.simulator, self.over, self.rate = pool, stub, simulator, over, rate
        self.chance = random.Random(SEED + number)
        self.took, self.tokens, self.lock = [], [], threading.Lock()
        self.broken = None

    def run(self):
        try:
            due = time.monotonic()
            while not self.over.wait(max(due - time.monotonic(), 0)):
                due += 1 / self.rate
                self.one()
        except Exception as error:
            self.broken = error

    def insist(self, call, request):
        """Asks until there is an answer, as a caller does over a restart."""
        for _ in range(600):
            try:
                return call(request, timeout=10)
            except grpc.RpcError as error:
                if error.code() not in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN, grpc.StatusCode.RESOURCE_EXHAUSTED):
                    raise
                time.sleep(0.1)
        raise AssertionError("never: an answer")

    def one(self):
        pool = self.pool
        began = time.monotonic()
        wish = pool.CreateLeaseRequest(request_id=str(uuid.uuid4()))
        lease = self.insist(self.stub.CreateLease, wish).lease
        with self.lock:
            self.took.append((time.monotonic() - began) * 1000)
        self.tokens.append(lease.token_id)
        again = self.insist(self.stub.CreateLease, wish).lease
        assert again.lease_id == lease.lease_id, "L3: the same request, the same lease"
        fate = self.chance.randrange(10)
        request_id = str(uuid.uuid4())
        if fate < 2:
            self.insist(self.stub.ReleaseLease, pool.ReleaseLeaseRequest(lease_id=lease.lease_id, request_id=request_id))
        elif fate < 3:
            revoke = pool.RevokeLeaseRequest(lease_id=lease.lease_id, request_id=request_id)
            revoke.wait.FromSeconds(0)
            self.insist(self.stub.RevokeLease, revoke)
        elif fate < 7:
            crowd = json.dumps({"links": [lease.url], "plan": PLANS[fate - 3]})
            report = json.loads(get(self.simulator, "/_sim/crowd", "POST", crowd)[1])
            assert not report["refused"], report

    def latencies(self):
        with self.lock:
            took, self.took = self.took, []
        return took


def sample(process, data, took):
    proc = pathlib.Path(f"/proc/{process.pid}")
    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    ledger = sum(file.stat().st_blocks * 512 for file in data.rglob("*") if file.is_file())
    cuts = statistics.quantiles(took, n=100) if len(took) > 1 else [0.0] * 99
    return (
        int(status["VmRSS"].split()[0]) / 1024, ledger / 2**20, len(list((proc / "fd").iterdir())),
        int(status["Threads"]), cuts[49], cuts[98],
    )


def slope(points):
    """Per hour, by least squares."""
    if len(points) < 3:
        return float("nan")
    times, values = zip(*points)
    return statistics.linear_regression(times, values).slope * 3600


def main(binary, minutes, rate, restarts):
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        pool, pool_grpc, admin, admin_grpc, _ = stubs(scratch)
        simulator, grpc_port, http_port = f"127.0.0.1:{free_port()}", free_port(), free_port()
        configuration(scratch, simulator, grpc_port, http_port)
        log = open(scratch / "log", "wb")
        world = subprocess.Popen([binary, "simulator", "--listen", simulator], stdout=log, stderr=log)
        running = []

        def serve():
            arguments = ["serve", "--config", str(scratch / "argospool.toml")]
            running.append(subprocess.Popen([binary, *arguments], stdout=log, stderr=log))

        try:
            until("the simulator answers", lambda: get(simulator, "/_sim/counters")[0] == 200)
            hook = {"url": f"http://127.0.0.1:{http_port}/webhooks/argos/{SECRET}", "tries": 8}
            assert get(simulator, "/_sim/webhooks", "POST", json.dumps(hook))[0] == 200
            serve()
            options = [("grpc.max_reconnect_backoff_ms", 500), ("grpc.initial_reconnect_backoff_ms", 100)]
            channel = grpc.insecure_channel(f"127.0.0.1:{grpc_port}", options=options)
            control = admin_grpc.AdminServiceStub(channel)
            status = lambda: control.GetStatus(admin.GetStatusRequest()).projects[0]  # noqa: E731
            until("the pool is filled", lambda: status().counts.ready >= 10_000, 120)
            over, stub = threading.Event(), pool_grpc.TokenPoolServiceStub(channel)
            callers = [Caller(number, pool, stub, simulator, over, rate / CALLERS) for number in range(CALLERS)]
            for caller in callers:
                caller.start()
            began = time.monotonic()
            warm, end = minutes * 20, minutes * 60
            bells = [warm * (number + 1) / (restarts + 1) for number in range(restarts)]
            samples, done = [], 0
            print(f"{'s':>6} {'leases':>8} " + " ".join(f"{name:>10}" for name in FIGURES), flush=True)
            while (now := time.monotonic() - began) < end:
                if done < len(bells) and now >= bells[done]:
                    running[-1].send_signal(signal.SIGTERM if done % 2 else signal.SIGKILL)
                    running[-1].wait()
                    serve()
                    done += 1
                    print(f"{now:>6.0f} restarted by {'SIGTERM' if done % 2 == 0 else 'SIGKILL'}", flush=True)
                time.sleep(EVERY)
                took = [each for caller in callers for each in caller.latencies()]
                figures = sample(running[-1], scratch / "data", took)
                now = time.monotonic() - began
                samples.append((now, figures))
                leases = sum(len(caller.tokens) for caller in callers)
                print(f"{now:>6.0f} {leases:>8} " + " ".join(f"{figure:>10.2f}" for figure in figures), flush=True)
            over.set()
            for caller in callers:
                caller.join(90)
                assert not caller.is_alive() and caller.broken is None, caller.broken
            tokens = [token for caller in callers for token in caller.tokens]
            assert len(set(tokens)) == len(tokens), "L1: a token was handed out twice"
            after = [(now, figures) for now, figures in samples if now >= warm]
            print(f"\nafter {warm:.0f} s, {len(after)} samples:")
            print(f"{'':>12} {'first':>10} {'last':>10} {'highest':>10} {'slope/h':>10}")
            for place, name in enumerate(FIGURES):
                points = [(now, figures[place]) for now, figures in after]
                values = [value for _, value in points]
                print(f"{name:>12} {values[0]:>10.2f} {values[-1]:>10.2f} {max(values):>10.2f} {slope(points):>10.2f}")
            breaches = control.Audit(admin.AuditRequest()).breaches
            counters = json.loads(get(simulator, "/_sim/counters?pid=pid_demo")[1])
            wrong = {name: counters[name] for name in ("overwrites_of_used", "cap_overruns", "tokens_opened_by_several")}
            print(f"{len(tokens)} leases, none twice, none lost; audit: {len(breaches)} breaches; {wrong}; "
                  f"webhooks {counters['webhooks_delivered']} delivered, {counters['webhooks_failed']} failed")
            assert not breaches and not any(wrong.values())
        except BaseException:
            print((scratch / "log").read_text()[-2000:], file=sys.stderr)
            raise
        finally:
            for process in [*running, world]:
                process.kill()
                process.wait()


if __name__ == "__main__":
    given = [float(argument) for argument in sys.argv[2:]]
    minutes, rate, restarts = given + [5, 60, 2][len(given):]
    main(os.path.abspath(sys.argv[1]), minutes, rate, int(restarts))
