"""One daemon beside one simulated ARGOS, with callers and people, for whatever is to be observed.

A world is a process of each, everything on free loopback ports and in a scratch directory of its own. Callers ask at a
given rate and do not wait for each other, so that an empty pool does not lower the demand. Of ten people seven pass the
Liveform and are decided, one walks away, two never come.
"""

import contextlib
import json
import pathlib
import random
import subprocess
import sys
import threading
import time
import uuid

import grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
for place in ("tests/clients", "tests/bench"):
    sys.path.insert(0, str(ROOT / place))
from session import SECRET, free_port, get, until  # noqa: E402
from simulated import configure  # noqa: E402

PLANS = [{"submits": {"decision": "approved"}}] * 6 + [{"submits": {"decision": "rejected"}}, "walks_away", None, None]


class Callers(threading.Thread):
    """Asks for leases at `rate` a second until stopped; the rate may be changed at any time."""

    def __init__(self, world, pool, stub, rate):
        super().__init__(daemon=True)
        self.world, self.pool, self.stub, self.rate = world, pool, stub, rate
        self.over = threading.Event()
        self.chance = random.Random(world.name)
        self.people = []
        self.given = self.refused = 0

    def run(self):
        due = walk = time.monotonic()
        while not self.over.wait(max(due - time.monotonic(), 0)):
            due = max(due + 1 / max(self.rate, 0.01), time.monotonic() - 1)
            request = self.pool.CreateLeaseRequest(request_id=str(uuid.uuid4()))
            self.stub.CreateLease.future(request, timeout=20).add_done_callback(self.answered)
            if time.monotonic() > walk + 1:
                walk = time.monotonic()
                self.visit()

    def answered(self, call):
        if call.code() == grpc.StatusCode.OK:
            self.given += 1
            self.people.append(call.result().lease.url)
        else:
            self.refused += 1

    def visit(self):
        """Everybody who was given a link since the last time plays a plan."""
        links, self.people = self.people, []
        crowds = {}
        for link in links:
            plan = self.chance.choice(PLANS)
            if plan:
                crowds.setdefault(json.dumps(plan), []).append(link)
        for plan, some in crowds.items():
            with contextlib.suppress(OSError):
                self.world.control("crowd", links=some, plan=json.loads(plan))


class World:
    """Started by `with`, and gone after it."""

    def __init__(self, binary, scratch, name, settings=None, environment=None, webhooks=True):
        self.binary, self.name, self.webhooks = binary, name, webhooks
        self.scratch = scratch / name
        self.settings, self.environment = dict(settings or {}), dict(environment or {})
        self.simulator, self.grpc, self.http = (f"127.0.0.1:{free_port()}" for _ in range(3))
        self.processes, self.callers, self.channel = [], None, None

    def __enter__(self):
        self.scratch.mkdir(parents=True)
        secret = self.scratch / "secret"
        secret.write_text(SECRET)
        secret.chmod(0o600)
        sections = {"webhook": {"secret_file": str(secret)}, "liveform": {"base_url": f"http://{self.simulator}"}}
        sections["tokens"] = {"settle_delay": "200ms"}
        for name, keys in self.settings.items():
            sections[name] = sections.get(name, {}) | keys
        self.config = configure(self.scratch, self.grpc, self.simulator, self.http, **sections)
        self.environment.setdefault("ARGOSPOOL_WEBHOOK__ALLOWED_SOURCES", "127.0.0.1/32")
        self.run("simulator", "--listen", self.simulator)
        until("the simulator answers", lambda: get(self.simulator, "/_sim/counters")[0] == 200)
        if self.webhooks:
            self.control("webhooks", url=f"http://{self.http}/webhooks/argos/{SECRET}")
        self.daemon = self.serve()
        return self

    def __exit__(self, *_):
        if self.callers:
            self.callers.over.set()
            self.callers.join(30)
        if self.channel:
            self.channel.close()
        for process in self.processes:
            process.kill()
            process.wait()

    def run(self, *arguments):
        with open(self.scratch / "log", "ab") as log:
            environment = {"PATH": "/usr/bin:/bin", **self.environment}
            process = subprocess.Popen([self.binary, *arguments], stdout=log, stderr=log, env=environment)
        self.processes.append(process)
        return process

    def serve(self):
        process = self.run("serve", "--config", str(self.config))
        until(f"{self.name} serves", lambda: get(self.http, "/livez")[0] == 200)
        return process

    def filled(self, tokens, seconds=60):
        line = 'argospool_leasable_tokens{project="default"} '
        until(f"{self.name} has {tokens} tokens", lambda: float(self.metrics().split(line)[1].split()[0]) >= tokens, seconds)

    def ask(self, pool, pool_grpc, rate):
        """Lets callers ask from here on."""
        options = [("grpc.max_reconnect_backoff_ms", 1_000), ("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(self.grpc, options=options)
        self.callers = Callers(self, pool, pool_grpc.TokenPoolServiceStub(self.channel), rate)
        self.callers.start()

    def control(self, command, **fields):
        """One act on the control side of the simulator."""
        code, answer = get(self.simulator, f"/_sim/{command}", "POST", json.dumps(fields))
        assert code == 200, (command, code, answer)
        return json.loads(answer)

    def metrics(self):
        code, text = get(self.http, "/metrics")
        assert code == 200, code
        return text

    def say(self, *arguments):
        """What the command line prints, with its exit code where that is not 0."""
        command = [self.binary, *arguments, "--address", f"http://{self.grpc}"]
        said = subprocess.run(command, text=True, capture_output=True, timeout=30, env={"PATH": "/usr/bin:/bin", "COLUMNS": "120"})
        return said.stdout + said.stderr + (f"(exit {said.returncode})\n" if said.returncode else "")
