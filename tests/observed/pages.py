"""Holds what the runbooks show under "First commands" against what daemons said when each state was recorded.

Usage: pages.py [--write]. `PAGES` says for every page which commands it shows, and from which recording of `record.py` or `states.py` the
output is; a command without a recording is for the reader's own machine and shows none. Every page has at least one with output, and the
first is `argospool explain` wherever a daemon can answer. `--write` writes the blocks anew.
"""

import json
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
RUNBOOKS = HERE.parents[1] / "deploy/runbooks"

# Which recording, what was typed, and after how many minutes of an incident.
HEALTHY = [("healthy", "explain", 26), ("healthy", "status", 26)]
CAP = [("cap_eaten", "explain", 9), ("cap_eaten", "status", 9)]
FULL = [("disk_full", "explain", 14), ("disk_full", "status", 14)]
DISK_LOW = [("disk_full", "explain", 9), ("disk_full", "status", 9)]
SHORT = [("demand_above_supply", "explain", 9), ("demand_above_supply", "status", 9)]
EMPTY = [("demand_above_supply", "explain", 20), ("demand_above_supply", "status", 20)]
DRY_RUN = ("cap_eaten", "reconcile --dry-run", 11)
ARGOS = "curl -sS -o /dev/null -w '%{http_code} %{time_total}\\n' https://rest-api.argosidentity.com/v3/submission/tokens"
DISK = "df -h DATA_DIR; du -xh DATA_DIR | sort -h | tail"
DOOMED = "tokens --stage doomed --limit 5"
METRICS = "curl -s http://127.0.0.1:9464/metrics"


def state(name, *typed):
    return [(name, line, None) for line in typed]


PAGES = {
    "ArgospoolArgosDown": [("argos_down", "explain", 9), ("argos_down", "status", 9), ARGOS],
    "ArgospoolArgosErrors": state("failing", "explain", "status"),
    "ArgospoolArgosRefusesUs": [("key_revoked", "explain", 9), ("key_revoked", "status", 9), *state("refused", "preflight")],
    "ArgospoolArgosThrottled": state("throttled", "explain", "status"),
    "ArgospoolBudgetLow": state("budget", "explain", "status"),
    "ArgospoolCapNear": [*CAP, *state("backlog", DOOMED)],
    "ArgospoolCapReached": [*CAP, DRY_RUN],
    "ArgospoolClockDoubted": [*state("clock", f"{METRICS} | grep clock_skew", "explain"), "timedatectl; chronyc tracking"],
    "ArgospoolCommitStalled": [*state("stalled", "explain", "status"), "cat /proc/pressure/io; dmesg | tail -20"],
    "ArgospoolCommitsFailed": [*state("commit_failed", "explain", "status"), ("healthy", "audit", 9), "dmesg | tail -20"],
    "ArgospoolDiskFilling": [*DISK_LOW, DISK],
    "ArgospoolDiskFull": [*DISK_LOW, *FULL, DISK],
    "ArgospoolDoubtfulOrders": state("doubtful", "explain", "status"),
    "ArgospoolDown": [("killed", "status", 9), "systemctl status argospool; journalctl -u argospool -n 50"],
    "ArgospoolForeignTokens": [DRY_RUN, *CAP],
    "ArgospoolHandoutStopped": [*FULL, "curl -s http://127.0.0.1:9464/readyz?lease"],
    "ArgospoolKeyMismatch": state("mismatch", "explain", "status", "preflight"),
    "ArgospoolLeaseErrorBudgetBurn": [*EMPTY, *state("empty", f"{METRICS} | grep lease_requests_total | grep -v ' 0$'")],
    "ArgospoolLeaseLatencyBudgetBurn": [*SHORT, "argospool bench --calls 500 --rate 50"],
    "ArgospoolPanics": [("healthy", "audit", 9), "journalctl -u argospool | grep panicked"],
    "ArgospoolPaused": state("paused", "explain", "status"),
    "ArgospoolPromiseBroken": [("promise_broken", "explain", 9), ("promise_broken", "status", 9), ("promise_broken", "audit", 9)],
    "ArgospoolPurgeBacklog": state("backlog", "explain", "status", DOOMED),
    "ArgospoolReconcileBrake": state("braked", "explain", "reconcile --report", "status"),
    "ArgospoolRestarting": [*HEALTHY, "journalctl -u argospool | grep -E 'started|panicked|refus' | tail"],
    "ArgospoolSchedulerStalled": state("bell_silent", f"date +%s; {METRICS} | grep scheduler_last_run", "explain"),
    "ArgospoolStockLow": SHORT,
    "ArgospoolStockRunningOut": [("argos_down", "explain", 9), ("argos_down", "status", 9), *EMPTY],
    "ArgospoolStuckTokens": state("stuck", "explain", "status", DOOMED),
    "ArgospoolTokensHeldBack": state("held_back", "explain", "status", "reconcile"),
    "ArgospoolWebhooksRefused": state("webhooks_refused", f"{METRICS} | grep webhooks_total | grep -v ' 0$'", "explain"),
    "ArgospoolWebhooksSilent": [("webhooks_silent", "explain", 19), ("webhooks_silent", "status", 19)],
}

# Where the daemon answers nobody, or tells in its metrics and not of a project.
OTHERWISE = {"ArgospoolClockDoubted", "ArgospoolDown", "ArgospoolPanics", "ArgospoolForeignTokens", "ArgospoolSchedulerStalled", "ArgospoolWebhooksRefused"}


def said(name, typed, minute):
    if minute is None:
        return json.loads((HERE / f"recorded/states/{name}.json").read_text())[typed]
    return json.loads((HERE / f"recorded/{name}.json").read_text())["said"][f"{typed} after {minute} min"]


def block(shown):
    lines = []
    for one in shown:
        if isinstance(one, str):
            lines.append(f"$ {one}")
            continue
        typed = one[1] if one[1].startswith(("curl", "date")) else f"argospool {one[1]}"
        lines.append(f"$ {typed}")
        lines.extend(said(*one).rstrip("\n").splitlines())
    return "```console\n" + "\n".join(lines) + "\n```"


def main(write):
    wrong = []
    there = {path.stem for path in RUNBOOKS.glob("Argospool*.md")}
    wrong += [f"{name}: on one side only" for name in sorted(there ^ PAGES.keys())]
    for name in sorted(there & PAGES.keys()):
        shown = PAGES[name]
        if all(isinstance(one, str) for one in shown):
            wrong.append(f"{name}: no command has output")
        if name not in OTHERWISE and (isinstance(shown[0], str) or shown[0][1] != "explain"):
            wrong.append(f"{name}: its first command is not `argospool explain`")
        path = RUNBOOKS / f"{name}.md"
        text = path.read_text()
        fresh = re.sub(r"(## First commands\n\n).*?(\n\n## What to do)", lambda found: found[1] + block(shown) + found[2], text, flags=re.S)
        if write:
            path.write_text(fresh)
        elif fresh != text:
            wrong.append(f"{name}.md does not show what was said: run tests/observed/pages.py --write")
    print("\n".join(wrong) or f"{len(PAGES)} pages show what daemons said")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main("--write" in sys.argv[1:])
