"""The incidents that the alerts are held against: what goes wrong, and what the on-call person must hear, and when.

Each is played by a real daemon beside the simulated ARGOS. `record.py` plays them in real time and keeps what Prometheus
would have scraped; `replay.py` runs the alerts over it and holds the times to fire against the ones stated here;
`live.py` plays the beginning of each before a real Prometheus.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import typing

from world import get

MIB = 1 << 20


@dataclasses.dataclass(frozen=True)
class Incident:
    """`pages` and `tickets` say within how many minutes after the fault each alert fires. Any other page is a failure; other tickets
    are a failure unless they stand in `also`, where no time is promised."""

    name: str
    says: str
    rate: float
    fault: typing.Callable
    pages: dict
    tickets: dict = dataclasses.field(default_factory=dict)
    also: tuple = ()
    settings: dict = dataclasses.field(default_factory=dict)
    environment: dict = dataclasses.field(default_factory=dict)
    # What happens so many minutes after the fault.
    later: tuple = ()
    # What the command line is asked besides `explain` and `status` after nine minutes: when, and what.
    looks: tuple = ()
    tokens: int = 4_500
    volume: str = ""
    # What `argospool status` must show, and what `argospool explain` must say.
    shows: str = ""
    explains: str = ""
    # Whether they do within a minute of the fault, beside a daemon with short delays.
    at_once: bool = True


def argos_down(world):
    world.control("faults", times="always", fault={"kind": "status", "status": 503})


def argos_back(world):
    world.control("clear_faults")


def key_revoked(world):
    world.control("rules", api_key="another-key-than-before")


def foreign_tokens(world):
    world.control("foreign", count=95_000)


def webhooks_lost(world):
    world.control("webhooks", drop="always")


def slow_and_wanted(world):
    """A call takes 25 seconds, one at a time, 100 tokens each: 4 tokens a second come in, and 12 are asked for."""
    world.control("faults", operation="post", times="always", fault={"kind": "latency", "ms": 25_000})
    world.callers.rate = 12


def ballast(world, leave):
    """Somebody else's file on the volume of the ledger, as large as leaves this much room."""
    with open(world.volume / "ballast", "ab") as file, contextlib.suppress(OSError):
        while os.statvfs(world.volume).f_bavail * os.statvfs(world.volume).f_frsize > leave:
            file.write(b"\xa5" * min(MIB, 1 << 16))
            file.flush()


def disk_low(world):
    ballast(world, 24 * MIB)


def disk_full(world):
    ballast(world, 0)


def used_before_lent(world):
    """Somebody uses tokens that were never handed out: what L1 forbids. ARGOS does not tell which ones were, so it takes a few."""
    state = json.loads(get(world.simulator, "/_sim/state")[1])
    for token in [each["tokenId"] for each in state["tokens"] if not each["visitors"]][:8]:
        world.control("liveform/start", token=token)


def killed(world):
    world.daemon.send_signal(signal.SIGKILL)
    world.daemon.wait()


def restarted(world):
    world.daemon.send_signal(signal.SIGTERM)
    world.daemon.wait(timeout=30)
    world.daemon = world.serve()


def refill_paused(world):
    world.say("pause", "refill", "--reason", "a test")


def refill_resumed(world):
    world.say("resume", "refill")


def rush(world):
    world.callers.rate = 10


def calm(world):
    world.callers.rate = 3


@contextlib.contextmanager
def volume(scratch, size):
    """A file system in memory, for a ledger that shall meet the end of its disk."""
    if not size:
        yield None
        return
    scratch = pathlib.Path(scratch)
    scratch.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", scratch], check=True)
    try:
        yield scratch
    finally:
        subprocess.run(["umount", "--lazy", scratch], check=True)


INCIDENTS = [
    Incident(
        "argos_down", "ARGOS answers everything with 503; 4 leases a second are wanted.", 4, argos_down,
        pages={"ArgospoolStockRunningOut": 10}, tickets={"ArgospoolArgosDown": 7}, also=("ArgospoolStockLow",), shows="ARGOS_DOWN",
        explains="ARGOS_DOWN: ARGOS does not answer",
    ),
    Incident(
        "key_revoked", "Somebody made another API key, and the old one is refused.", 1, key_revoked,
        pages={"ArgospoolArgosRefusesUs": 4}, shows="ARGOS_KEY_REFUSED", explains="ARGOS_KEY_REFUSED: ARGOS refuses the API key",
    ),
    Incident(
        "cap_eaten", "Somebody else registers 95,000 tokens in the project.", 4, foreign_tokens,
        pages={"ArgospoolCapReached": 9}, tickets={"ArgospoolForeignTokens": 21}, also=("ArgospoolCapNear", "ArgospoolStockLow"),
        shows="at_cap", looks=((11, "reconcile --dry-run"),),
        explains="FOREIGN_TOKENS: ARGOS counts 95000 tokens that are not of this ledger",
    ),
    Incident(
        "webhooks_silent", "No webhook arrives any more.", 1, webhooks_lost,
        pages={}, tickets={"ArgospoolWebhooksSilent": 20}, looks=((19, "explain"), (19, "status")), at_once=False,
        shows="WEBHOOKS_SILENT", explains="WEBHOOKS_SILENT: ARGOS decides, as we learn by asking, and for a quarter of an hour no webhook came",
    ),
    Incident(
        "disk_full", "Somebody's file leaves 24 MiB to the ledger, ten minutes later nothing.", 2, disk_low,
        pages={"ArgospoolDiskFull": 3}, also=("ArgospoolDiskFilling", "ArgospoolCommitsFailed", "ArgospoolWebhooksRefused"),
        later=((10, disk_full),), looks=((14, "explain"), (14, "status")),
        volume="96m", tokens=3_500,
        settings={"refill": {"target_tokens": 4_000}},
        environment={"ARGOSPOOL_LEDGER__FREE_SPACE_MIN": "32MiB", "ARGOSPOOL_LEDGER__CACHE": "1MiB"}, shows="DISK_SPACE",
        explains="DISK_SPACE: The disk of the ledger is nearly full and nothing is ordered",
    ),
    Incident(
        "demand_above_supply", "12 leases a second are wanted while 4 tokens a second come in.", 2, slow_and_wanted,
        pages={"ArgospoolStockRunningOut": 8}, also=("ArgospoolStockLow",), shows="short", looks=((20, "explain"), (20, "status")),
        explains="as many orders as argos.calls_in_flight allows wait for an answer",
        settings={"argos": {"tokens_per_call": 100, "calls_in_flight": 1}},
    ),
    Incident(
        "promise_broken", "Tokens are used that were never handed out.", 2, used_before_lent,
        pages={"ArgospoolPromiseBroken": 2}, shows="HALTED", looks=((9, "audit"),),
        explains="HALTED: Promise L1 broken",
    ),
    Incident(
        "killed", "The process is killed and nobody starts it again.", 1, killed,
        pages={"ArgospoolDown": 4}, shows="cannot reach the daemon", explains="cannot reach the daemon",
    ),
    Incident(
        "healthy", "A restart, two minutes without ARGOS, a pause of refill for three minutes, a rush: nothing to hear of.", 3, restarted,
        pages={}, looks=((9, "audit"), (10, "status"), (26, "explain"), (26, "status")),
        later=((3, argos_down), (5, argos_back), (8, refill_paused), (11, refill_resumed), (13, rush), (16, calm)),
    ),
]
