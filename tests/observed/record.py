"""Plays every incident in real time and keeps what Prometheus would have scraped.

Usage: record.py PATH-TO-ARGOSPOOL [NAME...], in an environment with grpcio and grpcio-tools, as root because one incident needs a volume
of its own. All of them are played at the same time. Takes 32 minutes, ends by itself, and writes tests/observed/recorded/<name>.json:
samples 15 seconds apart of every series that rules and alerts look at, the fault after the first 5 minutes, and what the first
commands of the runbook said when the incident was at its height. Loopback only.
"""

import json
import pathlib
import re
import sys
import tempfile
import threading
import time

from incidents import INCIDENTS, volume
from world import ROOT, World
from session import stubs  # noqa: E402

EVERY = 15
BEFORE = 5 * 60
AFTER = 27 * 60
# Minutes after the fault.
LOOK_AT = 9
RECORDED = pathlib.Path(__file__).resolve().parent / "recorded"


def wanted():
    """Names of the metrics that rules and alerts look at."""
    text = "".join((ROOT / "deploy/prometheus" / name).read_text() for name in ("rules.yml", "alerts.yml"))
    return set(re.findall(r"\b(?:argospool|grpc_server|process)_[a-z_]+\b", text))


def samples(text, names):
    for line in text.splitlines():
        name = re.split(r"[{ ]", line, maxsplit=1)[0]
        if name in names:
            series, value = line.rsplit(" ", 1)
            yield series, value


def play(binary, scratch, incident, code, names, broken):
    """One incident from beginning to end; what goes wrong stands in `broken`."""
    try:
        pool, pool_grpc = code[0], code[1]
        with volume(scratch / f"{incident.name}-volume", incident.volume) as place:
            environment = dict(incident.environment)
            if place:
                environment["ARGOSPOOL_DATA_DIR"] = str(place / "data")
            with World(binary, scratch, incident.name, incident.settings, environment) as world:
                world.volume = place
                world.filled(incident.tokens)
                world.ask(pool, pool_grpc, incident.rate)
                record(world, incident, names)
    except BaseException as error:
        broken.append((incident.name, repr(error)))
        raise


def record(world, incident, names):
    began = time.monotonic()
    acts = sorted([(0, incident.fault), *incident.later], key=lambda act: act[0])
    looks = sorted([(LOOK_AT, "explain"), (LOOK_AT, "status"), *incident.looks])
    seen, said = {}, {}
    for number in range((BEFORE + AFTER) // EVERY):
        time.sleep(max(began + number * EVERY - time.monotonic(), 0))
        minutes = (number * EVERY - BEFORE) / 60
        try:
            found = dict(samples(world.metrics(), names)) | {'up{}': "1"}
        except OSError:
            found = {"up{}": "0"}
        for series, value in found.items():
            seen.setdefault(series, {})[number] = value
        # An act falls between two samples, as it does in life.
        while acts and acts[0][0] <= minutes:
            acts.pop(0)[1](world)
        while looks and looks[0][0] <= minutes:
            at, arguments = looks.pop(0)
            said[f"{arguments} after {at} min"] = world.say(*arguments.split())
    given, refused = world.callers.given, world.callers.refused
    series = {name: runs(values, number + 1) for name, values in sorted(seen.items())}
    found = {"says": incident.says, "every": EVERY, "fault_at": BEFORE, "given": given, "refused": refused, "said": said, "series": series}
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{incident.name}.json").write_text(json.dumps(found, indent=0) + "\n")
    print(f"{incident.name}: {len(series)} series, {given} leases, {refused} refused", flush=True)


def runs(values, total):
    """The samples as promtool's notation has them, equal ones and gaps run together. A series that ends is marked stale, as Prometheus
    does when it scrapes in vain."""
    texts = [values.get(number, "_") for number in range(total)]
    line, number = [], 0
    while number < total:
        end = number
        while end + 1 < total and texts[end + 1] == texts[number]:
            end += 1
        count, text = end - number + 1, texts[number].replace("+Inf", "Inf")
        if text == "_" and line:
            line.append("stale")
            count -= 1
        if text == "_":
            line += [f"_x{count}"] if count else []
        else:
            line.append(f"{text}x{count - 1}" if count > 1 else text)
        number = end + 1
    return " ".join(line)


def main(binary, chosen):
    names = wanted()
    with tempfile.TemporaryDirectory() as directory:
        scratch = pathlib.Path(directory)
        (scratch / "stubs").mkdir()
        code, broken = stubs(scratch / "stubs"), []
        some = [incident for incident in INCIDENTS if not chosen or incident.name in chosen]
        players = [threading.Thread(target=play, args=(binary, scratch, each, code, names, broken)) for each in some]
        for player in players:
            player.start()
        for player in players:
            player.join()
    if broken:
        raise SystemExit(f"broken: {broken}")


if __name__ == "__main__":
    main(str(pathlib.Path(sys.argv[1]).resolve()), sys.argv[2:])
