"""The image of deploy/docker/ and the trial of deploy/compose/, as far as they go without a registry.

Usage: image.py PATH-TO-ARGOSPOOL. The last stage of the Dockerfile is built for real from the file tree that the
first one would lay. What compose.yaml starts from that image then runs here as a container would: in a root that is
read-only, as the user of the image, without rights, in a network of its own. Needs root.
"""

import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time

import yaml

from scene import ROOT, Scene, get, until

DEPLOY = ROOT / "deploy"
COMPOSE = DEPLOY / "compose" / "compose.yaml"
# What runs in the image; the rest of compose.yaml is other people's.
OURS = ("argospool", "simulator", "callers")


def run(*command, **options):
    """Runs something that must succeed, and returns what it printed."""
    ran = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=300, **options)
    assert ran.returncode == 0, f"{command}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran.stdout.strip()


def build(binary, scratch):
    """Builds the last stage; returns its root and its configuration."""
    run("sh", DEPLOY / "docker" / "lay-tree", binary, scratch / "context" / "tree")
    text = (DEPLOY / "docker" / "Dockerfile").read_text()
    last = text[text.rindex("\nFROM ") :]
    assert last.startswith("\nFROM scratch\n"), "the last stage begins with nothing"
    (scratch / "Dockerfile").write_text(last)
    storage = ["--root", scratch / "storage", "--runroot", scratch / "runroot", "--storage-driver", "vfs"]
    buildah = lambda *words: run("buildah", *storage, *words)  # noqa: E731
    buildah(
        "build", "--isolation", "chroot", "--format", "docker", "--quiet", "--build-arg", "GIT_SHA=0123abc",
        "--build-context", f"build={scratch / 'context'}", "-f", scratch / "Dockerfile", "-t", "argospool", scratch / "context",
    )
    container = buildah("from", "--pull-never", "argospool")
    image = json.loads(buildah("inspect", "--type", "image", "argospool"))
    return pathlib.Path(buildah("mount", container)), image["Docker"]["config"]


def judge(root, config):
    """What everybody who runs the image relies on."""
    assert config["User"] == "65532:65532", config["User"]
    assert config["Entrypoint"] == ["/usr/bin/argospool"] and config["Cmd"] == ["serve"], config
    assert list(config["Volumes"]) == ["/var/lib/argospool"], config["Volumes"]
    assert "PATH=/usr/bin" in config["Env"], "exec finds the command by its name"
    assert config["Healthcheck"]["Test"][:2] == ["CMD", "/usr/bin/argospool"], config["Healthcheck"]
    assert config["Labels"]["org.opencontainers.image.revision"] == "0123abc", config["Labels"]
    names = []
    for path in root.rglob("*"):
        mode, name = path.lstat().st_mode, str(path.relative_to(root))
        names.append(name)
        assert not mode & (stat.S_ISUID | stat.S_ISGID), f"{name} gives rights away"
        assert stat.S_ISLNK(mode) or not mode & stat.S_IWOTH, f"everybody may write {name}"
        owned = name.startswith(("var/lib/argospool", "run/argospool"))
        assert path.lstat().st_uid == (65532 if owned else 0), f"{name} belongs to {path.lstat().st_uid}"
    assert "etc/ssl/certs/ca-certificates.crt" in names
    programs = [name for name in names if re.search(r"(^|/)(sh|bash|busybox|apt|dpkg|curl|wget|python3)$", name)]
    assert not programs, f"nothing but the daemon runs here: {programs}"
    size = sum(path.lstat().st_size for path in root.rglob("*"))
    print(f"{len(names)} names, {size / 2**20:.0f} MiB")


class Containers:
    """Processes in the image, each in the root that its service would have."""

    def __init__(self, scene, root, config):
        self.scene, self.root, self.config = scene, root, config

    def lay(self, service):
        """Mounts of the service below a root of its own, read-only where compose says so."""
        here = self.scene.scratch / "roots" / service["name"]
        shutil.copytree(self.root, here, symlinks=True)
        for path in [self.root, *self.root.rglob("*")]:
            owner = path.lstat()
            os.chown(here / path.relative_to(self.root), owner.st_uid, owner.st_gid, follow_symlinks=False)
        run("mount", "--bind", here, here)
        (here / "proc").mkdir()
        mounts = [("/proc", "/proc", "rw")]
        for mount in service.get("volumes", []):
            source, target, *mode = mount.split(":")
            if source.startswith("."):
                source = (COMPOSE.parent / source).resolve()
                assert source.exists(), f"{service['name']}: there is no {source}"
            else:
                # A new volume looks like the directory in the image that it covers.
                volume, covered = self.scene.scratch / "volumes" / source, here / target.lstrip("/")
                assert covered.is_dir(), f"{target} is a directory of the image"
                volume.mkdir(parents=True)
                os.chown(volume, covered.stat().st_uid, covered.stat().st_gid)
                source = volume
            mounts.append((source, target, *mode))
        for source, target, *mode in mounts:
            place = here / target.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            if not pathlib.Path(source).is_dir():
                place.touch()
            run("mount", "--bind", source, place)
            if mode == ["ro"]:
                run("mount", "-o", "remount,bind,ro", place)
        if service.get("read_only"):
            run("mount", "-o", "remount,bind,ro", here)
        return here

    def process(self, here, words, environment=None):
        """The words and options that start a process in a root."""
        user, group = map(int, self.config["User"].split(":"))
        base = dict(line.split("=", 1) for line in self.config["Env"])

        def enter():
            os.chroot(here)
            os.chdir(self.config["WorkingDir"] or "/")
            os.setgroups([])
            os.setgid(group)
            os.setuid(user)

        env = {**base, **{name: str(text) for name, text in (environment or {}).items()}}
        return [*self.config["Entrypoint"], *words], {"preexec_fn": enter, "env": env}

    def start(self, here, words, environment=None):
        command, options = self.process(here, words, environment)
        return self.scene.start(*command, **options)

    def inside(self, here, words):
        """`docker compose exec`: exit code and what was printed."""
        command, options = self.process(here, words)
        ran = subprocess.run(command, text=True, capture_output=True, timeout=30, **options)
        return ran.returncode, ran.stdout + ran.stderr


def trial(containers):
    """compose.yaml from the first call to the last."""
    services = yaml.safe_load(COMPOSE.read_text())["services"]
    for name, service in services.items():
        service["name"] = name
        assert service["read_only"] and service["cap_drop"] == ["ALL"], f"{name} may do more than it needs"
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), f"{name} is open to others"
    assert all(services[name]["image"] == services["argospool"]["image"] for name in OURS)
    assert services["simulator"]["network_mode"] == services["callers"]["network_mode"] == "service:argospool"
    roots, processes = {}, {}

    def begin(name):
        service = services[name]
        roots[name] = containers.lay(service)
        processes[name] = containers.start(roots[name], service["command"], service.get("environment"))

    begin("argospool")
    begin("simulator")

    here = roots["argospool"]
    health = containers.config["Healthcheck"]
    argospool = lambda *words: containers.inside(here, words)  # noqa: E731
    until("the health check passes", lambda: argospool(*health["Test"][2:])[0] == 0, health["StartPeriod"] / 1e9)
    until("the pool is filled", lambda: json.loads(argospool("status", "--output", "json")[1])["projects"][0]["can_lease"])

    begin("callers")
    leased = lambda: json.loads(argospool("status", "--output", "json")[1])["projects"][0]["counts"]["leased"]  # noqa: E731
    until("callers take leases", lambda: leased() >= 10, 20)
    code, url = argospool("lease", "--userid", "user-17", "--url-only")
    assert code == 0, url
    token = re.search(r"token=([^&\s]+)", url)[1]
    host, _, query = url.strip().removeprefix("http://").partition("?")
    # A browser on the host asks for the port that is published, and is led to the one inside.
    published = dict(port.split(":")[1:] for port in services["argospool"]["ports"])
    containers.scene.start("socat", *services["liveform"]["command"])
    inside = f"127.0.0.1:{published[host.rpartition(':')[2]]}"
    until("the Liveform opens", lambda: get(inside, f"/?{query}")[0] == 200, 10)
    # The webhook finds its way back: the daemon hears of the first use long before it would ask.
    code, told = get("127.0.0.1:8099", "/_sim/liveform/start", "POST", json.dumps({"token": token, "visitor": "ann"}))
    assert code == 200, told
    leases = lambda: json.loads(argospool("list", "--output", "json")[1])  # noqa: E731
    until("a webhook told of the first use", lambda: "started" in json.dumps(leases()).lower(), 20)
    assert get("127.0.0.1:9464", "/metrics")[0] == 200

    code, told = argospool("serve", "--data-dir", "/etc/ledger", "--grpc-listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0",
                           "--set", "projects.default.pid=p", "--set", "projects.default.api_key_file=/etc/passwd")  # fmt: skip
    assert code == 1, f"the root is read-only: {told}"

    processes["argospool"].send_signal(signal.SIGTERM)
    grace = float(services["argospool"]["stop_grace_period"].rstrip("s"))
    assert processes["argospool"].wait(timeout=grace) == 0, "SIGTERM ends with 0"
    assert argospool(*health["Test"][2:])[0] != 0, "the health check notices that nobody is there"

    # The real ARGOS is https, and a client for it is made of the CA bundle before anything is called.
    environment = {"ARGOS_API_KEY": "made-up", "ARGOS_PROJECT_ID": "pid_demo"}
    nobody = ["--set", "projects.default.argos.api_url=https://127.0.0.1:9/v3", "--data-dir", "/var/lib/argospool/other"]
    real = containers.start(here, ["serve", *nobody], environment)
    until("the daemon for an https ARGOS answers", lambda: real.poll() is None and get("127.0.0.1:9464", "/livez")[0] == 200, 20)


def loopback():
    """Brings up the only interface of a new network."""
    with socket.socket() as any_socket:
        flags = 0x1 | 0x40
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", flags))


def main(binary, scratch):
    began = time.monotonic()
    root, config = build(binary, scratch)
    judge(root, config)
    loopback()
    with Scene(binary, scratch) as scene:
        trial(Containers(scene, root, config))
    print(f"the image is built, and the trial leases, hears and stops in it; {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    if sys.argv[1] != "--inside":
        # Mounts and network go with this process, whatever happens to it.
        alone = ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "--propagation", "private"]
        raise SystemExit(subprocess.run([*alone, sys.executable, __file__, "--inside", *sys.argv[1:]], timeout=300).returncode)
    with tempfile.TemporaryDirectory() as directory:
        try:
            pathlib.Path(directory).chmod(0o755)
            main(sys.argv[2], pathlib.Path(directory))
        finally:
            # Nothing below is a mount any more when the directory is removed.
            for line in reversed(pathlib.Path("/proc/self/mounts").read_text().splitlines()):
                if line.split()[1].startswith(directory):
                    subprocess.run(["umount", "--lazy", line.split()[1]], check=False)
