"""The daemon that is measured, beside a simulator of its own: with a full stock, or grown for a long time."""

import json
import pathlib
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from simulated import configure  # noqa: E402

import grpc  # noqa: E402
import history  # noqa: E402
from client import BATCH, Client  # noqa: E402
from party import Party, answers, ended, run  # noqa: E402
from session import free_port, get, until  # noqa: E402

STOCK = 95_000
PATIENCE = 300


class Argospool(Party):
    """The daemon beside the simulator. The stock is full and refill is paused, so that nothing but leases is measured.

    `project` holds the keys of the project's sections, such as liveform={"mode": "sealed"}.
    """

    name = "argospool"

    def __init__(self, scratch, binaries, unix=False, stock=STOCK, **project):
        super().__init__(scratch, binaries, unix)
        self.stock, self.project = stock, project

    def begin(self):
        self.begin_argos()
        self.serve()
        until("the stock is full", lambda: self.status()["leasable_tokens"] >= self.stock)
        self.tell("pause", "refill", "--reason", "a measurement")

    def begin_argos(self, *arguments):
        """Starts the simulator, and writes the configuration that leads to it."""
        self.port, argos = free_port(), free_port()
        self.argos = f"127.0.0.1:{argos}"
        self.config = configure(
            self.scratch, self.address, self.argos,
            ledger={"retention": "720h", "history_max_lines": 50_000_000},
            argos={"reserve_tokens": 0, "calls_per_second": 1000.0, "calls_burst": 1000} | self.project.pop("argos", {}),
            tokens={"settle_delay": "50ms"} | self.project.pop("tokens", {}), refill={"target_tokens": self.stock},
            liveform={"base_url": f"http://{self.argos}"} | self.project.pop("liveform", {}), **self.project,
        )
        self.start(self.binaries.argospool, "simulator", "--listen", self.argos, *arguments)
        until("the simulator answers", lambda: get(self.argos, "/_sim/counters")[0] == 200)

    def serve(self):
        self.daemon = self.start(self.binaries.argospool, "serve", "--config", self.config)
        until("the daemon answers", lambda: self.answers(), PATIENCE)

    def answers(self):
        assert self.daemon.poll() is None, "the daemon lives"
        return answers(self)

    def stop(self, how=signal.SIGTERM):
        self.daemon.send_signal(how)
        ended(self.daemon)

    def tell(self, *words):
        return run(self.binaries.argospool, "--address", self.address, *words)

    def status(self):
        return json.loads(self.tell("--output", "json", "status"))["projects"][0]

    def counters(self):
        """What the simulator saw."""
        return json.loads(get(self.argos, "/_sim/counters?pid=pid_demo")[1])

    def client(self):
        return Client(self.address)

    def measure(self, callers):
        return self.bench(callers, "--calls", self.stock - 100)

    def resident(self):
        """Resident memory in MiB."""
        lines = pathlib.Path(f"/proc/{self.daemon.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))

    def system_calls(self, callers):
        """How many of each kind the daemon makes for one lease. Watching slows it down, so its groups are larger."""
        table = self.scratch / "calls"
        watcher = self.start("strace", "-f", "-c", "-o", table, "-p", self.daemon.pid)
        before = self.status()["counts"]["leased"]
        self.measure(callers)
        leases = self.status()["counts"]["leased"] - before
        watcher.send_signal(signal.SIGINT)
        watcher.wait(20)
        # time, seconds, each, calls, perhaps errors, name
        rows = [line.split() for line in table.read_text().splitlines()]
        counts = {row[-1]: int(row[3]) for row in rows if len(row) > 4 and row[3].isdigit()}
        counts.pop("total", None)
        return {name: count / leases for name, count in counts.items()}


class Grown(Argospool):
    """A daemon that closed so many leases, and holds `live` tokens of which half are leased. Refill is paused."""

    def __init__(self, scratch, binaries, backup, lines, live=100_000):
        super().__init__(scratch, binaries, stock=live // 2, lease={"ttl_default": "24h"})
        self.backup, self.lines, self.live = backup, lines, live

    def begin(self):
        self.begin_argos()
        past = self.scratch / "past"
        history.prolong(self.backup, past, self.lines)
        run(self.binaries.argospool, "ledger", "import", "--config", self.config, past)
        past.unlink()
        self.serve()
        client = self.client()
        until("half of the tokens are ready", lambda: client.counts().ready >= self.stock, PATIENCE)
        client.take(self.stock)
        client.close()
        self.settle()

    def settle(self):
        """Waits until the stock is full, nothing is on its way and refill is paused."""
        client = self.client()

        def settled():
            have = client.counts()
            # Refill waits until it can order a full batch.
            return self.live - have.ready - have.leased < BATCH and have.minted == have.doomed == 0

        until("the pool is settled", settled, PATIENCE)
        client.close()
        self.tell("pause", "refill", "--reason", "a measurement")

    def revert(self, since):
        """Ends what was leased since a moment (seconds of the Unix epoch), and fills the stock up again."""
        client = self.client()
        client.revoke_since(since)
        client.close()
        self.tell("resume", "refill")
        self.settle()

    def first_lease(self):
        """Starts the daemon again, and gives the milliseconds from there to its first lease."""
        began = time.monotonic()
        self.daemon = self.start(self.binaries.argospool, "serve", "--config", self.config)
        while True:
            client = self.client()
            try:
                client.lease(PATIENCE)
                return (time.monotonic() - began) * 1000
            except grpc.RpcError:
                assert time.monotonic() - began < PATIENCE, "never: a first lease"
                time.sleep(0.002)
            finally:
                client.close()


def make_backup(scratch, binaries):
    """The backup of a ledger that has closed two leases, of which longer pasts are made. Gives its path."""
    backup = scratch / "backup"
    with Argospool(scratch / "mould", binaries, stock=2_000) as daemon:
        client = daemon.client()
        client.release([client.lease(), client.lease()])
        client.close()
        daemon.stop()
        run(binaries.argospool, "ledger", "export", "--config", daemon.config, backup)
    return backup
