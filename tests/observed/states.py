"""Brings about what no recorded incident shows, and keeps what the command line says then, for the runbooks.

Usage: states.py PATH-TO-ARGOSPOOL [NAME...], in an environment with grpcio and grpcio-tools, as root because disks are filled and frozen.
Each state is a real daemon beside the simulated ARGOS with one thing wrong, a small stock and short delays. Takes some four minutes, ends by
itself, and writes tests/observed/recorded/states/<name>.json: every command with what it printed. Loopback only.
"""

import contextlib
import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import typing
import uuid

from incidents import MIB, volume
from world import World, get
from session import stubs, until  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
RECORDED = HERE / "recorded/states"
SMALL = {
    "refill": {"target_tokens": 2_000, "low_water_tokens": 500},
    "argos": {"calls_burst": 50, "calls_per_second": 50.0, "backoff_max": "2s", "circuit_open": "5s"},
    "life": {"decided_grace": "5s"},
}


@dataclasses.dataclass(frozen=True)
class State:
    """`wrong` brings it about, `until` are words that `argospool status` says then; `asked` is what is typed, as a runbook has it."""

    name: str
    wrong: typing.Callable
    asked: tuple
    until: str = ""
    # For so many seconds it must last before somebody looks.
    after: float = 0
    rate: float = 2
    settings: dict = dataclasses.field(default_factory=dict)
    environment: dict = dataclasses.field(default_factory=dict)
    volume: str = ""


def fault(operation, **fault):
    return lambda world: world.control("faults", operation=operation, times="always", fault=fault)


def often_failing(world):
    """Four calls of five are answered, so that the circuit stays closed."""
    def fail():
        while not world.callers.over.wait(2):
            with contextlib.suppress(OSError):
                world.control("faults", times=1, fault={"kind": "status", "status": 500})
    threading.Thread(target=fail, daemon=True).start()


def backlog(world):
    world.say("pause", "purge", "--reason", "ARGOS asked us to")
    for _ in range(3):
        requests = [world.pool.CreateLeaseRequest(request_id=str(uuid.uuid4())) for _ in range(400)]
        answer = world.callers.stub.BatchCreateLeases(world.pool.BatchCreateLeasesRequest(requests=requests), timeout=20)
        for lease in answer.leases:
            world.callers.stub.ReleaseLease(world.pool.ReleaseLeaseRequest(lease_id=lease.lease_id), timeout=20)
        world.filled(1_500)


def vanished(count):
    def vanish(world):
        world.control("vanish", oldest=count)
    return vanish


def braked(world):
    vanished(300)(world)
    world.say("reconcile")


def another_project(world):
    """The tokens of the ledger are nowhere in the project that the key belongs to."""
    world.control("vanish", oldest=100_000)
    world.daemon.terminate()
    world.daemon.wait(timeout=30)
    world.daemon = world.serve()


def another_key(world):
    world.control("rules", api_key="another-key-than-before")


def refill_paused(world):
    world.say("pause", "refill", "--reason", "new address at ARGOS")


def broken_down(world):
    """As if the file system had found a mistake in itself: it is read-only from here on."""
    found = subprocess.run(["findmnt", "-n", "-o", "SOURCE", world.volume], text=True, capture_output=True, check=True)
    pathlib.Path(f"/sys/fs/ext4/{pathlib.Path(found.stdout.strip()).name}/trigger_fs_error").write_text("a test")


def frozen(world):
    subprocess.run(["fsfreeze", "--freeze", world.volume], check=True)


def guessed(world):
    for number in range(6):
        get(world.http, f"/webhooks/argos/somebodys-guess-{number}", "POST", "{}")


def clock_ahead(world):
    pathlib.Path(world.environment["CLOCK_AHEAD"]).touch()


def nothing(_):
    pass


CLOCK = {"LD_PRELOAD": "{scratch}/wrong_clock.so", "CLOCK_AHEAD": "{scratch}/ahead"}
METRICS = "curl -s http://127.0.0.1:9464/metrics"
STATES = [
    State("paused", refill_paused, ("explain", "status"), until="PAUSED", after=2),
    State("failing", often_failing, ("explain", "status"), until="ARGOS_FAILING", rate=100),
    State("throttled", fault("post", kind="status", status=429, retry_after_seconds=2), ("explain", "status"), until="ARGOS_THROTTLED", rate=100),
    State("doubtful", fault("post", kind="lost_answer", effect="none"), ("explain", "status"), until="doubtful", rate=20, after=20,
          settings={"argos": {"tokens_per_call": 100}}),
    State("budget", nothing, ("explain", "status"), until="BUDGET_SPENT", rate=40,
          settings={"argos": {"calls_per_day": 12, "purge_share": 0.0, "reconcile_share": 0.0, "outcome_share": 0.0}}),
    State("backlog", backlog, ("explain", "status", "tokens --stage doomed --limit 5"), until="PAUSED"),
    State("stuck", fault("delete", kind="status", status=400, error_code="invalid_request"),
          ("explain", "status", "tokens --stage doomed --limit 5"), until="STUCK_TOKENS", rate=20, settings={"life": {"delete_tries_max": 1}}),
    State("held_back", vanished(300), ("explain", "status", "reconcile"), until="TOKENS_HELD_BACK",
          environment={"ARGOSPOOL_JOBS__COUNT": "*/5 * * * * *"}),
    State("braked", braked, ("explain", "reconcile --report", "status"), until="RECONCILE_BRAKE", settings={"reconcile": {"listing_gap": "1s"}}),
    State("mismatch", another_project, ("explain", "status", "preflight"), until="KEY_MISMATCH", rate=0.01),
    State("refused", another_key, ("explain", "preflight"), until="ARGOS_KEY_REFUSED", rate=100),
    State("commit_failed", broken_down, ("explain", "status"), until="cannot be written or read", rate=10, volume="ext4", after=5,
          environment={"ARGOSPOOL_LEDGER__FREE_SPACE_MIN": "17MiB", "ARGOSPOOL_LEDGER__CACHE": "1MiB"}),
    State("stalled", frozen, ("explain", "status"), until="has not answered a commit", rate=10, volume="ext4", after=20,
          environment={"ARGOSPOOL_LEDGER__FREE_SPACE_MIN": "17MiB", "ARGOSPOOL_LEDGER__CACHE": "1MiB"}),
    State("webhooks_refused", guessed, (f"{METRICS} | grep webhooks_total | grep -v ' 0$'", "explain"), after=10),
    State("empty", fault("post", kind="latency", ms=25_000), (f"{METRICS} | grep lease_requests_total | grep -v ' 0$'",), until="POOL_EMPTY",
          after=8, rate=100),
    State("clock", clock_ahead, (f"{METRICS} | grep clock_skew", "explain"), after=5, environment=CLOCK),
    # It rings once a year, as good as never.
    State("bell_silent", nothing, (f"date +%s; {METRICS} | grep scheduler_last_run", "explain"), after=60,
          environment={"ARGOSPOOL_JOBS__FLOOR": "0 0 0 1 1 *"}),
]


@contextlib.contextmanager
def disk(scratch, size):
    """A file system in memory, or one on a loop device, which can be frozen."""
    if size != "ext4":
        with volume(scratch, size) as place:
            yield place
        return
    image = scratch.with_suffix(".image")
    with open(image, "wb") as file:
        file.truncate(128 * MIB)
    subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
    scratch.mkdir()
    subprocess.run(["mount", "-o", "loop,errors=remount-ro", image, scratch], check=True)
    try:
        yield scratch
    finally:
        # Where it is not frozen there is nothing to do, and that is no failure.
        subprocess.run(["fsfreeze", "--unfreeze", scratch], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["umount", "--lazy", scratch], check=True)


def say(world, line):
    """What a line of a runbook prints: a command of ours, or of the shell where a port stands for the one of this daemon."""
    if "curl" not in line:
        return world.say(*line.split())
    shell = line.replace("127.0.0.1:9464", world.http)
    return subprocess.run(["bash", "-c", shell], text=True, capture_output=True, timeout=30).stdout


def merged(settings):
    return {name: SMALL.get(name, {}) | settings.get(name, {}) for name in SMALL.keys() | settings.keys()}


def play(binary, scratch, state, code, broken):
    try:
        with disk(scratch / f"{state.name}-volume", state.volume) as place:
            environment = {name: value.replace("{scratch}", str(scratch)) for name, value in state.environment.items()}
            if place:
                environment["ARGOSPOOL_DATA_DIR"] = str(place / "data")
            with World(binary, scratch, state.name, merged(state.settings), environment) as world:
                world.volume, world.pool = place, code[0]
                world.filled(2_000)
                world.ask(code[0], code[1], state.rate)
                time.sleep(5)
                state.wrong(world)
                if state.until:
                    until(f"{state.name}: status says {state.until}", lambda: state.until in world.say("status"), 120)
                time.sleep(state.after)
                said = {line: say(world, line) for line in state.asked}
                if state.wrong is frozen:
                    subprocess.run(["fsfreeze", "--unfreeze", place], check=True)
        RECORDED.mkdir(exist_ok=True, parents=True)
        (RECORDED / f"{state.name}.json").write_text(json.dumps(said, indent=0, ensure_ascii=False) + "\n")
        print(f"{state.name}: said", flush=True)
    except BaseException as error:  # noqa: BLE001 it is told at the end
        broken.append((state.name, repr(error)))


def main(binary, chosen):
    broken = []
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        (scratch / "stubs").mkdir()
        code = stubs(scratch / "stubs")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", scratch / "wrong_clock.so", HERE / "wrong_clock.c", "-ldl"], check=True)
        for state in STATES:
            if not chosen or state.name in chosen:
                play(binary, scratch, state, code, broken)
    if broken:
        raise SystemExit(f"broken: {broken}")


if __name__ == "__main__":
    main(str(pathlib.Path(sys.argv[1]).resolve()), sys.argv[2:])
