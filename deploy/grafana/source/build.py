"""Writes the dashboards, or says which of them are not what their source makes.

Usage: build.py [--check]. The boards are deploy/grafana/source/{overview,project,argos,slo}.py; what they are written to is
deploy/grafana/dashboards/<name>.json, for provisioning and for import alike.
"""

import json
import pathlib
import sys

import argos
import overview
import project
import slo

DASHBOARDS = pathlib.Path(__file__).resolve().parents[1] / "dashboards"
COLUMNS = 24


def boards():
    """Every board by the name of its file, as its source describes it."""
    return {"overview": overview.BOARD, "project": project.BOARD, "argos": argos.BOARD, "slo": slo.BOARD}


def panels(board):
    """Its panels in reading order."""
    for row in board["rows"]:
        yield from row["panels"]


def laid_out(board):
    """As Grafana keeps it: rows become panels, every panel has its place and its number."""
    found, down, number = [], 0, 1
    for row in board["rows"]:
        head = {"type": "row", "title": row["title"], "collapsed": row["collapsed"], "panels": []}
        head |= {"id": number, "gridPos": {"x": 0, "y": down, "w": COLUMNS, "h": 1}}
        number += 1
        down += 1
        across, tallest, inside = 0, 0, []
        for panel in row["panels"]:
            width, height = panel["size"]
            if across + width > COLUMNS:
                down, across, tallest = down + tallest, 0, 0
            place = {"x": across, "y": down, "w": width, "h": height}
            inside.append({"id": number, "gridPos": place} | {key: value for key, value in panel.items() if key != "size"})
            number += 1
            across, tallest = across + width, max(tallest, height)
        down += tallest
        # What is in a collapsed row belongs to it; what is in an open one stands behind it.
        head["panels"] = inside if row["collapsed"] else []
        found += [head] if row["collapsed"] else [head, *inside]
    return {key: value for key, value in board.items() if key != "rows"} | {"panels": found}


def main(check):
    stale = []
    for name, board in boards().items():
        text = json.dumps(laid_out(board), indent=2, ensure_ascii=False) + "\n"
        path = DASHBOARDS / f"{name}.json"
        if check:
            if not path.exists() or path.read_text() != text:
                stale.append(path.name)
        else:
            DASHBOARDS.mkdir(exist_ok=True)
            path.write_text(text)
    strangers = sorted(path.name for path in DASHBOARDS.glob("*") if path.stem not in boards())
    if stale or strangers:
        raise SystemExit(f"run deploy/grafana/source/build.py: stale {stale}, without a source {strangers}")


if __name__ == "__main__":
    main("--check" in sys.argv[1:])
