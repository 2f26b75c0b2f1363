"""Dashboards and alerts before a real Prometheus that scrapes real daemons under load, each with another fault.

Usage: live.py PATH-TO-ARGOSPOOL [DIRECTORY-FOR-IMAGES [SECONDS]], in an environment with grpcio, grpcio-tools, PyYAML and matplotlib, as
root because one incident needs a volume of its own. Every incident of `incidents.py` is begun at once, each at a daemon of its own, with a
small stock and short delays so that a minute is enough, and with conditions that need hold for two seconds only (`scraped.impatient`; real
times are `replay.py`'s). Checked is that

- every alert of an incident fires and no other page does, and the first command of the runbook names the cause;
- every expression of every dashboard is answered, and shows something: with so many faults nothing is quiet;
- every metric that rules and dashboards name is one that the daemon has, and every command that a runbook names is one of its own.

With a directory it draws one image per dashboard, of the daemon without an incident. Takes some two minutes, SECONDS longer if told so.
"""

import contextlib
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import grpc
from incidents import INCIDENTS, volume
from scraped import Prometheus, filled_in, shows
from world import ROOT, World, get
from session import stubs, until  # noqa: E402

sys.path.insert(0, str(ROOT / "deploy/grafana/source"))
import build  # noqa: E402

WINDOW = "10s"
PATIENCE = 75
SETTINGS = {
    "refill": {"target_tokens": 400, "low_water_tokens": 100},
    "argos": {"tokens_per_call": 100, "calls_burst": 20, "calls_per_second": 50.0, "backoff_max": "2s", "circuit_open": "2s"},
    "life": {"decided_grace": "1s", "overdue_after": "5s"},
}
ENVIRONMENT = {"ARGOSPOOL_JOBS__COUNT": "*/3 * * * * *", "ARGOSPOOL_JOBS__AUDIT": "*/7 * * * * *"}
# A demand that meets the end of the stock within the minute.
RATES = {"demand_above_supply": 20, "webhooks_silent": 3}


def smaller(settings):
    """The settings of an incident under the ones for a minute, section by section."""
    return {name: settings.get(name, {}) | SETTINGS.get(name, {}) for name in settings.keys() | SETTINGS.keys()}


class Steady(threading.Thread):
    """What a daemon sees on an ordinary bad day: slow calls, failed ones, mistakes of callers, a pause, strangers."""

    def __init__(self, world, pool, stub):
        super().__init__(daemon=True)
        self.world, self.pool, self.stub, self.over, self.broken = world, pool, stub, threading.Event(), None

    def run(self):
        try:
            self.world.control("faults", operation="post", times="always", fault={"kind": "latency", "ms": 300})
            stream = self.stub.WatchLeases(self.pool.WatchLeasesRequest())
            acts, number = [self.mistake, self.many, self.failed_call, self.back, self.stranger, self.paused, self.twice], 0
            while not self.over.wait(1):
                acts[number % len(acts)]()
                number += 1
            stream.cancel()
        except Exception as error:  # noqa: BLE001 it is told by whoever waits for it
            self.broken = error

    def refused(self, call, request):
        with contextlib.suppress(grpc.RpcError):
            call(request, timeout=5)

    def mistake(self):
        self.refused(self.stub.CreateLease, self.pool.CreateLeaseRequest(request_id="no-uuid"))

    def many(self):
        requests = [self.pool.CreateLeaseRequest(request_id=str(uuid.uuid4())) for _ in range(20)]
        self.refused(self.stub.BatchCreateLeases, self.pool.BatchCreateLeasesRequest(requests=requests))

    def failed_call(self):
        self.world.control("faults", operation="post", times=1, fault={"kind": "status", "status": 500})
        self.world.control("faults", operation="delete", times=1, fault={"kind": "status", "status": 429, "retry_after_seconds": 1})

    def back(self):
        lease = self.stub.CreateLease(self.pool.CreateLeaseRequest(), timeout=10).lease
        self.stub.ReleaseLease(self.pool.ReleaseLeaseRequest(lease_id=lease.lease_id), timeout=10)

    def stranger(self):
        get(self.world.http, "/webhooks/argos/somebodys-guess", "POST", "{}")

    def paused(self):
        for activity, seconds in (("purge", 2), ("leasing", 0.5)):
            self.world.say("pause", activity, "--reason", "a test")
            self.over.wait(seconds)
            self.world.say("resume", activity)

    def twice(self):
        self.world.control("webhooks", duplicate=2)


def play(prometheus, worlds):
    """Begins every incident, and tells after how many seconds each alert fired, and which pages had no business to."""
    for incident, world in worlds:
        incident.fault(world)
    began, fired, waiting = time.monotonic(), {}, {}
    for incident, _ in worlds:
        waiting |= {(name, severity, incident.name): incident for severity, some in (("page", incident.pages), ("ticket", incident.tickets))
                    for name in some}
    strangers = set()
    while time.monotonic() < began + PATIENCE:
        for alert in prometheus.firing():
            fired.setdefault(alert, round(time.monotonic() - began))
            # How fast this machine's disk is at this moment is no incident; a quiet one is replayed.
            if alert[1] == "page" and alert not in waiting and alert[0] != "ArgospoolLeaseLatencyBudgetBurn":
                strangers.add(alert)
        if waiting.keys() <= fired.keys() and time.monotonic() > began + 45:
            break
        time.sleep(1)
    return {alert: fired.get(alert) for alert in waiting}, strangers


def look(prometheus, seconds):
    """Every expression of every board, and what is wrong with what it shows."""
    wrong, count = [], 0
    for name, board in build.boards().items():
        for panel in build.panels(board):
            for target in panel["targets"]:
                count += 1
                series = prometheus.lately(filled_in(target["expr"], WINDOW), seconds)
                if not any(shows(points) for _, points in series):
                    wrong.append(f"{name}: {panel['title']} shows nothing: {target['expr']}")
        for annotation in board["annotations"]["list"]:
            count += 1
            prometheus.lately(filled_in(annotation["expr"], WINDOW), seconds)
    return wrong, count


def misspoken(prometheus):
    """Alerts whose words did not come out, or whose links lead nowhere."""
    for alert in prometheus.ask("alerts")["alerts"]:
        words = alert["annotations"]
        whole = all(text and "<" not in text and "{{" not in text for text in words.values())
        if not whole or not all(words[link].startswith("http://localhost") for link in ("runbook_url", "dashboard_url")):
            yield f"{alert['labels']['alertname']} says {words}"


def unknown(metrics):
    """Names in rules and dashboards that the daemon does not have; a name of a histogram stands for its parts."""
    texts = [(ROOT / "deploy/prometheus" / name).read_text() for name in ("rules.yml", "alerts.yml")]
    texts += [json.dumps(board["rows"]) + json.dumps(board["annotations"]) for board in build.boards().values()]
    named = set(re.findall(r"(?<![\w:$])(?:argospool|grpc_server|process)_[a-z_]+(?![\w:])", " ".join(texts)))
    known = {re.split(r"[{ ]", line, maxsplit=1)[0] for line in metrics.splitlines() if not line.startswith("#")}
    return sorted(name for name in named if name not in known and not name.endswith("argospool_"))


def mistyped(binary):
    """Commands in runbooks that the command line does not have, by its own help."""
    helps = {}
    for path in sorted((ROOT / "deploy/runbooks").glob("*.md")):
        text = path.read_text()
        typed = re.findall(r"^\$ argospool (.*)$", text, re.M) + re.findall(r"`argospool ([^`]+)`", text)
        for line in typed:
            command, *words = line.split()
            if command not in helps:
                asked = subprocess.run([binary, command, "--help"], text=True, capture_output=True, timeout=20)
                helps[command] = asked.stdout if asked.returncode == 0 else ""
            strange = [word for word in words if word.startswith("--") and f"{word} " not in helps[command].replace("\n", " ")]
            if not helps[command] or strange:
                yield f"{path.name}: no such command: argospool {line}"


def main(binary, images, seconds):
    wrong = []
    with contextlib.ExitStack() as stack:
        scratch = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (scratch / "stubs").mkdir()
        pool, pool_grpc, *_ = stubs(scratch / "stubs")
        # A stock that outlasts what is done to it: this daemon must have no page.
        steady = World(binary, scratch, "steady", smaller({}) | {"refill": {"target_tokens": 2_000, "low_water_tokens": 500}}, ENVIRONMENT)
        worlds = [(None, stack.enter_context(steady))]
        for incident in INCIDENTS:
            if incident.name == "healthy":
                continue
            place = stack.enter_context(volume(scratch / f"{incident.name}-volume", incident.volume))
            environment = ENVIRONMENT | incident.environment | ({"ARGOSPOOL_DATA_DIR": str(place / "data")} if place else {})
            world = stack.enter_context(World(binary, scratch, incident.name, smaller(incident.settings), environment))
            world.volume = place
            worlds.append((incident, world))
        for incident, world in worlds:
            world.filled(400)
            world.ask(pool, pool_grpc, incident.rate if incident else 15)
        targets = {world.name: world.http for _, world in worlds}
        prometheus = stack.enter_context(Prometheus(scratch / "prometheus", targets))
        ordinary = Steady(steady, pool, steady.callers.stub)
        ordinary.start()
        # Long enough for rates to have two samples, and for webhooks to have come.
        until("everybody was scraped", lambda: len(prometheus.now('rate(argospool_leases_created_total[10s]) > 0')) == len(worlds))
        time.sleep(10)
        fired, strangers = play(prometheus, worlds[1:])
        for (name, severity, where), after in sorted(fired.items(), key=lambda each: each[0][2]):
            print(f"{where:>22}  {name:<28} {severity:<7} {'never' if after is None else f'{after:>3} s'}")
            if after is None:
                wrong.append(f"{where}: {name} never fired")
        wrong += [f"{where}: {name} fired, and is no page of this incident" for name, _, where in sorted(strangers)]
        for incident, world in worlds[1:]:
            for command, words in (("status", incident.shows), ("explain", incident.explains)) if incident.at_once else ():
                said = world.say(command)
                if words not in said:
                    wrong.append(f"{incident.name}: `argospool {command}` does not say {words}:\n{said}")
        time.sleep(seconds)
        silent, count = look(prometheus, 60 + seconds)
        wrong += silent
        print(f"{count} expressions of {len(build.boards())} dashboards answered, {len(silent)} of them empty")
        wrong += mistyped(binary)
        wrong += misspoken(prometheus)
        wrong += [f"no metric of the daemon: {name}" for name in unknown(steady.metrics())]
        if ordinary.broken:
            wrong.append(f"the steady load: {ordinary.broken!r}")
        if images:
            import draw

            pathlib.Path(images).mkdir(exist_ok=True, parents=True)
            for name, board in build.boards().items():
                def fetch(target):
                    expr = filled_in(target["expr"], WINDOW, instance="steady", job="argospool-steady")
                    if target["instant"]:
                        return [(labels, [(0, value)]) for labels, value in prometheus.now(expr)]
                    return prometheus.lately(expr, 75 + seconds, max(1, seconds // 120))

                draw.board(build.laid_out(board), fetch, pathlib.Path(images) / f"{name}.png")
        ordinary.over.set()
        ordinary.join(30)
        complaints = [line for line in prometheus.log.read_text().splitlines() if "level=error" in line]
        wrong += [f"Prometheus: {line}" for line in complaints[:5]]
    print("\n".join(wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    arguments = sys.argv[2:] + ["", "0"][len(sys.argv[2:]):]
    main(str(pathlib.Path(sys.argv[1]).resolve()), arguments[0], int(arguments[1]))
