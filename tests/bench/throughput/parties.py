"""Who is measured: each begins with a full stock in an empty directory, leases for a while, and is put away.

`measure(callers)` gives leases a second and latencies in microseconds. The load generator runs on the same two
cores as whom it drives, in every case.
"""

import csv
import dataclasses
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import statistics
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from simulated import configure  # noqa: E402
from session import free_port, get, until  # noqa: E402

STOCK = 95_000
SECONDS = 2
POSTGRES = pathlib.Path("/usr/lib/postgresql")


@dataclasses.dataclass(frozen=True)
class Callers:
    """Connections, and calls in flight on each of them."""

    connections: int
    in_flight: int

    @property
    def all(self):
        return self.connections * self.in_flight

    def __str__(self):
        return f"{self.connections} × {self.in_flight}"


@dataclasses.dataclass(frozen=True)
class Sample:
    rate: float
    p50: float
    p99: float


class Party:
    """One server in a directory of its own, over TCP or over a unix socket."""

    def __init__(self, scratch, binaries, unix):
        self.scratch, self.binaries, self.unix = scratch, binaries, unix
        self.processes = []

    def __enter__(self):
        self.scratch.mkdir()
        try:
            self.begin()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGINT)
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def start(self, *command, **options):
        log = open(self.scratch / f"log{len(self.processes)}", "wb")
        command = [str(word) for word in command]
        self.processes.append(subprocess.Popen(command, stdout=log, stderr=log, **options))
        return self.processes[-1]

    @property
    def address(self):
        """As `argospool --address` has it."""
        return f"unix:{self.scratch / 'socket'}" if self.unix else f"127.0.0.1:{self.port}"

    def bench(self, callers, *more):
        command = [self.binaries.argospool, "--address", self.address, "--output", "json", "bench",
                   "--connections", callers.connections, "--in-flight", callers.in_flight,
                   "--warm-up", "0s", "--duration", f"{SECONDS}s", *more]
        said = json.loads(run(*command))
        assert not said["failed"], said
        latency = said["latency_ms"]
        return Sample(said["leases_per_second"], latency["p50"] * 1000, latency["p99"] * 1000)


class Echo(Party):
    """gRPC with no work behind it: the limit."""

    name = "echo"

    def begin(self):
        self.port = free_port()
        self.start(self.binaries.echo, self.address)
        until("the echo listens", lambda: answers(self))

    def measure(self, callers):
        return self.bench(callers, "--burn-real-tokens")


class Argospool(Party):
    """The daemon beside the simulator. The stock is full and refill is paused, so that nothing but leases is measured."""

    name = "argospool"

    def begin(self):
        self.port, argos = free_port(), free_port()
        config = configure(
            self.scratch, self.address, f"127.0.0.1:{argos}",
            argos={"reserve_tokens": 0, "calls_per_second": 1000.0, "calls_burst": 1000},
            tokens={"settle_delay": "50ms"}, refill={"target_tokens": STOCK},
            liveform={"base_url": f"http://127.0.0.1:{argos}"},
        )
        self.start(self.binaries.argospool, "simulator", "--listen", f"127.0.0.1:{argos}")
        until("the simulator answers", lambda: get(f"127.0.0.1:{argos}", "/_sim/counters")[0] == 200)
        self.daemon = self.start(self.binaries.argospool, "serve", "--config", config)
        until("the daemon answers", lambda: answers(self))
        until("the stock is full", lambda: self.status()["leasable_tokens"] >= STOCK)
        self.tell("pause", "refill", "--reason", "a measurement")

    def tell(self, *words):
        return run(self.binaries.argospool, "--address", self.address, *words)

    def status(self):
        return json.loads(self.tell("--output", "json", "status"))["projects"][0]

    def measure(self, callers):
        return self.bench(callers, "--calls", STOCK - 100)

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


class Redis(Party):
    """A lease as a script, in a server that syncs its log before it answers."""

    name = "Redis, appendfsync always"
    # The request that is repeated, a token of the stock, the lease, its deadline.
    script = """
        local known = redis.call('GET', 'request:' .. ARGV[1])
        if known then return known end
        local token = redis.call('LPOP', 'ready')
        if not token then return redis.error_reply('empty') end
        local url = 'https://form.example/?pid=pid_demo&token=' .. token .. '&userid=' .. ARGV[1]
        local now = redis.call('TIME')
        redis.call('HSET', 'lease:' .. token, 'url', url, 'owner', 'anonymous', 'request', ARGV[1], 'issued', now[1])
        redis.call('ZADD', 'deadlines', now[1] + 300, token)
        redis.call('SET', 'request:' .. ARGV[1], url, 'EX', 3600)
        return url
    """

    def begin(self):
        self.port = free_port()
        self.start("redis-server", "--port", self.port, "--bind", "127.0.0.1", "--dir", self.scratch, "--save", "",
                   "--unixsocket", self.scratch / "socket", "--appendonly", "yes", "--appendfsync", "always",
                   "--auto-aof-rewrite-percentage", 0)
        until("Redis answers", lambda: self.cli("PING") == "PONG")
        fill = "for i = 1, ARGV[1] do redis.call('RPUSH', 'ready', string.format('ap-%022d', i)) end"
        self.cli("EVAL", fill, "0", 2 * STOCK)
        self.sha = self.cli("SCRIPT", "LOAD", self.script)

    @property
    def way(self):
        return ["-s", self.scratch / "socket"] if self.unix else ["-h", "127.0.0.1", "-p", self.port]

    def cli(self, *words):
        return run("redis-cli", *self.way, *words).strip()

    def measure(self, callers):
        # It stops after a number of requests, not after a time: a first look says how many.
        rate = self.requests(callers, 50 * callers.all).rate
        return self.requests(callers, min(int(rate * SECONDS), STOCK))

    def requests(self, callers, number):
        said = run("redis-benchmark", *self.way, "-c", callers.all, "-n", number, "-r", 2 * 10**9, "--csv",
                   "EVALSHA", self.sha, "0", "__rand_int__")
        row = next(csv.DictReader(said[said.index('"test"'):].splitlines()))
        return Sample(float(row["rps"]), *(float(row[f"{name}_latency_ms"]) * 1000 for name in ("p50", "p99")))


class Postgres(Party):
    """The queue that PostgreSQL makes of a table, by pgbench with two threads and prepared statements."""

    name = "PostgreSQL, SKIP LOCKED"
    schema = """
        CREATE TABLE token (id bigint PRIMARY KEY, token text NOT NULL, state smallint NOT NULL DEFAULT 0,
                            request bigint, owner text, url text, issued timestamptz, deadline timestamptz);
        INSERT INTO token (id, token) SELECT n, 'ap-' || lpad(n::text, 22, '0') FROM generate_series(1, 200000) n;
        CREATE INDEX ready ON token (id) WHERE state = 0;
        CREATE UNIQUE INDEX request ON token (request) WHERE request IS NOT NULL;
        VACUUM ANALYZE token;
    """
    lease = """
        \\set request random(1, 1000000000000000)
        UPDATE token SET state = 1, request = :request, owner = 'anonymous', issued = now(),
            deadline = now() + interval '5 minutes', url = 'https://form.example/?pid=pid_demo&token=' || token.token
        WHERE id = (SELECT id FROM token WHERE state = 0 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING token, url;
    """

    def begin(self):
        self.port = free_port()
        self.bin = sorted(POSTGRES.glob("*/bin"))[-1]
        # It does not run as root.
        self.user = {}
        if os.getuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.scratch, owner.pw_uid, owner.pw_gid)
            self.user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        run(self.bin / "initdb", "-D", self.scratch / "data", "-A", "trust", "-U", "postgres", **self.user)
        self.start(self.bin / "postgres", "-D", self.scratch / "data", "-p", self.port, "-h", "127.0.0.1",
                   "-k", self.scratch, "-c", "max_connections=300", "-c", "shared_buffers=256MB",
                   "-c", "wal_sync_method=fdatasync", **self.user)
        until("PostgreSQL answers", lambda: self.sql("SELECT 1"))
        self.sql(self.schema)
        (self.scratch / "lease.sql").write_text(self.lease)

    @property
    def host(self):
        return self.scratch if self.unix else "127.0.0.1"

    def sql(self, text):
        # One command after the other, so that VACUUM is in no transaction.
        return run(self.bin / "psql", "-h", self.host, "-p", self.port, "-U", "postgres", "-qAt", input=text)

    def measure(self, callers):
        prefix = self.scratch / "calls"
        run(self.bin / "pgbench", "-n", "-h", self.host, "-p", self.port, "-U", "postgres", "-M", "prepared",
            "-c", callers.all, "-j", min(2, callers.all), "-T", SECONDS, "-f", self.scratch / "lease.sql",
            "-l", f"--log-prefix={prefix}", "postgres", **self.user)
        micros = [int(line.split()[2]) for file in self.scratch.glob("calls.*") for line in file.read_text().splitlines()]
        return Sample(len(micros) / SECONDS, statistics.median(micros), sorted(micros)[len(micros) * 99 // 100])


def run(*command, **options):
    """Runs a command to its end, and gives what it wrote to stdout."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300, **options)
    if done.returncode != 0:
        raise OSError(f"{command[0]} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done.stdout


def answers(party):
    family = socket.AF_UNIX if party.unix else socket.AF_INET
    with socket.socket(family) as connection:
        connection.connect(str(party.scratch / "socket") if party.unix else ("127.0.0.1", party.port))
    return True
