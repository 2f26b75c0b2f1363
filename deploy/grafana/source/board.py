"""What a dashboard is made of: the pieces of Grafana's classic schema that ours use, and nothing else.

A panel is a dictionary as Grafana keeps it, with one key of our own that `build.py` takes out: `size` is its width and height in a grid of
24 columns. What has nothing to show on a good day says so in words of its own (`no_value`).
"""

SCHEMA_VERSION = 42
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# Everything of one project, and everything of one process.
PROJECT = 'job=~"$job", instance=~"$instance", project=~"$project"'
PROCESS = 'job=~"$job", instance=~"$instance"'
# What recording rules sum over the daemons of a job.
SUMMED = 'job=~"$job", project=~"$project"'

GREEN, YELLOW, ORANGE, RED, BLUE, GREY, PURPLE = "green", "yellow", "orange", "red", "blue", "text", "purple"


def steps(*pairs):
    """Thresholds: the colour below the first value, then pairs of value and colour."""
    first, *rest = pairs
    found = [{"color": first, "value": None}] + [{"color": color, "value": value} for value, color in rest]
    return {"mode": "absolute", "steps": found}


def query(expr, legend="", *, instant=False, table=False):
    return {"expr": expr, "legendFormat": legend, "instant": instant or table, "range": not (instant or table),
            "format": "table" if table else "time_series"}


def _link(kind, title, url="", *, tags=(), tooltip=""):
    """To another page in a page of its own, or to every board of a tag, which keeps variables and time."""
    boards = kind == "dashboards"
    return {"type": kind, "title": title, "url": url, "tags": list(tags), "tooltip": tooltip, "icon": "external link" if boards else "doc",
            "asDropdown": False, "includeVars": boards, "keepTime": boards, "targetBlank": not boards}


def _panel(kind, title, description, queries, unit, size, *, runbook=None, thresholds=None, mappings=(),
           low=None, high=None, decimals=None, overrides=(), no_value="no data", custom=None, options=None):
    defaults = {"unit": unit, "noValue": no_value, "mappings": list(mappings), "thresholds": thresholds or steps(GREEN)}
    defaults["color"] = {"mode": "thresholds" if kind in ("stat", "table") else "palette-classic"}
    defaults["custom"] = custom or {}
    for name, value in (("min", low), ("max", high), ("decimals", decimals)):
        if value is not None:
            defaults[name] = value
    targets = []
    for place, each in enumerate(queries):
        common = {"refId": chr(ord("A") + place), "datasource": DATASOURCE, "editorMode": "code", "exemplar": False}
        targets.append(common | each)
    links = [_link("link", f"Runbook {runbook}", "${runbooks}/" + runbook + ".md")] if runbook else []
    return {
        "type": kind, "title": title, "description": description, "datasource": DATASOURCE, "targets": targets, "links": links,
        "fieldConfig": {"defaults": defaults, "overrides": list(overrides)}, "options": options or {}, "transparent": False,
        "size": size,
    }


def value_words(words):
    """Says values in words: {0: ("NO", RED)}."""
    options = {str(value): {"text": text, "color": color, "index": place} for place, (value, (text, color)) in enumerate(words.items())}
    return [{"type": "value", "options": options}]


def colored(name, color, *, dashed=False, width=None, axis=None):
    """One series in a colour of its own, found by its whole name; `axis` moves it to the right."""
    properties = [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}]
    if dashed:
        properties += [{"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}}, {"id": "custom.fillOpacity", "value": 0}]
    if width:
        properties.append({"id": "custom.lineWidth", "value": width})
    if axis:
        properties += [{"id": "custom.axisPlacement", "value": "right"}, {"id": "unit", "value": axis}]
    return {"matcher": {"id": "byRegexp", "options": f"/{name}/"}, "properties": properties}


def stat(title, description, queries, unit, *, width=3, text="auto", graph=True, **more):
    # Without a graph only this moment counts: over a range the last value of a series that has ended would still be shown.
    queries = [each if graph else each | {"instant": True, "range": False} for each in queries]
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "background", "textMode": text,
               "graphMode": "area" if graph else "none", "justifyMode": "auto", "orientation": "auto", "wideLayout": True}
    return _panel("stat", title, description, queries, unit, (width, more.pop("height", 4)), options=options, **more)


def series(title, description, queries, unit, *, width=12, height=8, stacked=False, lines=False, log=False, **more):
    """Time series; `lines` draws the thresholds into it, `log` shows minutes beside days."""
    custom = {"drawStyle": "line", "lineInterpolation": "linear", "lineWidth": 1, "fillOpacity": 30 if stacked else 8,
              "showPoints": "never", "spanNulls": False, **({} if log else {"axisSoftMin": 0}),
              "scaleDistribution": {"type": "log", "log": 10} if log else {"type": "linear"},
              "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
              "thresholdsStyle": {"mode": "line" if lines else "off"}}
    options = {"legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    return _panel("timeseries", title, description, queries, unit, (width, height), custom=custom, options=options, **more)


def timeline(title, description, queries, *, width=12, height=6, words, **more):
    """Which of several states holds, over time."""
    options = {"mergeValues": True, "showValue": "never", "alignValue": "left", "rowHeight": 0.8,
               "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
               "tooltip": {"mode": "single", "sort": "none"}}
    custom = {"lineWidth": 0, "fillOpacity": 80}
    return _panel("state-timeline", title, description, queries, "short", (width, height), mappings=value_words(words), custom=custom,
                  options=options, **more)


def table(title, description, queries, columns, *, unit="short", width=12, height=6, **more):
    """The labels and values of instant queries; `columns` maps a label, or `Value`, to its heading, in their order."""
    hidden = ("Time", "__name__", "job", "instance", "alertstate", "Value")
    panel = _panel("table", title, description, queries, unit, (width, height), custom={"align": "auto", "filterable": False},
                   options={"showHeader": True, "cellHeight": "sm"}, **more)
    panel["transformations"] = [{"id": "organize", "options": {
        "excludeByName": {name: True for name in hidden if name not in columns},
        "indexByName": {name: place for place, name in enumerate(columns)},
        "renameByName": dict(columns),
    }}]
    return panel


def row(title, panels, *, collapsed=False):
    return {"title": title, "panels": panels, "collapsed": collapsed}


def _variable(name, label, look_up, *, multi=True):
    found = {
        "name": name, "label": label, "type": "query", "datasource": DATASOURCE, "definition": look_up, "refresh": 2, "sort": 1,
        "query": {"query": look_up, "refId": f"Variable-{name}"}, "hide": 0, "multi": multi, "includeAll": multi,
        "options": [], "regex": "", "skipUrlSync": False,
    }
    if multi:
        found |= {"allValue": ".+", "current": {"text": "All", "value": "$__all", "selected": True}}
    else:
        found["current"] = {}
    return found


def variables(one_project=False):
    """The same on every board, so that links carry them over."""
    return [
        {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "hide": 0, "regex": "", "refresh": 1,
         "current": {}, "options": [], "multi": False, "includeAll": False, "skipUrlSync": False},
        _variable("job", "Job", "label_values(argospool_build_info, job)"),
        _variable("instance", "Instance", 'label_values(argospool_build_info{job=~"$job"}, instance)'),
        _variable("project", "Project", 'label_values(argospool_leasable_tokens{job=~"$job"}, project)', multi=not one_project),
        {"name": "runbooks", "label": "Runbooks at", "type": "textbox", "query": "http://localhost:8000/runbooks", "hide": 2,
         "current": {"text": "http://localhost:8000/runbooks", "value": "http://localhost:8000/runbooks"}, "options": [],
         "skipUrlSync": False},
    ]


def _annotation(name, color, expr, title, *, enable=True):
    return {"name": name, "datasource": DATASOURCE, "enable": enable, "hide": False, "iconColor": color, "expr": expr, "titleFormat": title,
            "textFormat": "", "step": "60s", "useValueForTime": False}


# Reasons for a bend in a line that stand outside of the line.
ANNOTATIONS = [
    _annotation("Deploys", BLUE, f"argospool_build_info{{{PROCESS}}} unless on (job, instance, version, revision) "
                f"argospool_build_info{{{PROCESS}}} offset 2m", "{{version}} ({{revision}}) on {{instance}}"),
    _annotation("Restarts", GREY, f"changes(process_start_time_seconds{{{PROCESS}}}[2m]) > 0", "{{instance}} started"),
    _annotation("Pauses", PURPLE, f"argospool_paused{{{PROJECT}}} == 1", "{{activity}} of {{project}} is paused"),
    _annotation("Pages", RED, f'ALERTS{{{PROCESS}, alertname=~"Argospool.*", alertstate="firing", severity="page"}}',
                "{{alertname}} {{project}}"),
]


def board(name, title, description, rows, *, one_project=False):
    """A whole dashboard. The links find the others by their tag, so a new one joins by itself."""
    return {
        "id": None, "uid": f"argospool-{name}", "title": title, "description": description, "tags": ["argospool"], "version": 1,
        "schemaVersion": SCHEMA_VERSION, "editable": False, "graphTooltip": 1, "refresh": "30s", "timezone": "", "weekStart": "",
        "fiscalYearStartMonth": 0, "time": {"from": "now-6h", "to": "now"}, "timepicker": {}, "liveNow": False,
        "templating": {"list": variables(one_project)}, "annotations": {"list": ANNOTATIONS},
        "links": [_link("dashboards", "argospool", tags=["argospool"]),
                  _link("link", "Runbooks", "${runbooks}", tooltip="What to do about each alert")],
        "rows": rows,
    }
