"""P1 from outside: a daemon that is full of marked secrets says none of them, whatever happens to it.

Usage: secrecy.py PATH-TO-ARGOSPOOL. Every secret there is (keys, bearer tokens, webhook secret, headers for the
collector, what callers say about people, labels, request ids of leases, and all token ids) is marked. The daemon
then lives through everything that can be done to it, good and bad, with its log at trace and its traces exported.
At the end every byte that left by a way where no secret belongs is searched: log and standard output, metrics,
probes, answers to webhooks, errors of gRPC, the screens of commands, and what the collector got; for the marks as
they are, percent-encoded, in base64 at every offset, and in hex. Loopback only.
"""

import base64
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import urllib.parse
import uuid

import grpc
from google.protobuf import duration_pb2

from otlp import Collector, Relay
from session import free_port, get, stubs, until

PID = "pid_demo"
TARGET = 300


def mark(name):
    return f"mk{name}{uuid.uuid4().hex[:18]}"


class Marks:
    def __init__(self):
        names = ("apikey newkey oddkey linkkey hook badhook admin web stranger collector password pasted "
                 "exposed email userid custom note label labelkey garbage header path body").split()
        self.by_name = {name: mark(name) for name in names}
        # All ids of tokens begin with it.
        self.prefix = f"mktok{uuid.uuid4().hex[:10]}-"
        self.requests = []

    def __getattr__(self, name):
        return self.by_name[name]

    def request(self):
        """A request id that nobody had before."""
        self.requests.append(uuid.uuid4())
        return str(self.requests[-1])

    def forms(self):
        """Every text or run of bytes that gives one of them away, with its name."""
        for name, text in self.by_name.items():
            yield from ((name, form) for form in written(text.encode()))
        for number, request in enumerate(self.requests):
            for form in (request.bytes, *written(str(request).encode()), *written(request.hex.encode())):
                yield f"request {number}", form
        for form in written(self.prefix.encode())[1:]:
            yield "token", form
        for part in (b"token=", b"token%3d", b"token%3D", b"encrypted=", b"encrypted%3d", b"encrypted%3D"):
            yield "url", part

    def found(self, text):
        found = {name for name, form in self.forms() if form in text}
        # The prefix alone is a setting, and names are cut to it on purpose.
        if re.search(re.escape(self.prefix.encode()) + rb"[0-9A-Za-z]{4}", text):
            found.add("token")
        return found


def written(secret):
    """A secret as it is, and as it is encoded."""
    forms = [secret, urllib.parse.quote(secret, safe="").encode(), secret.hex().encode(), secret.hex().upper().encode()]
    forms += ["".join(f"%{byte:02{case}}" for byte in secret).encode() for case in "xX"]
    for offset in range(3):
        # What stands before and behind decides about the letters at both ends.
        inner = base64.b64encode(b"\0" * offset + secret)[(0, 2, 3)[offset]:].rstrip(b"=")[:-1]
        forms += [inner, inner.translate(bytes.maketrans(b"+/", b"-_"))]
    return list(dict.fromkeys(forms))


class Walk:
    def __init__(self, binary, scratch):
        self.binary, self.scratch, self.marks, self.processes = binary, scratch, Marks(), []
        self.pool, self.pool_grpc, self.admin, self.admin_grpc, self.liveform = stubs(scratch)
        # What was said where no secret belongs: the way it left, and its bytes.
        self.said = []
        m = self.marks
        files = {"key": m.apikey, "hook": m.hook, "admin": m.admin, "web": m.web, "linkkey": m.linkkey}
        for name, text in {**files, "headers": f"authorization=Bearer%20{m.collector}"}.items():
            self.file(name, text)
        argos = f"127.0.0.1:{free_port()}"
        rules = json.dumps({"api_key": m.apikey, "secret_key": m.linkkey})
        simulator = [binary, "simulator", "--listen", argos, "--pid", PID, "--rules", rules]
        self.processes.append(subprocess.Popen(simulator, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        until("the simulator answers", lambda: get(argos, "/_sim/counters")[0] == 200)
        self.argos, self.collector, self.relay = argos, Collector(), Relay(argos)

    def file(self, name, text, mode=0o600):
        path = self.scratch / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def settings(self, **changes):
        values = {
            "data_dir": self.scratch / "data", "stop_grace": "5s", "log.level": "trace", "log.format": "json",
            "grpc.listen": "127.0.0.1:0", "http.listen": "127.0.0.1:0", "webhook.allowed_sources": "127.0.0.1/32",
            "telemetry.otlp_endpoint": f"http://{self.collector.address}",
            "telemetry.otlp_headers_file": self.scratch / "headers",
            "callers.ops.token_file": self.scratch / "admin", "callers.ops.role": "admin",
            "callers.web.token_file": self.scratch / "web",
            "projects.default.pid": PID, "projects.default.api_key_file": self.scratch / "key",
            "projects.default.webhook.secret_file": self.scratch / "hook",
            "projects.default.argos.api_url": f"http://{self.relay.address}/v3",
            "projects.default.argos.calls_per_second": 1_000, "projects.default.argos.calls_burst": 1_000,
            "projects.default.argos.reserve_tokens": 0, "projects.default.argos.circuit_open": "1s",
            "projects.default.argos.backoff_min": "10ms", "projects.default.argos.backoff_max": "50ms",
            "projects.default.tokens.prefix": self.marks.prefix, "projects.default.tokens.settle_delay": "50ms",
            "projects.default.refill.target_tokens": TARGET, "projects.default.refill.low_water_tokens": TARGET // 2,
            "projects.default.life.decided_grace": "0s", "projects.default.life.overdue_after": "1s",
            "projects.default.liveform.base_url": f"http://{self.argos}",
            "projects.default.liveform.secret_key_file": self.scratch / "linkkey", "jobs.floor": "* * * * * *",
        }
        values |= {name.replace("__", "."): value for name, value in changes.items()}
        return [f"--set={name}={value}" for name, value in values.items() if value is not None]

    def command(self, *words, environment=None):
        """A command to its end; its screen is searched."""
        ran = subprocess.run([self.binary, *words], capture_output=True, timeout=60, env={**os.environ, **(environment or {})})
        self.said.append((" ".join(words[:2]), ran.stdout + ran.stderr))
        return ran.returncode

    def remote(self, *words):
        return self.command(*words, "--address", f"http://{self.address}", "--token-file", str(self.scratch / "admin"))

    def start(self, **changes):
        log = open(self.scratch / f"log-{len(self.processes)}", "wb")
        daemon = subprocess.Popen([self.binary, "serve", *self.settings(**changes)], stdout=log, stderr=log)
        self.processes.append(daemon)
        return daemon

    def serve(self, **changes):
        addresses = self.scratch / "data/addresses.json"
        # A process that was killed leaves it behind.
        addresses.unlink(missing_ok=True)
        daemon = self.start(**changes)
        found = until("addresses are written", lambda: daemon.poll() is None and json.loads(addresses.read_text()))
        self.address, self.web = found["grpc"], found["http"]
        self.channel = grpc.insecure_channel(self.address)
        self.callers = self.pool_grpc.TokenPoolServiceStub(self.channel)
        self.operators = self.admin_grpc.AdminServiceStub(self.channel)
        until("the pool is filled", lambda: self.status().counts.ready >= TARGET // 2)
        return daemon

    def status(self):
        return self.operators.GetStatus(self.admin.GetStatusRequest(), metadata=self.by("admin"), timeout=5).projects[0]

    def by(self, who, **metadata):
        pairs = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        return [("authorization", f"Bearer {getattr(self.marks, who)}"), *pairs]

    def call(self, method, request, who="web", **metadata):
        """A call that may be refused; the refusal is searched to its last byte."""
        try:
            return method(request, metadata=self.by(who, **metadata), timeout=10)
        except grpc.RpcError as error:
            trailers = b"\n".join(value if isinstance(value, bytes) else value.encode() for _, value in error.trailing_metadata() or ())
            self.said.append(("a refusal", f"{error.code()} {error.details()}\n".encode() + trailers))
            return None

    def page(self, path, method="GET", body=None):
        status, text = get(self.web, path, method, body)
        self.said.append((f"HTTP {method} {path[:9]}", text.encode()))
        return status

    def wish(self, **fields):
        m = self.marks
        said = {"email": f"{m.email}@example.com", "userid": m.userid, "cf1": m.custom, "cf2": m.note}
        return self.pool.CreateLeaseRequest(params=self.liveform.LiveformParams(**said), labels={"team": m.label}, **fields)

    def lease(self, **fields):
        answer = self.call(self.callers.CreateLease, self.wish(**fields))
        return answer and answer.lease

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.collector.stop()
        self.relay.stop()


def mistaken_configurations(walk):
    m = walk.marks
    exposed = walk.file("exposed", m.exposed, 0o644)
    scattered = walk.file("scattered", f"{m.pasted} = two\nlines\n")
    mistakes = [
        {"projects__default__api_key_file": m.pasted},
        {"projects__default__api_key": m.pasted},
        {"projects__default__api_key_file": exposed},
        {"projects__default__api_key_file": scattered},
        {"projects__default__webhook__secret_file": walk.file("short", m.pasted[:9])},
        {"projects__default__argos__api_url": f"https://user:{m.password}@argos.example/v3"},
        {"telemetry__otlp_endpoint": f"https://user:{m.password}@collector.example"},
        {"telemetry__otlp_headers": m.pasted},
        {"telemetry__otlp_headers_file": walk.file("nonsense", m.pasted)},
        {"telemetry__otlp_endpoint": "http://192.0.2.1:4318"},
        {"callers__app__token_file": walk.scratch / "web"},
    ]
    for mistake in mistakes:
        for words in (("config", "check"), ("config", "dump"), ("serve",)):
            assert walk.command(*words, *walk.settings(**mistake)) == 1, mistake
    config = walk.file("leaky.toml", f'[projects.default]\npid = "{PID}"\napi_key = "{m.pasted}"\n[callers.a]\ntoken = "{m.pasted}"\n')
    assert walk.command("config", "check", "--config", str(config)) == 1
    broken = walk.file("broken.toml", f'[projects.default]\napi_key_file = "{m.pasted}\n')
    assert walk.command("serve", "--config", str(broken)) == 1
    assert walk.command("config", "dump", "--origins", *walk.settings()) == 0
    environment = {"ARGOS_API_KEY": m.apikey, "ARGOSPOOL_CALLERS__WEB__TOKEN": m.web, "ARGOSPOOL_TELEMETRY__OTLP_HEADERS": f"a={m.collector}"}
    own = walk.settings(projects__default__api_key_file=None, callers__web__token_file=None, telemetry__otlp_headers_file=None)
    assert walk.command("config", "dump", "--origins", *own, environment=environment) == 0


def failed_starts(walk):
    (walk.scratch / "ruin/ledger").mkdir(parents=True)
    (walk.scratch / "ruin").chmod(0o700)
    (walk.scratch / "ruin/ledger").chmod(0o700)
    walk.file("ruin/ledger/db", walk.marks.garbage * 40_000)
    walk.file("ruin/ledger/conf", walk.marks.garbage)
    assert walk.start(data_dir=walk.scratch / "ruin").wait(timeout=60) == 1
    assert walk.start(http__listen=walk.argos).wait(timeout=60) == 1, "the port is taken"
    assert walk.start(data_dir=walk.scratch / "data", grpc__listen="127.0.0.1:0").wait(timeout=60) == 1, "so is the directory"


def leases(walk):
    pool, callers, first = walk.pool, walk.callers, walk.marks.request()
    lease = walk.lease(request_id=first)
    assert lease.url and walk.lease(request_id=first).url == lease.url
    again = pool.GetLeaseRequest(request_id=first)
    assert walk.call(callers.GetLease, again).lease.url == lease.url
    walk.call(callers.CreateLease, pool.CreateLeaseRequest(request_id=first))
    other = walk.call(callers.ReplaceLease, pool.ReplaceLeaseRequest(lease_id=lease.lease_id, request_id=walk.marks.request()))
    assert other.lease.url != lease.url
    walk.call(callers.ReplaceLease, pool.ReplaceLeaseRequest(lease_id=lease.lease_id))
    assert walk.call(callers.RevokeLease, pool.RevokeLeaseRequest(lease_id=other.lease.lease_id)).lease
    assert walk.call(callers.ReleaseLease, pool.ReleaseLeaseRequest(lease_id=walk.lease().lease_id))
    batch = pool.BatchCreateLeasesRequest(requests=[walk.wish(request_id=walk.marks.request()), walk.wish()])
    assert len(walk.call(callers.BatchCreateLeases, batch).leases) == 2
    assert walk.call(callers.ListLeases, pool.ListLeasesRequest(filter=pool.LeaseFilter(labels={"team": walk.marks.label}))).leases
    watch = callers.WatchLeases(pool.WatchLeasesRequest(), metadata=walk.by("web"), timeout=20)
    next(watch)
    watch.cancel()
    return lease


def refusals(walk, lease):
    m, pool, admin, callers, operators = walk.marks, walk.pool, walk.admin, walk.callers, walk.operators
    bad = walk.liveform.LiveformParams(email=m.email, userid=m.userid * 20, lang=m.custom, allowed_countries=[m.note], unchecked={m.garbage: m.note})
    walk.call(callers.CreateLease, pool.CreateLeaseRequest(params=bad, template=m.garbage, request_id=m.garbage))
    for fields in ({"labels": {m.labelkey * 9: m.label * 90}}, {"template": m.garbage}, {"project": m.garbage}, {"request_id": m.garbage}):
        walk.call(callers.CreateLease, pool.CreateLeaseRequest(**fields))
    walk.call(callers.BatchCreateLeases, pool.BatchCreateLeasesRequest(requests=[pool.CreateLeaseRequest(params=bad)] * 3))
    walk.call(callers.GetLease, pool.GetLeaseRequest(lease_id=lease.token_id))
    walk.call(callers.GetLease, pool.GetLeaseRequest(lease_id=m.garbage))
    walk.call(callers.RevokeLease, pool.RevokeLeaseRequest(lease_id=lease.url))
    walk.call(callers.ListLeases, pool.ListLeasesRequest(page_token=lease.token_id))
    walk.call(callers.ListLeases, pool.ListLeasesRequest(filter=pool.LeaseFilter(owner=m.garbage)))
    watch = pool.WatchLeasesRequest(resume_token=m.garbage)
    walk.call(lambda request, **how: next(callers.WatchLeases(request, **how)), watch)
    for who in ("stranger", "web"):
        walk.call(operators.GetStatus, admin.GetStatusRequest(project=m.garbage), who)
    walk.call(operators.GetStatus, admin.GetStatusRequest(project=m.garbage), "admin")
    walk.call(operators.RevokeLeases, admin.RevokeLeasesRequest(filter=pool.LeaseFilter(labels={m.labelkey: m.label})), "admin")
    walk.call(operators.SetLogLevel, admin.SetLogLevelRequest(directives=m.garbage), "admin")
    walk.call(operators.SetLogLevel, admin.SetLogLevelRequest(directives=f"{m.garbage}=trace"), "admin")
    walk.call(callers.CreateLease, walk.wish(), x_request_id=m.header, traceparent=m.header, user_agent=m.header)
    walk.call(callers.CreateLease, walk.wish(), x_request_id=lease.token_id, traceparent=lease.token_id, cookie=m.header)
    no_method = walk.channel.unary_unary(f"/argospool.v1.TokenPoolService/{m.path}")
    walk.call(no_method, m.body.encode())
    garbled = walk.channel.unary_unary("/argospool.v1.TokenPoolService/CreateLease")
    walk.call(garbled, b"\x0a\x7f" + m.body.encode())


def webhooks(walk):
    m, path = walk.marks, f"/webhooks/argos/{walk.marks.hook}"
    assert get(walk.argos, "/_sim/webhooks", "POST", json.dumps({"url": f"http://{walk.web}{path}"}))[0] == 200
    links = [lease.url for lease in (walk.lease() for _ in range(4)) if lease]
    for plan in ({"submits": {"decision": "approved"}}, {"submits": {"decision": "rejected"}}, "walks_away", "opens"):
        get(walk.argos, "/_sim/crowd", "POST", json.dumps({"links": [links.pop()], "plan": plan}))
    lease = walk.lease()
    about = {"webhook_trigger": "approved", "submission_id": m.garbage, "tokenId": lease.token_id, "email": m.email, "userid": m.userid, m.body: m.body}
    bodies = [json.dumps(about), json.dumps(about)[:-9], m.body, json.dumps({"webhook_trigger": m.body}), json.dumps({"data": m.body * 4}), json.dumps({"webhook_trigger": 7, "tokenId": lease.token_id})]
    for body in bodies:
        walk.page(path, "POST", body)
    for wrong in (f"/webhooks/argos/{m.badhook}", f"/webhooks/argos/{m.hook}x", f"/{m.path}?token={lease.token_id}", f"/webhooks/{m.hook}/{m.path}"):
        assert walk.page(wrong, "POST", bodies[0]) in (404, 405)
        walk.page(wrong)
    until("the approved lease is closed", lambda: 'argospool_decisions_total{decision="approved",project="default"} 0' not in get(walk.web, "/metrics")[1])


def a_hostile_argos(walk):
    """It repeats in its errors whatever was said to it: key, ids and address."""
    for status in (400, 401, 403, 404, 413, 429, 500, 503, 200):
        walk.relay.repeats = status
        heard = len(walk.relay.heard)
        walk.call(walk.operators.Refill, walk.admin.RefillRequest(extra_tokens=3), "admin")
        walk.call(walk.operators.Reconcile, walk.admin.ReconcileRequest(dry_run=True), "admin")
        walk.call(walk.operators.Preflight, walk.admin.PreflightRequest(), "admin")
        lease = walk.lease()
        if lease:
            walk.call(walk.callers.RevokeLease, walk.pool.RevokeLeaseRequest(lease_id=lease.lease_id))
        until(f"ARGOS answers {status}", lambda: len(walk.relay.heard) > heard)
        screens(walk)
    walk.relay.repeats = None
    get(walk.argos, "/_sim/foreign", "POST", json.dumps({"count": 2, "ids": [f"foreign-{walk.marks.garbage}", f"{walk.marks.prefix}{'0' * 22}"]}))
    get(walk.argos, "/_sim/vanish", "POST", json.dumps({"oldest": 5}))
    until("ARGOS is used again", lambda: walk.status().argos.condition == walk.admin.ARGOS_CONDITION_UP)
    walk.call(walk.operators.Reconcile, walk.admin.ReconcileRequest(), "admin")
    until("it is reconciled", lambda: walk.status().foreign_tokens >= 3)


def screens(walk):
    for path in ("/", "/metrics", "/livez", "/readyz", "/readyz?lease", "/readyz?verbose"):
        walk.page(path)
    for words in (("status",), ("status", "--output", "json"), ("list",), ("tokens",), ("audit",), ("explain",), ("log-level",)):
        walk.remote(*words)


def replaced_keys(walk, daemon):
    m = walk.marks
    for text in (f"{m.oddkey} in two words", "", m.newkey):
        walk.file("key", text)
        before = (walk.scratch / f"log-{walk.processes.index(daemon)}").stat().st_size
        daemon.send_signal(signal.SIGHUP)
        until("it is told", lambda: (walk.scratch / f"log-{walk.processes.index(daemon)}").stat().st_size > before)
    walk.call(walk.operators.Refill, walk.admin.RefillRequest(extra_tokens=3), "admin")
    refused = walk.admin.ARGOS_CONDITION_KEY_REFUSED
    until("the key is refused", lambda: walk.status().argos.condition == refused)
    screens(walk)
    walk.file("key", m.apikey)
    daemon.send_signal(signal.SIGHUP)
    until("the key is good", lambda: walk.status().argos.condition != refused)


def searched(walk):
    """Every byte that left, by the way it took."""
    for path in sorted(walk.scratch.glob("log-*")):
        yield path.name, path.read_bytes()
    yield from walk.said
    # The headers are for the collector; what stands behind them is for whoever reads traces.
    yield from (("the collector", body) for _, _, body in walk.collector.taken)


def every_form_is_seen(marks):
    """A search that finds nothing proves nothing unless it finds what is there."""
    for secret in (marks.apikey, marks.prefix + "0" * 22, marks.request()):
        for offset in range(3):
            hidden = base64.urlsafe_b64encode(b"x" * offset + secret.encode() + b"yz")
            assert marks.found(b"... " + hidden), (secret, offset)
        for form in written(secret.encode()):
            assert marks.found(b"x" + form + b"y"), form
    assert not marks.found(b"a perfectly harmless line")


def main(binary, scratch):
    walk = Walk(os.path.abspath(binary), scratch)
    every_form_is_seen(walk.marks)
    try:
        mistaken_configurations(walk)
        for mode in ("plain", "mixed", "sealed"):
            daemon = walk.serve(projects__default__liveform__mode=mode)
            lease = leases(walk)
            refusals(walk, lease)
            screens(walk)
            if mode == "plain":
                failed_starts(walk)
                daemon.kill()
                daemon.wait()
                continue
            webhooks(walk)
            if mode == "sealed":
                a_hostile_argos(walk)
                replaced_keys(walk, daemon)
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(timeout=60) == 0
        until("traces have come", lambda: walk.collector.taken)
    except BaseException:
        for path in sorted(scratch.glob("log-*"))[-2:]:
            print(path.read_text()[-4_000:])
        raise
    finally:
        walk.stop()
    ways, total, leaks = set(), 0, set()
    for way, text in searched(walk):
        ways.add(way.split("-")[0])
        total += len(text)
        # Labels are there to be listed.
        shown = {"label"} if way.startswith("list ") else set()
        leaks |= {(way, name) for name in walk.marks.found(text) - shown}
    assert {"a refusal", "log", "the collector", "HTTP GET /metrics"} <= ways, ways
    log = b"".join(text for way, text in searched(walk) if way.startswith("log"))
    assert b"request answered" in log and b"ARGOS was called" in log, "the log was not at trace"
    assert not leaks, f"P1: {sorted(leaks)}"
    print(f"{total} bytes by {len(ways)} ways, and none of {len(list(walk.marks.forms()))} forms of a secret among them")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(sys.argv[1], pathlib.Path(directory))
