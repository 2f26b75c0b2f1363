"""Runs rules and alerts over the recorded incidents, and holds the times to fire against the ones that `incidents.py` states.

Usage: replay.py [--write], with promtool at hand, in an environment with grpcio and grpcio-tools. Every recording of `record.py` is given
to promtool as it was scraped, 15 seconds apart, under the rules as they are. An alert must fire within the stated minutes, no page may
fire that is not stated, and what the command line said at the height of the incident must name the cause. `--write` puts the table into
deploy/runbooks/README.md; without it the table there must be the one that is found.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

from incidents import INCIDENTS

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROMETHEUS = ROOT / "deploy/prometheus"
INDEX = ROOT / "deploy/runbooks/README.md"
MARK = "<!-- incidents: written by tests/observed/replay.py -->\n"


def scraped(series, name):
    """A series as it is in Prometheus: with the labels of its target."""
    metric, _, labels = series.rstrip("}").partition("{")
    return f'{metric}{{{labels}{"," if labels else ""}job="argospool",instance="{name}"}}'


def fired(recording, name):
    """Seconds after the fault at which each alert began to fire, and for how long it did, by name and severity."""
    last = max(span(values) for values in recording["series"].values()) - 1
    every = recording["every"]
    # promtool says what an expression gives only where it was told something else.
    window = f"{last * every}s:{every}s"
    alerts = 'ALERTS{alertstate="firing"}'
    asked = [f"min by (alertname, severity) (min_over_time(timestamp({alerts})[{window}]))",
             f"max by (alertname, severity) (count_over_time({alerts}[{window}])) * {every}"]
    files = [PROMETHEUS / "rules.yml", PROMETHEUS / "alerts.yml"]
    test = {
        "rule_files": [str(path) for path in files],
        # In any other order a time would be off by one evaluation now and then.
        "group_eval_order": [name for path in files for name in re.findall(r"^  - name: (\S+)$", path.read_text(), re.M)],
        "evaluation_interval": f"{every}s",
        "tests": [{
            "interval": f"{every}s",
            "input_series": [{"series": scraped(series, name), "values": values} for series, values in recording["series"].items()],
            "promql_expr_test": [{"expr": expr, "eval_time": f"{last * every}s", "exp_samples": [{"labels": '{never="there"}', "value": 1}]}
                                 for expr in asked],
        }],
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(test, file)
        file.flush()
        said = subprocess.run(["promtool", "test", "rules", file.name], text=True, capture_output=True, timeout=120)
    answers = re.findall(r"got: *(.*)", said.stdout + said.stderr)
    assert len(answers) == len(asked), said.stdout + said.stderr
    begun, lasted = ({(alert, severity): float(value) for alert, severity, value in
                      re.findall(r'\{alertname="(\w+)", severity="(\w+)"\} ([\d.E+]+)', answer)} for answer in answers)
    return {key: (at - recording["fault_at"], lasted[key]) for key, at in begun.items()}


def span(values):
    """How many samples a line of promtool's notation has."""
    total = 0
    for word in values.split():
        repeated = re.fullmatch(r"(.+)x(\d+)", word)
        total += int(repeated[2]) + (word[0] != "_") if repeated else 1
    return total


def judged(incident, found, said):
    """What is wrong with how an incident was told."""
    stated = {(name, severity): minutes for severity, some in (("page", incident.pages), ("ticket", incident.tickets))
              for name, minutes in some.items()}
    for key, minutes in stated.items():
        if key not in found:
            yield f"{incident.name}: {key[0]} never fires"
        elif not 0 <= found[key][0] <= minutes * 60:
            yield f"{incident.name}: {key[0]} fires after {found[key][0] / 60:.1f} min, and {minutes} are stated"
    for (name, severity), (at, _) in found.items():
        if (name, severity) not in stated and (severity == "page" or name not in incident.also):
            yield f"{incident.name}: {name} ({severity}) fires after {at / 60:.1f} min, and is not stated"
    for command, words in (("status", incident.shows), ("explain", incident.explains)):
        if not any(words in text for look, text in said.items() if look.startswith(command)):
            yield f"{incident.name}: `argospool {command}` did not say {words}"


def minutes(seconds):
    return f"{seconds / 60:.1f} min".replace(".0 min", " min")


def main(write):
    wrong, rows = [], ["| incident | alert | severity | fires after | stated | `argospool explain` says |", "| --- | --- | --- | --- | --- | --- |"]
    for incident in INCIDENTS:
        recording = json.loads((HERE / f"recorded/{incident.name}.json").read_text())
        found = fired(recording, incident.name)
        wrong += judged(incident, found, recording["said"])
        if not found:
            rows.append(f"| {incident.says} | none | | | | |")
        for (name, severity), (at, _) in sorted(found.items(), key=lambda each: each[1]):
            stated = (incident.pages if severity == "page" else incident.tickets).get(name)
            rows.append(f"| {incident.says} | [{name}]({name}.md) | {severity} | {minutes(at)} | {f'{stated} min' if stated else '–'} | {incident.explains} |")
    table = "\n".join(rows) + "\n"
    before, mark, there = INDEX.read_text().partition(MARK)
    if write:
        INDEX.write_text(before + MARK + table)
    elif not mark or there != table:
        wrong.append("deploy/runbooks/README.md does not show this table: run tests/observed/replay.py --write")
    print(table + "\n".join(wrong))
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main("--write" in sys.argv[1:])
