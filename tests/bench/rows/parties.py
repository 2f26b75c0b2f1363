"""Whom the daemon is measured beside: each begins with a full stock in an empty directory, leases for a while, and is
put away.

`measure(callers)` gives leases a second and latencies in microseconds. The load generator runs on the same two
cores as whom it drives, in every case.
"""

import csv
import os
import pathlib
import pwd
import statistics

from daemon import STOCK
from party import SECONDS, Party, Sample, answers, run
from session import free_port, until

POSTGRES = pathlib.Path("/usr/lib/postgresql")


class Echo(Party):
    """gRPC with no work behind it: the limit."""

    name = "echo"

    def begin(self):
        self.port = free_port()
        self.start(self.binaries.echo, self.address)
        until("the echo listens", lambda: answers(self))

    def measure(self, callers):
        return self.bench(callers, "--burn-real-tokens")


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
