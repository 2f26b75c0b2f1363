"""A simulated ARGOS and whatever runs beside it, for the checks of deploy/: free loopback ports, ended at the end."""

import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "clients"))

# What the session of the Python client is made of does here as well.
from session import KEY, free_port, get, until  # noqa: E402,F401


class Scene:
    """Processes and their logs in a scratch directory."""

    def __init__(self, binary, scratch):
        self.binary, self.scratch, self.processes = binary, pathlib.Path(scratch), []

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        for process in self.processes:
            process.kill()
            process.wait()
        if kind is not None:
            for log in sorted(self.scratch.glob("log-*")):
                print(f"== {log.name}\n{log.read_text(errors='replace')[-4000:]}")

    def start(self, *command, **options):
        """Starts something; what it prints goes to a file."""
        log = open(self.scratch / f"log-{len(self.processes)}", "wb")
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **options)
        self.processes.append(process)
        return process

    def simulator(self):
        """Starts a simulated ARGOS and returns its address."""
        address = f"127.0.0.1:{free_port()}"
        self.start(self.binary, "simulator", "--listen", address)
        until("the simulator answers", lambda: get(address, "/_sim/counters")[0] == 200)
        return address

    def key_file(self, name="api-key", text=KEY):
        file = self.scratch / name
        file.write_text(text)
        file.chmod(0o600)
        return file

    def argospool(self, *arguments, **options):
        """Runs a subcommand to its end and returns what it printed."""
        ran = subprocess.run([self.binary, *arguments], text=True, capture_output=True, timeout=60, **options)
        assert ran.returncode == 0, f"{arguments}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
        return ran.stdout


def settings(values):
    """As flags of `argospool serve`."""
    return [text for name, value in values.items() for text in ("--set", f"{name}={value}")]


def against(api):
    """What a daemon must be told so that a simulated ARGOS is its own, with a small stock that is ready soon."""
    return {
        "projects.default.pid": "pid_demo",
        "projects.default.argos.api_url": f"http://{api}/v3",
        "projects.default.liveform.base_url": f"http://{api}",
        "projects.default.tokens.settle_delay": "100ms",
        "projects.default.refill.target_tokens": "500",
        "projects.default.refill.low_water_tokens": "100",
    }


def status(scene, *address):
    """What `argospool status` says; an OSError while the daemon does not answer."""
    ran = subprocess.run([scene.binary, "status", "--output", "json", *address], text=True, capture_output=True, timeout=30)
    if ran.returncode:
        raise OSError(ran.stderr)
    return json.loads(ran.stdout)


def environment(**more):
    """Nothing of ours is inherited from whoever runs the checks."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ARGOS")}
    return {**kept, **more}
