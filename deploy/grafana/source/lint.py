"""Holds the written dashboards to the rules of Grafana's dashboard-linter, as far as they are about Prometheus, and to our own.

Usage: lint.py, with promtool at hand. The names of the rules are the linter's, so that its documentation explains them; those that begin
with `our` are not the linter's. Says everything that is wrong before it ends with 1.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
DASHBOARDS = ROOT / "deploy/grafana/dashboards"
COLUMNS = 24
UNITS = {"short", "s", "bytes", "reqps", "percentunit"}
# Panels that show a counter as it stands, and why that is what they want.
COUNTED_WHOLE = {
    "Broken promises": "one is as bad today as on the day it was found",
    "Calls in flight": "the difference of two counters",
}
# What recording rules have summed away has no instance.
SUMMED = {"job_project:": ("job",), "job:": ("job",)}
SAMPLE = {"$__rate_interval": "5m", "$__interval": "1m", "$__range": "6h"}
SELECTOR = re.compile(r"(?<![\w:$\"])((?:argospool|grpc_server|process|job_project:|job:|instance_project:)[\w:]*|ALERTS|up)(\{[^}]*\})?")


def every_panel(board):
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def expressions(board):
    """Where it stands, and the expression."""
    for panel in every_panel(board):
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"]
    for annotation in board["annotations"]["list"]:
        yield f"annotation {annotation['name']}", annotation["expr"]


def selectors(expr):
    """Metrics with their matchers; words inside of quotes and of `by (…)`, and the keywords, are none."""
    bare = re.sub(r"\b(?:by|on|without|ignoring)\s*\([^)]*\)", "", expr)
    for match in SELECTOR.finditer(bare):
        yield match[1], match[2] or ""


def variables(board, wrong):
    found = {each["name"]: each for each in board["templating"]["list"]}
    source = found.get("datasource", {})
    if (source.get("type"), source.get("query")) != ("datasource", "prometheus"):
        wrong("template-datasource-rule", "a variable `datasource` of Prometheus")
    for name in ("job", "instance"):
        each = found.get(name, {})
        if not each.get("multi") or not each.get("includeAll") or each.get("allValue") != ".+" or not each.get("label"):
            wrong(f"template-{name}-rule", f"a variable `{name}` that may be many, all by `.+`, with a label")
    for name, each in found.items():
        if each["type"] != "query":
            continue
        if each["datasource"].get("uid") != "${datasource}":
            wrong("template-datasource-rule", f"`{name}` asks ${{datasource}}")
        if each["refresh"] != 2:
            wrong("template-on-time-change-reload-rule", f"`{name}` is looked up when the time changes")
        if not re.fullmatch(r'label_values\([a-z_]+(\{[a-z]+=~"\$[a-z]+"\})?, [a-z]+\)', each["query"]["query"]):
            wrong("template-label-promql-rule", f"`{name}` is {each['query']['query']}")


def panels(board, wrong):
    titles, numbers, taken = set(), set(), {}
    for panel in every_panel(board):
        title = panel.get("title")
        if panel["id"] in numbers:
            wrong("our-numbers", f"{title}: the number {panel['id']} is given twice")
        numbers.add(panel["id"])
        place = panel["gridPos"]
        if place["x"] + place["w"] > COLUMNS:
            wrong("our-grid", f"{title} stands out of the grid")
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if taken.setdefault((x, y), panel["id"]) != panel["id"]:
                    wrong("our-grid", f"{title} covers another panel")
        if panel["type"] == "row":
            continue
        if not title or not panel.get("description") or len(panel["description"]) < 15:
            wrong("panel-title-description-rule", f"{title}: a title and a description")
        if title in titles:
            wrong("our-titles", f"{title} stands there twice")
        titles.add(title)
        if panel["datasource"] != {"type": "prometheus", "uid": "${datasource}"}:
            wrong("panel-datasource-rule", f"{title} asks {panel['datasource']}")
        if not panel["targets"]:
            wrong("panel-no-targets-rule", f"{title} asks nothing")
        if panel["fieldConfig"]["defaults"].get("unit") not in UNITS:
            wrong("panel-units-rule", f"{title}: unit {panel['fieldConfig']['defaults'].get('unit')}")
        for link in panel["links"]:
            page = re.fullmatch(r"\$\{runbooks\}/(\w+)\.md", link["url"])
            if not page or not (ROOT / f"deploy/runbooks/{page[1]}.md").exists():
                wrong("our-runbooks", f"{title} links to {link['url']}")
        for target in panel["targets"]:
            if panel["type"] != "table" and not target["legendFormat"]:
                wrong("our-legends", f"{title}: no legend for {target['expr']}")


def queries(board, wrong):
    for where, expr in expressions(board):
        for window in re.findall(r"(?:rate|increase|irate)\([^\[]*\[([^\]]+)\]", expr):
            if window != "$__rate_interval" and not where.startswith("annotation"):
                wrong("target-rate-interval-rule", f"{where}: [{window}]")
        metrics = list(selectors(expr))
        if not metrics:
            wrong("our-metrics", f"{where} names no metric of ours: {expr}")
        for metric, matchers in metrics:
            wanted = next((labels for prefix, labels in SUMMED.items() if metric.startswith(prefix)), ("job", "instance"))
            for label in wanted:
                if f'{label}=~"${label}"' not in matchers:
                    wrong(f"target-{label}-rule", f"{where}: {metric}{matchers}")
            if metric.endswith("_total") and where not in COUNTED_WHOLE and not re.search(r"(?:rate|increase)\(" + metric, expr):
                wrong("target-counter-agg-rule", f"{where}: {metric} without rate or increase")


def parsed(boards, wrong):
    """target-promql-rule, by Prometheus's own parser: each expression as a recording rule."""
    rules = []
    for name, board in boards.items():
        for where, expr in expressions(board):
            for variable, value in SAMPLE.items():
                expr = expr.replace(variable, value)
            expr = re.sub(r"\$\{?(\w+)\}?", ".+", expr)
            rules.append({"record": "lint:lint", "expr": expr, "labels": {"where": f"{name}: {where}", "number": str(len(rules))}})
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump({"groups": [{"name": "lint", "rules": rules}]}, file)
        file.flush()
        said = subprocess.run(["promtool", "check", "rules", "--lint=none", file.name], text=True, capture_output=True, timeout=60)
    if said.returncode or f"{len(rules)} rules found" not in said.stdout:
        wrong("target-promql-rule", said.stdout + said.stderr)
    return len(rules)


def main():
    breaches, found = [], {}
    for path in sorted(DASHBOARDS.glob("*.json")):
        board = found[path.stem] = json.loads(path.read_text())
        wrong = lambda rule, what, name=path.stem: breaches.append(f"{name}: {rule}: {what}")  # noqa: E731
        if board["editable"] is not False:
            wrong("uneditable-dashboard", "it is generated")
        if board["uid"] != f"argospool-{path.stem}" or board["id"] is not None or "argospool" not in board["tags"] or not board["description"]:
            wrong("our-identity", "uid, tag and description; the number is Grafana's to give")
        if {link["type"] for link in board["links"]} != {"dashboards", "link"} or len(board["annotations"]["list"]) < 3:
            wrong("our-links", "links to the other boards and to the runbooks, annotations for deploys and pauses")
        variables(board, wrong)
        panels(board, wrong)
        queries(board, wrong)
    if len(found) < 4:
        breaches.append("the dashboards were not read")
    asked = parsed(found, lambda rule, what: breaches.append(f"{rule}: {what}"))
    print("\n".join(breaches) or f"{len(found)} dashboards, {asked} expressions: nothing to say")
    sys.exit(bool(breaches))


if __name__ == "__main__":
    main()
