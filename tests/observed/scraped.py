"""A real Prometheus, on a free loopback port and in a scratch directory, that scrapes worlds and evaluates the rules of the repository."""

import json
import math
import re
import subprocess
import time
import urllib.parse

import yaml
from world import ROOT, free_port, get, until

PROMETHEUS = ROOT / "deploy/prometheus"


def impatient(rules, hold):
    """The rules as they are, except that a condition must hold for `hold` only, that nothing fires on after it, and that every group is
    evaluated each second."""
    rules = yaml.safe_load(rules)
    for group in rules["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = hold
            rule.pop("keep_firing_for", None)
            # Three quiet minutes of a quarter of an hour cannot be awaited here: this one window is shortened.
            if rule.get("alert") == "ArgospoolWebhooksSilent":
                rule["expr"] = rule["expr"].replace("[15m]", "[20s]")
    return rules


class Prometheus:
    """`targets` maps the name of an instance to its address."""

    def __init__(self, scratch, targets, hold="2s"):
        self.address = f"127.0.0.1:{free_port()}"
        scratch.mkdir()
        for name in ("rules.yml", "alerts.yml"):
            (scratch / name).write_text(json.dumps(impatient((PROMETHEUS / name).read_text(), hold)))
        config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        config["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
        config["scrape_configs"][0]["static_configs"] = [
            {"targets": [address], "labels": {"instance": name, "job": f"argospool-{name}"}} for name, address in targets.items()
        ]
        (scratch / "prometheus.yml").write_text(json.dumps(config))
        command = ["prometheus", f"--config.file={scratch}/prometheus.yml", f"--storage.tsdb.path={scratch}/data",
                   f"--web.listen-address={self.address}", "--log.level=warn"]
        with open(scratch / "log", "wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        self.log = scratch / "log"

    def __enter__(self):
        until("Prometheus is ready", lambda: get(self.address, "/-/ready")[0] == 200)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(timeout=30)

    def ask(self, path, **parameters):
        code, text = get(self.address, f"/api/v1/{path}?{urllib.parse.urlencode(parameters)}")
        assert code == 200, (parameters, text[:300])
        return json.loads(text)["data"]

    def now(self, expr):
        """Labels and value of every series of an expression, now."""
        return [(each["metric"], float(each["value"][1])) for each in self.ask("query", query=expr)["result"]]

    def lately(self, expr, seconds, step=1):
        """Labels and points of every series of an expression over the last `seconds`."""
        end = time.time()
        found = self.ask("query_range", query=expr, start=end - seconds, end=end, step=step)["result"]
        return [(each["metric"], [(at, float(value)) for at, value in each["values"]]) for each in found]

    def firing(self):
        """Name, severity and instance of every alert that fires."""
        labels = ("alertname", "severity", "instance")
        return {tuple(metric.get(label, "") for label in labels) for metric, _ in self.now('ALERTS{alertstate="firing"}')}


def filled_in(expr, window, **variables):
    """An expression of a dashboard with its variables filled in as Grafana does."""
    values = {"job": ".+", "instance": ".+", "project": ".+"} | variables
    expr = expr.replace("$__rate_interval", window)
    return re.sub(r"\$\{?(\w+)\}?", lambda match: values[match[1]], expr)


def shows(points):
    return any(not math.isnan(value) for _, value in points)
