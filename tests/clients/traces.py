"""Log lines and traces of a daemon, as a collector and an operator see them.

Usage: traces.py PATH-TO-ARGOSPOOL. The collector reads OTLP with the messages of opentelemetry-proto; everything
listens on free loopback ports and is stopped at the end.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import uuid

import grpc
from google.protobuf import duration_pb2

from otlp import Collector, Relay
from session import KEY, free_port, get, refused, status, stubs, until

CREATE = "argospool.v1.TokenPoolService/CreateLease"
HEADERS = "authorization=Bearer%20of-the-collector,x-tenant=kyc"


class Scene:
    """A simulated ARGOS behind a relay, a collector, and daemons beside them, one after another."""

    def __init__(self, binary, scratch):
        self.binary, self.scratch, self.processes = binary, scratch, []
        self.pool, self.pool_grpc, self.admin, self.admin_grpc, _ = stubs(scratch)
        self.simulator = f"127.0.0.1:{free_port()}"
        self.start("simulator", "--listen", self.simulator)
        until("the simulator answers", lambda: get(self.simulator, "/_sim/counters")[0] == 200)
        self.collector, self.relay = Collector(), Relay(self.simulator)
        for name, text in (("key", KEY), ("headers", HEADERS)):
            (scratch / name).write_text(text)
            (scratch / name).chmod(0o600)

    def start(self, *arguments):
        log = open(self.scratch / "log", "ab")
        self.processes.append(subprocess.Popen([self.binary, *arguments], stdout=subprocess.DEVNULL, stderr=log))
        return self.processes[-1]

    def serve(self, **changes):
        """A daemon that is full, its log written anew."""
        settings = {
            "data_dir": self.scratch / "data",
            "grpc.listen": "127.0.0.1:0",
            "http.listen": "127.0.0.1:0",
            "log.level": "debug",
            "log.format": "json",
            "telemetry.otlp_endpoint": f"http://{self.collector.address}",
            "telemetry.otlp_headers_file": self.scratch / "headers",
            "projects.default.pid": "pid_demo",
            "projects.default.api_key_file": self.scratch / "key",
            "projects.default.argos.api_url": f"http://{self.relay.address}/v3",
            "projects.default.argos.calls_per_second": 1_000,
            "projects.default.argos.calls_burst": 1_000,
            "projects.default.argos.backoff_min": "10ms",
            "projects.default.argos.backoff_max": "50ms",
            "projects.default.tokens.settle_delay": "50ms",
            "projects.default.refill.target_tokens": 2_000,
            "projects.default.refill.low_water_tokens": 1_000,
            "jobs.floor": "* * * * * *",
        }
        settings |= {name.replace("__", "."): value for name, value in changes.items()}
        (self.scratch / "log").write_bytes(b"")
        daemon = self.start("serve", *(f"--set={name}={value}" for name, value in settings.items()))
        addresses = self.scratch / "data/addresses.json"
        found = until("addresses are written", lambda: daemon.poll() is None and json.loads(addresses.read_text()))
        self.address, self.web = found["grpc"], found["http"]
        self.channel = grpc.insecure_channel(self.address)
        until("the pool is filled", lambda: self.status().counts.ready >= 1_000)
        return daemon

    def end(self, daemon):
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=60) == 0

    def stop(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.collector.stop()
        self.relay.stop()

    def status(self):
        return status(self.admin_grpc, self.admin, self.channel)

    def lease(self, wait=0, **metadata):
        request = self.pool.CreateLeaseRequest(wait=duration_pb2.Duration(seconds=wait))
        pairs = [(name.replace("_", "-"), value) for name, value in metadata.items()]
        return self.pool_grpc.TokenPoolServiceStub(self.channel).CreateLease(request, timeout=30, metadata=pairs).lease

    def admin_stub(self):
        return self.admin_grpc.AdminServiceStub(self.channel)

    def command(self, *words):
        command = [self.binary, *words, "--address", f"http://{self.address}", "--output", "json"]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=30)
        return ran.returncode, ran.stdout, ran.stderr

    def log(self):
        return (self.scratch / "log").read_text()

    def lines(self, message):
        found = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in found if line["message"] == message]

    def metric(self, name):
        lines = get(self.web, "/metrics")[1].splitlines()
        return float(next(line for line in lines if line.startswith(name)).split()[-1])

    def trace(self, trace, names):
        """The spans of a trace by name, once all of these have come."""

        def look():
            found = {span.name: span for span in self.collector.spans() if span.trace == trace}
            return found if names <= found.keys() else None

        return until(f"{names} of {trace} arrive", look)


def traceparent(sampled=True):
    trace, span = uuid.uuid4().hex, uuid.uuid4().hex[:16]
    return trace, span, f"00-{trace}-{span}-0{int(sampled)}"


def a_request_is_followed(scene):
    trace, caller, header = traceparent()
    request_id = str(uuid.uuid4())
    scene.lease(traceparent=header, x_request_id=request_id)
    found = scene.trace(trace, {CREATE, "queued", "commit"})
    request, queued, commit = found[CREATE], found["queued"], found["commit"]
    assert (request.parent, request.kind, request.failed) == (caller, "SPAN_KIND_SERVER", False)
    assert request.said == {
        "rpc.system": "grpc",
        "rpc.service": "argospool.v1.TokenPoolService",
        "rpc.method": "CreateLease",
        "argospool.request_id": request_id,
        "argospool.code": "OK",
        "argospool.reason": "none",
    }, request.said
    assert queued.parent == commit.parent == request.id and queued.kind == "SPAN_KIND_INTERNAL"
    assert request.began <= queued.began <= queued.ended <= commit.began + 10**6, "one after another"
    assert commit.ended <= request.ended + 10**6 and 0 < request.ended - request.began < 10**10
    assert request.resource["service.name"] == "argospool" and request.resource["service.version"]
    assert uuid.UUID(request.resource["service.instance.id"])
    path, headers, _ = scene.collector.taken[0]
    assert path == "/v1/traces" and headers["content-type"] == "application/x-protobuf"
    assert (headers["authorization"], headers["x-tenant"]) == ("Bearer of-the-collector", "kyc")
    [line] = [line for line in scene.lines("request answered") if line.get("trace_id") == trace]
    said = {name: line[name] for name in ("method", "code", "reason", "request_id", "level")}
    assert said == {"method": CREATE, "code": "OK", "reason": "none", "request_id": request_id, "level": "DEBUG"}
    assert 0 < line["seconds"] < 10


def a_refusal_says_why(scene):
    trace, _, header = traceparent()
    stub = scene.pool_grpc.TokenPoolServiceStub(scene.channel)
    ask = scene.pool.GetLeaseRequest(lease_id="no-lease-of-anybody")
    refused(lambda: stub.GetLease(ask, timeout=5, metadata=[("traceparent", header)]), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    span = scene.trace(trace, {"argospool.v1.TokenPoolService/GetLease"}).popitem()[1]
    assert (span.said["argospool.code"], span.said["argospool.reason"]) == ("InvalidArgument", "invalid_request")
    assert not span.failed, "it is the caller's mistake"
    [line] = [line for line in scene.lines("request answered") if line.get("trace_id") == trace]
    assert (line["code"], line["reason"]) == ("InvalidArgument", "invalid_request"), line


def what_is_malformed_counts_as_not_said(scene):
    for header in ("person@example.com", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "ff-" + traceparent()[2][3:]):
        scene.lease(traceparent=header, x_request_id="person@example.com")
    other = scene.pool_grpc.TokenPoolServiceStub(scene.channel)
    assert other.CreateLease(scene.pool.CreateLeaseRequest(request_id=str(uuid.uuid4())), timeout=5)
    assert "person@example.com" not in scene.log()
    assert all(len(line["trace_id"]) == 32 for line in scene.lines("request answered"))
    assert "request_id" not in scene.lines("request answered")[-1], "that of a lease is nobody's business"


def who_is_not_sampled_is_logged_all_the_same(scene):
    trace, _, header = traceparent(sampled=False)
    scene.lease(traceparent=header)
    later, _, header = traceparent()
    scene.lease(traceparent=header)
    scene.trace(later, {CREATE})
    assert not [span for span in scene.collector.spans() if span.trace == trace]
    assert [line for line in scene.lines("request answered") if line.get("trace_id") == trace]


def a_refill_is_a_trace_of_its_own(scene):
    """Whom it was made for is linked to it."""
    admin, stub = scene.admin, scene.admin_stub()
    stub.Pause(admin.PauseRequest(activities=[admin.ACTIVITY_REFILL]), timeout=5)
    with contextlib.suppress(grpc.RpcError):
        while True:
            scene.lease()
    script = {"operation": "post", "times": 1, "fault": {"kind": "status", "status": 500}}
    answer = get(scene.simulator, "/_sim/faults", "POST", json.dumps(script))
    assert answer[0] == 200, answer
    trace, _, header = traceparent()
    stub_of_pool = scene.pool_grpc.TokenPoolServiceStub(scene.channel)
    request = scene.pool.CreateLeaseRequest(wait=duration_pb2.Duration(seconds=25))
    waiting = stub_of_pool.CreateLease.future(request, timeout=30, metadata=[("traceparent", header)])
    until("somebody waits", lambda: scene.status().waiting_callers == 1)
    stub.Resume(admin.ResumeRequest(), timeout=5)
    assert waiting.result().lease.url
    found = scene.trace(trace, {CREATE, "queued", "waiting", "commit"})
    span = found["waiting"]
    assert span.ended - span.began > 10**6 and span.parent == found[CREATE].id
    spans = scene.collector.spans()
    linked = [span for span in spans if (trace, found[CREATE].id) in span.links]
    assert linked and all((span.name, span.parent, span.kind) == ("refill", "", "SPAN_KIND_INTERNAL") for span in linked)
    calls = [span for span in spans if span.parent in {span.id for span in linked}]
    assert {span.name for span in calls} == {"argos register"} and calls[0].kind == "SPAN_KIND_CLIENT"

    def doubted():
        spans = {span.id: span for span in scene.collector.spans()}
        calls = [span for span in spans.values() if span.name == "argos register"]
        for call in calls:
            if call.failed:
                assert call.said["argospool.result"] == "failed" and call.said["argospool.project"] == "default"
                tried = [spans[call.parent].said["argospool.attempt"] for call in calls if call.parent in spans]
                return 1 in tried and 2 in tried
        return False

    until("the attempt after a doubtful one is the second", doubted)
    lines = scene.lines("ARGOS was called")
    assert {"settled", "failed"} <= {line["result"] for line in lines} and all(line["seconds"] > 0 for line in lines)


def argos_is_told_nothing_of_it(scene):
    said = b"".join(scene.relay.heard).lower()
    assert b"x-api-key" in said and b"traceparent" not in said and b"x-request-id" not in said


def the_level_is_changed_for_a_while(scene):
    """The log is at info, and falls back to it."""

    def logged():
        trace, _, header = traceparent()
        scene.lease(traceparent=header)
        scene.trace(trace, {CREATE})  # Exported whatever the log says.
        return any(line.get("trace_id") == trace for line in scene.lines("request answered"))

    assert not logged()
    code, told, _ = scene.command("log-level")
    shown = {"directives": "info", "configured": "info", "falls_back_in": None}
    assert (code, json.loads(told)) == (0, shown), told
    for wrong in ("loud", "h2=trace", "info,reqwest=debug", "argospool::engine=loud", "[request]=trace"):
        code, _, said = scene.command("log-level", wrong)
        assert code == 3 and "directives" in said, (wrong, said)
    assert scene.command("log-level", "debug", "--for", "25h")[0] == 3
    assert not logged()
    code, told, _ = scene.command("log-level", "info,argospool::api=debug", "--for", "1h")
    assert code == 0 and json.loads(told)["directives"] == "info,argospool::api=debug", told
    assert logged()
    assert not scene.lines("ARGOS was called"), "of another module"
    assert scene.command("log-level", "--reset")[0] == 0
    assert not logged()
    assert scene.command("log-level", "trace", "--for", "2s")[0] == 0
    assert logged()
    until("it falls back", lambda: json.loads(scene.command("log-level")[1]) == shown)
    assert not logged()
    assert [line["level"] for line in scene.lines("log level changed")] == ["info,argospool::api=debug", "trace"]


def a_sick_collector_costs_spans_and_nothing_else(scene):
    dropped = 'argospool_trace_spans_total{result="dropped"}'
    before = scene.metric(dropped)
    scene.collector.status, scene.collector.answer = 503, b"the daemon must not repeat this"
    for _ in range(3):
        count = scene.metric(dropped)
        scene.lease()
        until("spans are dropped", lambda: scene.metric(dropped) > count)
    assert len(scene.lines("spans are dropped")) == 1, "it is said once"
    assert scene.lines("spans are dropped")[0]["why"] == "answered with status 503"
    scene.collector.status = 200
    scene.lease()
    until("spans are exported again", lambda: scene.lines("spans are exported again"))
    # One that takes its time fills the queue; callers do not wait for it.
    scene.collector.delay, count = 600, scene.metric(dropped)
    request, stub = scene.pool.GetLeaseRequest(lease_id="no-lease"), scene.pool_grpc.TokenPoolServiceStub(scene.channel)
    began = time.monotonic()
    for _ in range(40):
        calls = [stub.GetLease.future(request, timeout=30) for _ in range(100)]
        assert {call.code() for call in calls} == {grpc.StatusCode.INVALID_ARGUMENT}
    took = time.monotonic() - began
    assert scene.metric(dropped) > count + 500, "more than there is room for"
    assert took < 30, took
    scene.collector.delay = 0
    assert b"must not repeat" not in scene.log().encode() and scene.metric(dropped) > before


def the_end_waits_for_what_is_left(scene, daemon):
    trace, _, header = traceparent()
    scene.lease(traceparent=header)
    scene.end(daemon)
    assert [span for span in scene.collector.spans() if span.trace == trace]


def a_ratio_is_for_traces_that_begin_here(scene):
    daemon = scene.serve(telemetry__sampling_ratio="0.0")
    scene.collector.taken.clear()
    for _ in range(20):
        scene.lease()
    trace, _, header = traceparent()
    scene.lease(traceparent=header)
    scene.end(daemon)
    assert {span.trace for span in scene.collector.spans()} == {trace}


def nothing_is_sent_unless_somebody_said_where(scene):
    daemon = scene.serve(telemetry__otlp_endpoint="")
    scene.collector.heard.clear()
    scene.lease(traceparent=traceparent()[2])
    scene.end(daemon)
    assert not scene.collector.heard


def main(binary, scratch):
    scene = Scene(os.path.abspath(binary), scratch)
    try:
        daemon = scene.serve()
        a_request_is_followed(scene)
        a_refusal_says_why(scene)
        what_is_malformed_counts_as_not_said(scene)
        who_is_not_sampled_is_logged_all_the_same(scene)
        a_refill_is_a_trace_of_its_own(scene)
        argos_is_told_nothing_of_it(scene)
        the_end_waits_for_what_is_left(scene, daemon)
        daemon = scene.serve(log__level="info", telemetry__otlp_timeout="1s")
        the_level_is_changed_for_a_while(scene)
        a_sick_collector_costs_spans_and_nothing_else(scene)
        scene.end(daemon)
        a_ratio_is_for_traces_that_begin_here(scene)
        nothing_is_sent_unless_somebody_said_where(scene)
    except BaseException:
        print(scene.log()[-8_000:])
        raise
    finally:
        scene.stop()
    print("every trace is whole")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(sys.argv[1], pathlib.Path(directory))
