"""A stock Python grpcio client against the real daemon, over TCP and a unix socket.

Usage: session.py PATH-TO-ARGOSPOOL. Stubs are generated from proto/ on the fly. Everything listens on
free loopback ports and is stopped at the end.
"""

import http.client
import importlib
import importlib.resources
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
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from grpc_tools import protoc

ROOT = pathlib.Path(__file__).resolve().parents[2]
SECRET = "a-webhook-secret-for-tests"
KEY = "argos_test_demo"


def stubs(directory):
    """Generates the Python code of proto/ and imports it."""
    files = sorted(str(path) for path in (ROOT / "proto").rglob("*.proto"))
    well_known = importlib.resources.files("grpc_tools") / "_proto"
    if protoc.main(["", f"-I{ROOT / 'proto'}", f"-I{well_known}", f"--python_out={directory}", f"--grpc_python_out={directory}", *files]):
        raise SystemExit("proto/ does not compile")
    sys.path.insert(0, str(directory))
    names = ("token_pool_pb2", "token_pool_pb2_grpc", "admin_pb2", "admin_pb2_grpc", "liveform_pb2")
    return [importlib.import_module(f"argospool.v1.{name}") for name in names]


def until(what, look, seconds=60):
    """Asks again and again, for a bounded time, until `look` gives something."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = look()
        except (OSError, grpc.RpcError, FileNotFoundError, json.JSONDecodeError):
            found = None
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")


def get(address, path, method="GET", body=None):
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request(method, path, body=body, headers={"content-type": "application/json"} if body else {})
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def refused(call, code, reason):
    """The call fails with this code and exactly one ErrorInfo of this reason; returns all details."""
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, (error.code(), error.details())
        found = {}
        for detail in rpc_status.from_call(error).details:
            for kind in (error_details_pb2.ErrorInfo, error_details_pb2.RetryInfo, error_details_pb2.BadRequest):
                if detail.Is(kind.DESCRIPTOR):
                    message = kind()
                    detail.Unpack(message)
                    assert kind.__name__ not in found, "one detail of a kind"
                    found[kind.__name__] = message
        assert found["ErrorInfo"].reason == reason, found["ErrorInfo"]
        assert found["ErrorInfo"].domain == "argospool"
        return found
    raise AssertionError(f"was not refused with {reason}")


def session(binary, scratch):
    pool, pool_grpc, admin, admin_grpc, liveform = stubs(scratch)
    processes = []

    def start(*arguments, env=None):
        log = open(scratch / f"log-{len(processes)}", "wb")
        process = subprocess.Popen([binary, *arguments], stdout=log, stderr=log, env={**os.environ, **(env or {})})
        processes.append(process)
        return process

    try:
        simulator = free_port()
        start("simulator", "--listen", f"127.0.0.1:{simulator}")
        api = f"127.0.0.1:{simulator}"
        until("the simulator answers", lambda: get(api, "/_sim/counters")[0] == 200)
        socket = scratch / "argospool.sock"
        key_file, secret_file, config = scratch / "key", scratch / "secret", scratch / "argospool.toml"
        for file, text in ((key_file, KEY), (secret_file, SECRET)):
            file.write_text(text)
            file.chmod(0o600)
        config.write_text(
            f"""
            data_dir = "{scratch / 'data'}"
            [grpc]
            listen = "127.0.0.1:0"
            unix_socket = "{socket}"
            [http]
            listen = "127.0.0.1:0"
            [webhook]
            allowed_sources = ["127.0.0.1/32"]
            [projects.default]
            pid = "pid_demo"
            api_key_file = "{key_file}"
            [projects.default.argos]
            api_url = "http://{api}/v3"
            [projects.default.refill]
            target_tokens = 2_000
            low_water_tokens = 500
            [projects.default.tokens]
            settle_delay = "200ms"
            [projects.default.webhook]
            secret_file = "{secret_file}"
            [projects.default.liveform]
            base_url = "http://{api}"
            """
        )
        daemon = start("serve", "--config", str(config))
        addresses = until("addresses are written", lambda: json.loads((scratch / "data/addresses.json").read_text()))
        web = addresses["http"]
        get(api, "/_sim/webhooks", "POST", json.dumps({"url": f"http://{web}/webhooks/argos/{SECRET}"}))

        tcp = grpc.insecure_channel(addresses["grpc"])
        # grpc's C core sends the percent-encoded path as :authority, which HTTP/2 servers refuse.
        unix = grpc.insecure_channel(f"unix:{socket}", options=[("grpc.default_authority", "localhost")])
        until("the pool is filled", lambda: status(admin_grpc, admin, tcp).counts.ready >= 2_000)

        for channel in (tcp, unix):
            leases(pool, pool_grpc, liveform, channel)
            health = health_pb2_grpc.HealthStub(channel)
            for service in ("", "argospool.v1.TokenPoolService"):
                ask = health_pb2.HealthCheckRequest(service=service)
                serving = health_pb2.HealthCheckResponse.SERVING
                until(f"{service} serves", lambda: health.Check(ask).status == serving)
            services = ProtoReflectionDescriptorDatabase(channel).get_services()
            assert "argospool.v1.TokenPoolService" in services and "argospool.v1.AdminService" in services

        two_owners(pool, pool_grpc, tcp, unix)
        a_life(pool, pool_grpc, tcp, api)
        killed_links(pool, pool_grpc, admin, admin_grpc, liveform, tcp, api)
        watched(pool, pool_grpc, tcp)
        ending = open_stream(pool, pool_grpc, tcp)
        errors(pool, pool_grpc, admin, admin_grpc, liveform, tcp)

        assert get(web, "/livez")[0] == 200 and get(web, "/readyz")[0] == 200
        assert get(web, "/readyz?lease")[0] == 200, get(web, "/readyz?lease")
        metrics = get(web, "/metrics")[1]
        assert f'argospool_tokens{{project="default",stage="leased"}}' in metrics
        verdict = subprocess.run(["promtool", "check", "metrics"], input=metrics, text=True, capture_output=True)
        assert verdict.returncode == 0 and not verdict.stdout + verdict.stderr, verdict

        daemon.send_signal(signal.SIGTERM)
        refused(lambda: list(ending), grpc.StatusCode.UNAVAILABLE, "DRAINING")
        assert daemon.wait(timeout=30) == 0, "SIGTERM ends with 0"
        told = "".join((scratch / f"log-{n}").read_text() for n in range(1, len(processes)))
        for what in (KEY, SECRET, "token=", "person@example.com"):
            assert what not in told, f"a log line tells {what!r}"
    finally:
        for process in processes:
            process.kill()
            process.wait()


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def status(admin_grpc, admin, channel):
    return admin_grpc.AdminServiceStub(channel).GetStatus(admin.GetStatusRequest(), timeout=5).projects[0]


def leases(pool, pool_grpc, liveform, channel):
    stub = pool_grpc.TokenPoolServiceStub(channel)
    request = pool.CreateLeaseRequest(
        request_id=str(uuid.uuid4()),
        params=liveform.LiveformParams(email="person@example.com", cf1="김 & co"),
        labels={"team": "kyc"},
    )
    first = stub.CreateLease(request, timeout=5).lease
    said = "&email=person%40example.com&cf1=%EA%B9%80%20%26%20co"
    # The mark by which ARGOS's word finds the lease stands where the caller left the field empty.
    assert f"{said}&userid=mark-" in first.url, first.url
    assert first.state == pool.LEASE_STATE_ISSUED
    again = stub.CreateLease(request, timeout=5).lease
    assert again.SerializeToString(deterministic=True) == first.SerializeToString(deterministic=True)

    other = pool.CreateLeaseRequest(request_id=request.request_id)
    refused(lambda: stub.CreateLease(other, timeout=5), grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED")

    batch = pool.BatchCreateLeasesRequest(
        requests=[pool.CreateLeaseRequest(request_id=str(uuid.uuid4())) for _ in range(50)]
    )
    many = stub.BatchCreateLeases(batch, timeout=5).leases
    assert len({lease.token_id for lease in [first, *many]}) == 51

    listed, page = [], ""
    while True:
        answer = stub.ListLeases(pool.ListLeasesRequest(page_size=20, page_token=page), timeout=5)
        listed += answer.leases
        page = answer.next_page_token
        if not page:
            break
    assert {lease.lease_id for lease in [first, *many]} <= {lease.lease_id for lease in listed}
    assert not any(lease.token_id or lease.url for lease in listed)

    release = pool.ReleaseLeaseRequest(lease_id=first.lease_id, request_id=str(uuid.uuid4()))
    for _ in range(2):
        released = stub.ReleaseLease(release, timeout=5).lease
        assert released.ending == pool.LEASE_ENDING_RELEASED and not released.url
    replay = stub.CreateLease(request, timeout=5).lease
    assert replay.state == pool.LEASE_STATE_CLOSED and not replay.url
    refused(
        lambda: stub.ReleaseLease(pool.ReleaseLeaseRequest(lease_id=first.lease_id), timeout=5),
        grpc.StatusCode.FAILED_PRECONDITION,
        "LEASE_CLOSED",
    )


def two_owners(pool, pool_grpc, tcp, unix):
    """Two services that both count from 1 are never given each other's URL."""
    request = pool.CreateLeaseRequest(request_id="00000000-0000-0000-0000-000000000001")
    one, other = (pool_grpc.TokenPoolServiceStub(channel).CreateLease(request).lease for channel in (tcp, unix))
    assert one.owner == "anonymous" and other.owner == f"uid:{os.getuid()}"
    assert one.url != other.url


def killed_links(pool, pool_grpc, admin, admin_grpc, liveform, channel, api):
    """A revoked link admits nobody, a replaced one gives way to another, and many go by label."""
    stub = pool_grpc.TokenPoolServiceStub(channel)
    wait = duration_pb2.Duration(seconds=20)
    one = stub.CreateLease(pool.CreateLeaseRequest(), timeout=5).lease
    revoke = pool.RevokeLeaseRequest(lease_id=one.lease_id, wait=wait, reason="a test", request_id=str(uuid.uuid4()))
    for _ in range(2):
        killed = stub.RevokeLease(revoke, timeout=30).lease
        assert killed.ending == pool.LEASE_ENDING_REVOKED and killed.HasField("link_dead_time"), killed
    assert get(api, "/_sim/liveform/start", "POST", json.dumps({"token": one.token_id, "visitor": "bob"}))[0] != 200
    said = pool.RevokeLeaseRequest(lease_id=one.lease_id, reason=one.url)
    refused(lambda: stub.RevokeLease(said, timeout=5), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")

    params = liveform.LiveformParams(cf1="same")
    first = stub.CreateLease(pool.CreateLeaseRequest(params=params, labels={"ward": "7"}), timeout=5).lease
    replace = pool.ReplaceLeaseRequest(lease_id=first.lease_id, request_id=str(uuid.uuid4()))
    both = stub.ReplaceLease(replace, timeout=5)
    assert "&cf1=same" in both.lease.url and both.lease.url != first.url and both.lease.labels["ward"] == "7"
    assert both.replaced.replaced_by_lease_id == both.lease.lease_id and not both.replaced.url
    again = stub.ReplaceLease(replace, timeout=5).lease
    assert again.SerializeToString(deterministic=True) == both.lease.SerializeToString(deterministic=True)
    other = pool.ReplaceLeaseRequest(lease_id=first.lease_id, request_id=str(uuid.uuid4()))
    told = refused(lambda: stub.ReplaceLease(other, timeout=5), grpc.StatusCode.FAILED_PRECONDITION, "LEASE_REPLACED")
    assert told["ErrorInfo"].metadata["replaced_by_lease_id"] == both.lease.lease_id

    steer = admin_grpc.AdminServiceStub(channel)
    nothing = admin.RevokeLeasesRequest()
    refused(lambda: steer.RevokeLeases(nothing, timeout=5), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    ward = pool.LeaseFilter(labels={"ward": "7"})
    for dry_run, revoked in ((True, 0), (False, 1)):
        many = steer.RevokeLeases(admin.RevokeLeasesRequest(filter=ward, dry_run=dry_run), timeout=5)
        assert (many.matched_leases, many.revoked_leases) == (1, revoked), many
    ended = pool.LeaseFilter(labels={"ward": "7"}, endings=[pool.LEASE_ENDING_REPLACED, pool.LEASE_ENDING_REVOKED])
    listed = stub.ListLeases(pool.ListLeasesRequest(filter=ended), timeout=5).leases
    assert [lease.lease_id for lease in listed] == [first.lease_id, both.lease.lease_id]


def open_stream(pool, pool_grpc, channel, token=""):
    """A watch that has told everything up to its beginning; the last token is its `.token`."""
    stream = pool_grpc.TokenPoolServiceStub(channel).WatchLeases(pool.WatchLeasesRequest(resume_token=token))
    stream.told = []
    for message in stream:
        stream.token = message.resume_token
        if message.WhichOneof("event") == "synced":
            return stream
        stream.told.append(message.lease)
    raise AssertionError("never: the stream is in sync")


def watched(pool, pool_grpc, channel):
    """Changes are told as they happen, and to whoever comes back; never a URL."""
    stub = pool_grpc.TokenPoolServiceStub(channel)
    stream = open_stream(pool, pool_grpc, channel)
    made = stub.CreateLease(pool.CreateLeaseRequest(), timeout=5).lease
    message = next(stream)
    while message.lease.lease_id != made.lease_id:
        message = next(stream)
    assert not message.lease.url and not message.lease.token_id
    stream.cancel()
    stub.RevokeLease(pool.RevokeLeaseRequest(lease_id=made.lease_id), timeout=10)
    resumed = open_stream(pool, pool_grpc, channel, message.resume_token)
    assert made.lease_id in {lease.lease_id for lease in resumed.told if lease.ending == pool.LEASE_ENDING_REVOKED}
    resumed.cancel()
    refused(lambda: next(open_stream(pool, pool_grpc, channel, "watch-0000000000000000000000")), grpc.StatusCode.OUT_OF_RANGE, "RESUME_TOO_OLD")


def a_life(pool, pool_grpc, channel, api):
    """A person opens the URL and is approved; the lease is seen to close."""
    stub = pool_grpc.TokenPoolServiceStub(channel)
    lease = stub.CreateLease(pool.CreateLeaseRequest(), timeout=5).lease
    host, _, query = lease.url.removeprefix("http://").partition("?")
    code, page = get(host, f"/?{query}")
    assert code == 200 and "<html" in page.lower()
    code, started = get(api, "/_sim/liveform/start", "POST", json.dumps({"token": lease.token_id, "visitor": "ann"}))
    assert code == 200, started
    submission = json.loads(started)["submission_id"]
    read = pool.GetLeaseRequest(lease_id=lease.lease_id)
    until("the lease is started", lambda: stub.GetLease(read).lease.state == pool.LEASE_STATE_STARTED)
    refused(
        lambda: stub.ReleaseLease(pool.ReleaseLeaseRequest(lease_id=lease.lease_id), timeout=5),
        grpc.StatusCode.FAILED_PRECONDITION,
        "LEASE_STARTED",
    )
    get(api, "/_sim/liveform/decide", "POST", json.dumps({"submission_id": submission, "decision": "approved"}))
    until("the lease is closed", lambda: stub.GetLease(read).lease.state == pool.LEASE_STATE_CLOSED)
    closed = stub.GetLease(read).lease
    assert (closed.ending, closed.decision) == (pool.LEASE_ENDING_DECIDED, pool.DECISION_APPROVED)
    assert closed.submission_id == submission and not closed.url
    code, page = get(host, f"/?{query}")
    assert "data-cause" in page, "a decided token opens nothing"


def errors(pool, pool_grpc, admin, admin_grpc, liveform, channel):
    stub, control = pool_grpc.TokenPoolServiceStub(channel), admin_grpc.AdminServiceStub(channel)
    bad = pool.CreateLeaseRequest(
        request_id="not-a-uuid", params=liveform.LiveformParams(email="nobody"), labels={"": "x"}
    )
    bad.ttl.FromSeconds(5)
    details = refused(lambda: stub.CreateLease(bad), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    fields = {violation.field for violation in details["BadRequest"].field_violations}
    assert {"request_id", "ttl", "params.email"} <= fields and any(f.startswith("labels") for f in fields), fields
    refused(
        lambda: stub.GetLease(pool.GetLeaseRequest(project="nope", request_id=str(uuid.uuid4()))),
        grpc.StatusCode.NOT_FOUND,
        "PROJECT_NOT_FOUND",
    )
    refused(
        lambda: stub.GetLease(pool.GetLeaseRequest(request_id=str(uuid.uuid4()))),
        grpc.StatusCode.NOT_FOUND,
        "LEASE_NOT_FOUND",
    )
    control.Pause(admin.PauseRequest(reason="session test"))
    details = refused(lambda: stub.CreateLease(pool.CreateLeaseRequest()), grpc.StatusCode.UNAVAILABLE, "PAUSED")
    assert "RetryInfo" in details
    control.Resume(admin.ResumeRequest())
    assert stub.CreateLease(pool.CreateLeaseRequest()).lease.url
    assert not control.Audit(admin.AuditRequest()).breaches


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        session(sys.argv[1], pathlib.Path(directory))
    print("a Python session over TCP and the socket: done")
