"""The unit of deploy/systemd is one that systemd takes, and the daemon lives under it.

Usage: systemd.py PATH-TO-ARGOSPOOL. systemd reads the unit and judges its hardening; the daemon then runs with the
configuration that is shipped, as a user without rights and under the unit's own filter of system calls.
"""

import os
import pathlib
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile

import pyseccomp

from scene import ROOT, Scene, against, environment, settings, status, until

SHIPPED = ROOT / "deploy" / "systemd"
# Tenths of the score that systemd gives; more is less safe.
EXPOSURE_MAX = 12
NOBODY = pwd.getpwnam("nobody")


def value(unit, name):
    """The values of a setting, in their order."""
    lines = [line.partition("=") for line in unit.splitlines() if not line.startswith("#")]
    return [text for key, _, text in lines if key == name]


def read_by_systemd(binary, scratch):
    """systemd-analyze ends with 0 whatever it says about unknown keys, so it must say nothing."""
    unit = (SHIPPED / "argospool.service").read_text()
    assert unit.count("=/usr/bin/argospool ") == 1, "what the unit starts"
    laid = scratch / "argospool.service"
    laid.write_text(unit.replace("/usr/bin/argospool ", f"{binary} "))
    for command in (
        ["systemd-analyze", "verify", "--man=no", laid],
        ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_MAX}", laid],
    ):
        ran = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)
        if command[1] == "verify":
            assert ran.returncode == 0 and not ran.stdout, ran.stdout
        assert ran.returncode == 0, f"more exposed than {EXPOSURE_MAX / 10}\n{ran.stdout}"
        told = ran.stdout.strip().splitlines()
    print(told[-1])
    return unit


def users(unit, scratch):
    """The unit's user is the one that systemd-sysusers makes."""
    root = scratch / "root"
    (root / "etc").mkdir(parents=True)
    shutil.copy(SHIPPED / "argospool.sysusers", scratch / "argospool.conf")
    subprocess.run(["systemd-sysusers", f"--root={root}", scratch / "argospool.conf"], check=True, timeout=60)
    names = [line.split(":")[0] for line in (root / "etc/passwd").read_text().splitlines()]
    assert value(unit, "User") == names, (value(unit, "User"), names)
    groups = [line.split(":")[0] for line in (root / "etc/group").read_text().splitlines()]
    assert set(value(unit, "Group")) <= set(groups), groups


def calls_of(group):
    """The system calls of a group, with the groups inside of it."""
    told = subprocess.run(["systemd-analyze", "syscall-filter", group], text=True, capture_output=True, check=True)
    names = [line.strip() for line in told.stdout.splitlines()[1:]]
    found = set()
    for name in names:
        if name.startswith("@"):
            found |= calls_of(name)
        elif name and not name.startswith("#"):
            found.add(name)
    return found


def filtered(unit):
    """A function that puts a process under the unit's filter, as systemd does: what is not allowed is EPERM."""
    allowed = set()
    for line in value(unit, "SystemCallFilter"):
        listed = set()
        for word in line.lstrip("~").split():
            listed |= calls_of(word) if word.startswith("@") else {word}
        allowed = allowed - listed if line.startswith("~") else allowed | listed
    assert len(allowed) > 200, "the filter was not read"
    # systemd adds what a process needs to be started at all.
    allowed |= calls_of("@default") | {"execve"}
    families = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10}
    [permitted] = value(unit, "RestrictAddressFamilies")
    refused = [number for number in range(64) if number not in [families[name] for name in permitted.split()]]
    error = pyseccomp.ERRNO(1)
    rules = pyseccomp.SyscallFilter(error)
    for name in sorted(allowed - {"socket"}):
        try:
            rules.add_rule(pyseccomp.ALLOW, name)
        except (OSError, ValueError, RuntimeError):
            pass  # a call of another architecture
    for number in range(64):
        if number not in refused:
            rules.add_rule(pyseccomp.ALLOW, "socket", pyseccomp.Arg(0, pyseccomp.EQ, number))
    return rules.load


def lives(unit, binary, scratch):
    """With the shipped configuration, but for what is this machine's and the project's own."""
    state, run = scratch / "state", scratch / "run"
    for directory in (state, run):
        directory.mkdir(mode=0o700)
        os.chown(directory, NOBODY.pw_uid, NOBODY.pw_gid)
    with Scene(binary, scratch) as scene:
        api = scene.simulator()
        key = scene.key_file()
        os.chown(key, NOBODY.pw_uid, NOBODY.pw_gid)
        socket = run / "argospool.sock"
        ours = {**against(api), "grpc.unix_socket": socket, "projects.default.api_key_file": key, "http.listen": "127.0.0.1:0"}
        layers = ["--config", SHIPPED / "argospool.toml", *settings(ours)]
        told = scene.argospool("config", "check", *layers, env=environment())
        assert told == "the configuration is good\n", told
        load = filtered(unit)

        def confine():
            os.setgroups([])
            os.setgid(NOBODY.pw_gid)
            os.setuid(NOBODY.pw_uid)
            os.umask(int(value(unit, "UMask")[0], 8))
            load()

        [start] = value(unit, "ExecStart")
        words = start.split()
        assert words[:3] == ["/usr/bin/argospool", "serve", "--config"], words
        daemon = scene.start(binary, "serve", *layers, env=environment(STATE_DIRECTORY=str(state)), cwd="/", preexec_fn=confine)
        at = ("--address", f"unix:{socket}")

        def filled():
            assert daemon.poll() is None, "the daemon ended"
            return status(scene, *at)["projects"][0]["counts"]["ready"] >= 500

        until("the pool is filled", filled)
        assert stat.S_IMODE(socket.stat().st_mode) == 0o660, "the group may open the socket, nobody else"
        assert scene.argospool("lease", "--url-only", *at).startswith(f"http://{api}")
        daemon.send_signal(signal.SIGHUP)
        assert scene.argospool("lease", "--url-only", *at).startswith(f"http://{api}"), "a reload ends nothing"
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=35) == 0, "SIGTERM ends with 0"
        assert list((state / "ledger").iterdir()), "the ledger is in the directory of the unit"


def main(binary, scratch):
    # Readable for whom the daemon runs as, and gone with the scratch directory.
    scratch.chmod(0o755)
    unit = read_by_systemd(binary, scratch)
    users(unit, scratch)
    lives(unit, binary, scratch)
    print("systemd reads the unit, and the daemon lives under its filter")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(str(pathlib.Path(sys.argv[1]).resolve()), pathlib.Path(directory))
