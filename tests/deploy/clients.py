"""The clients of deploy/clients/ against a daemon and a simulated ARGOS, over TCP and over a unix socket.

Usage: clients.py PATH-TO-ARGOSPOOL CLIENT=COMMAND... with commands of words parted by spaces. All are held to the
same promises.
"""

import asyncio
import contextlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

from scene import Scene, against, environment, get, settings, status, until

# Leases a minute of the caller that runs dry, and how long it must then wait for one.
QUOTA, PAUSE = 30, 2.0
# What a runtime may take to start on a busy machine.
STARTING = 5.0


class Between:
    """Stands between a client and the daemon, and breaks the first connections in one of two ways."""

    def __init__(self, listen, target, fault):
        self.listen, self.target, self.fault, self.connections = listen, target, fault, 0
        self.loop, self.ready = asyncio.new_event_loop(), threading.Event()
        threading.Thread(target=self.run, daemon=True).start()
        assert self.ready.wait(10)

    def run(self):
        async def listening():
            if isinstance(self.listen, pathlib.Path):
                server = await asyncio.start_unix_server(self.serve, str(self.listen))
                self.address = f"unix:{self.listen}"
            else:
                server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
                self.address = "127.0.0.1:%d" % server.sockets[0].getsockname()[1]
            self.ready.set()
            async with server:
                await server.serve_forever()

        with contextlib.suppress(asyncio.CancelledError, RuntimeError):
            self.loop.run_until_complete(listening())

    async def serve(self, reader, writer):
        self.connections += 1
        first = self.connections == 1
        if self.fault == "silent":
            await reader.read()
            writer.close()
            return
        if self.target.startswith("unix:"):
            there, out = await asyncio.open_unix_connection(self.target.removeprefix("unix:"))
        else:
            there, out = await asyncio.open_connection(*self.target.split(":"))

        async def copy(source, sink, answers):
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    # The lease is made and durable; its URL is lost on the way.
                    if answers and first and b"pid=" in data:
                        break
                    sink.write(data)
                    await sink.drain()
            for end in (writer, out):
                end.close()

        await asyncio.gather(copy(reader, out, False), copy(there, writer, True))

    def close(self):
        self.loop.call_soon_threadsafe(self.loop.stop)


class Daemon:
    """The daemon under test, and what its own tools say about it."""

    def __init__(self, scene, callers):
        self.scene, api = scene, scene.simulator()
        self.api, self.socket, data = api, scene.scratch / "argospool.sock", scene.scratch / "data"
        key = scene.key_file()
        config = scene.scratch / "argospool.toml"
        tables = [f'[callers.ops]\nuid = {os.getuid()}\nrole = "admin"', f'[callers.web]\ntoken_file = "{scene.key_file("web", "token-of-web")}"']
        for name in callers:
            file = scene.key_file(name, f"token-of-{name}")
            tables.append(f'[callers.{name}]\ntoken_file = "{file}"\nleases_per_minute = {QUOTA}')
        config.write_text("\n".join(tables) + "\n")
        values = {
            **against(api),
            "data_dir": data,
            "grpc.listen": "127.0.0.1:0",
            "grpc.unix_socket": self.socket,
            "http.listen": "127.0.0.1:0",
            "projects.default.api_key_file": key,
            "projects.default.refill.target_tokens": "1000",
        }
        scene.start(scene.binary, "serve", "--config", config, *settings(values), env=environment())
        self.ops = ("--address", f"unix:{self.socket}")
        until("the pool is filled", lambda: status(scene, *self.ops)["projects"][0]["counts"]["ready"] >= 1000)
        self.addresses = json.loads((data / "addresses.json").read_text())

    def counted(self, **labels):
        """Calls for a lease that were answered so."""
        total = 0
        for line in get(self.addresses["http"], "/metrics")[1].splitlines():
            if line.startswith("argospool_lease_requests_total{") and all(f'{name}="{text}"' in line for name, text in labels.items()):
                total += float(line.rpartition(" ")[2])
        return total

    def created(self):
        lines = get(self.addresses["http"], "/metrics")[1].splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("argospool_leases_created_total"))

    def tell(self, *arguments, token=None):
        more = {"ARGOSPOOL_TOKEN_FILE": str(self.scene.scratch / token)} if token else {}
        return self.scene.argospool(*arguments, *self.ops, env=environment(**more))


class Client:
    """One of the programs, as a person would run it."""

    def __init__(self, name, command, daemon, transport):
        self.name, self.command, self.daemon, self.transport = name, command, daemon, transport
        self.address = f"unix:{daemon.socket}" if transport == "unix" else daemon.addresses["grpc"]

    def run(self, userid, seconds, address=None, token=None):
        """Exit code, what was printed, what was said, and how long it took."""
        # Over the socket the process is known by its user.
        token = token or ("web" if self.transport == "tcp" else None)
        more = {"ARGOSPOOL_TOKEN_FILE": str(self.daemon.scene.scratch / token)} if token else {}
        words = [*self.command, address or self.address, userid, str(seconds)]
        began = time.monotonic()
        ran = subprocess.run(words, text=True, capture_output=True, timeout=60, env=environment(**more))
        return ran.returncode, ran.stdout, ran.stderr, time.monotonic() - began

    def leases(self, userid, **more):
        code, out, err, took = self.run(userid, 20, **more)
        assert code == 0, f"exit {code}: {err}"
        assert out.count("\n") == 1, f"one URL and nothing else: {out!r}"
        asked = urllib.parse.parse_qs(urllib.parse.urlsplit(out.strip()).query)
        assert out.startswith(f"http://{self.daemon.api}") and asked["userid"] == [userid], out
        return took

    def fails(self, words, seconds, within, **more):
        code, out, err, took = self.run("x" * 300 if words == "INVALID_REQUEST" else "user", seconds, **more)
        assert code == 1 and not out, (code, out, err)
        assert words.upper() in err.upper().replace(" ", "_"), f"it says why: {err!r}"
        assert took < within, f"took {took:.1f} s"

    def check(self, between):
        daemon, scratch = self.daemon, self.daemon.scene.scratch
        here = f"{self.name}-{self.transport}"
        socket = (lambda name: scratch / name) if self.transport == "unix" else (lambda _: None)

        self.leases("user 17&co")

        # The wish is repeated when it is worth it and not sooner, so it is refused exactly once.
        slow = here.replace("-", "_")
        daemon.tell("lease", "--count", str(QUOTA), token=slow)
        before = daemon.counted(reason="caller_quota")
        took = self.leases("waits", token=slow)
        assert took >= 0.8 * PAUSE, f"asked again after {took:.1f} s"
        refused = daemon.counted(reason="caller_quota") - before
        assert refused == 1, f"was refused {refused:g} times"

        # One lease, although its answer was lost.
        lossy = between(socket(f"{here}-lossy"), self.address, "lossy")
        before = daemon.created()
        self.leases("lost", address=lossy.address)
        assert lossy.connections == 2, f"{lossy.connections} connections"
        assert daemon.created() - before == 1, "another lease was made instead of the lost one"

        # What no repetition mends is not repeated.
        before = daemon.counted(code="InvalidArgument")
        self.fails("INVALID_REQUEST", 20, STARTING)
        assert daemon.counted(code="InvalidArgument") - before == 1, "it was asked once"
        if self.transport == "tcp":
            self.fails("IDENTITY_UNKNOWN", 20, STARTING, token="api-key")

        # A pause that ends after the deadline is not waited for.
        daemon.tell("pause", "leasing", "--reason", "check")
        try:
            self.fails("PAUSED", 10, STARTING)
        finally:
            daemon.tell("resume", "leasing")

        # Nobody answers: the deadline is the client's own.
        silent = between(socket(f"{here}-silent"), self.address, "silent")
        self.fails("DEADLINE", 1, 1 + STARTING, address=silent.address)


def main(binary, clients, scratch):
    transports = ("tcp", "unix")
    with Scene(binary, scratch) as scene, contextlib.ExitStack() as ended:
        daemon = Daemon(scene, [f"{name}_{transport}" for name in clients for transport in transports])

        def between(*arguments):
            made = Between(*arguments)
            ended.callback(made.close)
            return made

        for name, command in clients.items():
            for transport in transports:
                began = time.monotonic()
                try:
                    Client(name, command, daemon, transport).check(between)
                except AssertionError as error:
                    raise AssertionError(f"{name} over {transport}: {error}") from error
                print(f"{name} over {transport}: leases, waits, repeats, gives up; {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    given = dict(argument.partition("=")[::2] for argument in sys.argv[2:])
    with tempfile.TemporaryDirectory() as directory:
        main(sys.argv[1], {name: command.split() for name, command in given.items()}, pathlib.Path(directory))
