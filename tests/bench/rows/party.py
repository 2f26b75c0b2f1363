"""What is measured: a server in a directory of its own, and callers who ask it for leases."""

import dataclasses
import json
import shutil
import signal
import socket
import subprocess

# What `argospool bench` and everybody else's load generator measures for, in seconds.
SECONDS = 2


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


ALONE, FEW, MANY, CROWD = LOADS = [Callers(1, 1), Callers(4, 16), Callers(64, 1), Callers(4, 64)]


@dataclasses.dataclass(frozen=True)
class Sample:
    """Leases a second, and latencies in microseconds."""

    rate: float
    p50: float
    p99: float


class Party:
    """One server in a directory of its own, over TCP or over a unix socket."""

    def __init__(self, scratch, binaries, unix=False):
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
            ended(process)
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

    def bench(self, callers, *more, warm_up="0s", seconds=SECONDS):
        """What `argospool bench` finds."""
        command = [self.binaries.argospool, "--address", self.address, "--output", "json", "bench",
                   "--connections", callers.connections, "--in-flight", callers.in_flight,
                   "--warm-up", warm_up, "--duration", f"{seconds}s", *more]
        said = json.loads(run(*command))
        assert not said["failed"], said
        latency = said["latency_ms"]
        return Sample(said["leases_per_second"], latency["p50"] * 1000, latency["p99"] * 1000)


def ended(process):
    """Waits for the end of a process that was asked to end, and ends it if it does not."""
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


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
