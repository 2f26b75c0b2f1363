"""The daemon tells its service manager what deploy/systemd/argospool.service waits for.

Usage: notify.py PATH-TO-ARGOSPOOL. This process is the service manager: it listens on the socket that NOTIFY_SOCKET
names, on a path and on an abstract one, and hears READY=1 when the daemon serves and not before, WATCHDOG=1 twice in
each WATCHDOG_USEC, and STOPPING=1 when the stop begins.
"""

import pathlib
import signal
import socket
import sys
import tempfile
import time

from scene import Scene, against, environment, settings

WATCHDOG = 2.0


def heard(listener, what, seconds):
    """Waits for a message; returns everything that was said until then."""
    told, deadline = [], time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        listener.settimeout(left)
        try:
            told += listener.recv(4096).decode().splitlines()
        except TimeoutError:
            break
        if what in told:
            return told
    raise AssertionError(f"never told: {what}; only {told}")


def main(binary, scratch):
    with Scene(binary, scratch) as scene:
        ours = {
            **against(scene.simulator()),
            "projects.default.api_key_file": scene.key_file(),
            "grpc.listen": "127.0.0.1:0",
            "http.listen": "127.0.0.1:0",
        }
        for turn, name in enumerate((str(scratch / "notify"), f"\0argospool-check-{scratch.name}")):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
                listener.bind(name)
                data = scratch / f"data-{turn}"
                told = environment(NOTIFY_SOCKET=name.replace("\0", "@"), WATCHDOG_USEC=str(int(WATCHDOG * 1e6)))
                daemon = scene.start(binary, "serve", *settings({**ours, "data_dir": data}), env=told)
                heard(listener, "READY=1", 20)
                assert (data / "addresses.json").exists(), "ready before it serves"
                for _ in range(3):
                    heard(listener, "WATCHDOG=1", 0.75 * WATCHDOG)
                daemon.send_signal(signal.SIGTERM)
                heard(listener, "STOPPING=1", 5)
                assert daemon.wait(timeout=30) == 0
    print("ready, alive, stopping: told in time")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(sys.argv[1], pathlib.Path(directory))
