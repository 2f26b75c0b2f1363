"""Rules, alerts, runbooks and their tests, held against each other and against the daemon's words.

Usage: rules.py, with PyYAML and promtool at hand. Says everything that is wrong before it ends with 1.
"""

import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RUNBOOKS = ROOT / "deploy/runbooks"
SECTIONS = ["What it means", "What users feel", "First commands", "What to do", "When to stop worrying"]
ANNOTATIONS = {"summary", "description", "runbook_url", "dashboard_url"}

# Reasons that count against the objective of availability, and those that do not because the caller is at fault or a person ordered it.
# A new reason belongs into one of the two before it can reach anybody.
OURS = """pool_empty cap_reached mailbox_full waiting_full starting draining argos_down argos_key_refused argos_address_refused
          ledger_unavailable halted commit_doubtful internal""".split()
NOT_OURS = """caller_quota invalid_request request_id_reused project_not_found resume_too_old identity_missing identity_unknown
              not_allowed paused""".split()
# Never the answer to CreateLease or BatchCreateLeases.
ELSEWHERE = "lease_not_found lease_started lease_closed lease_replaced not_listed".split()
CODES = {"Invalid": "InvalidArgument", "NotFound": "NotFound", "Conflict": "FailedPrecondition", "Reused": "AlreadyExists",
         "OutOfRange": "OutOfRange", "Exhausted": "ResourceExhausted", "Unidentified": "Unauthenticated", "Denied": "PermissionDenied",
         "Unavailable": "Unavailable",
         "Doubtful": "Unknown", "Bug": "Internal"}


def alerts():
    text = (PROMETHEUS / "alerts.yml").read_text()
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def labelled(found, wrong):
    """Each alert says how bad it is, what it is about, and where to read on; each of the places is there."""
    boards = {path.stem for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")}
    for rule in found:
        name = rule["alert"]
        if not name.startswith("Argospool") or rule["labels"].get("severity") not in ("page", "ticket"):
            wrong.append(f"{name}: a name that begins with Argospool, and severity page or ticket")
        if set(rule["annotations"]) != ANNOTATIONS:
            wrong.append(f"{name}: annotations are {sorted(rule['annotations'])}")
            continue
        if rule["annotations"]["runbook_url"] != "{{ $externalLabels.runbooks_url }}/" + name + ".md":
            wrong.append(f"{name}: its runbook is {rule['annotations']['runbook_url']}")
        board = re.fullmatch(r"\{\{ \$externalLabels.grafana_url \}\}/d/argospool-([a-z]+)\?var-(job|instance|project)=\{\{ \$labels.\2 \}\}",
                             rule["annotations"]["dashboard_url"])
        if not board or board[1] not in boards:
            wrong.append(f"{name}: its dashboard is {rule['annotations']['dashboard_url']}")


def written(found, wrong):
    """One page for each alert, with every section, and a command that can be typed."""
    names = {rule["alert"] for rule in found}
    pages = {path.stem: path.read_text() for path in RUNBOOKS.glob("Argospool*.md")}
    wrong += [f"{name} has no runbook" for name in sorted(names - pages.keys())]
    wrong += [f"{name}.md belongs to no alert" for name in sorted(pages.keys() - names)]
    index = (RUNBOOKS / "README.md").read_text()
    wrong += [f"{name} is not in the list of runbooks" for name in sorted(names) if f"({name}.md)" not in index]
    for name, text in pages.items():
        if not text.startswith(f"# {name}\n") or re.findall(r"^## (.*)$", text, re.M) != SECTIONS:
            wrong.append(f"{name}.md: a title and the sections {SECTIONS}")
        first = text.partition("## First commands")[2].partition("## What to do")[0]
        if "```console\n$ " not in first:
            wrong.append(f"{name}.md: its first commands are none")
        wrong += [f"{name}.md links to {link}, which is not there" for link in re.findall(r"\]\(([A-Za-z]+\.md)\)", text)
                  if not (RUNBOOKS / link).exists()]


def configured(wrong):
    """Settings that runbooks name, such as `lease.ttl_max`, are settings."""
    section, known = "", set()
    for line in (ROOT / "tests/golden/argospool.example.toml").read_text().splitlines():
        head, setting = re.match(r"#? ?\[(?:projects\.default\.)?([\w.]+)\]", line), re.match(r"#? ?(\w+) += ", line)
        section = head[1] if head else section
        if setting:
            known.add(f"{section}.{setting[1]}" if section else setting[1])
    sections = {name.split(".")[0] for name in known if "." in name}
    assert len(known) > 80, "the settings were not read"
    for path in sorted(RUNBOOKS.glob("*.md")):
        for section, key in re.findall(r"`(\w+)\.(\w+)`", path.read_text()):
            if section in sections and f"{section}.{key}" not in known:
                wrong.append(f"{path.name}: there is no setting {section}.{key}")


def tested(found, wrong):
    """Each alert has a test in which it fires and one in which it stays silent."""
    fires, silent = set(), set()
    for path in (PROMETHEUS / "tests").glob("*.yml"):
        for test in yaml.safe_load(path.read_text())["tests"]:
            for case in test["promql_expr_test"]:
                samples = [sample["labels"] for sample in case.get("exp_samples", [])]
                fires |= set(re.findall(r'alertname="(\w+)", severity="(\w+)"', " ".join(samples)))
                quiet = re.search(r'alertname="(\w+)", alertstate="firing"(?:, severity="(\w+)")?', case["expr"])
                if quiet and not samples:
                    silent |= {(quiet[1], severity) for severity in ([quiet[2]] if quiet[2] else ["page", "ticket"])}
    for rule in found:
        key = (rule["alert"], rule["labels"]["severity"])
        wrong += [f"{key}: no test in which it {what}" for what, some in (("fires", fires), ("stays silent", silent)) if key not in some]


def counted(wrong):
    """The objective leaves out what it says it leaves out, for every reason that the daemon knows."""
    text = (ROOT / "src/domain/fault.rs").read_text()
    reasons = re.findall(r'= "[A-Z_]+", "([a-z_]+)", (\w+);', text)
    if len(reasons) < 20:
        wrong.append("the reasons in src/domain/fault.rs were not read")
    known = {*OURS, *NOT_OURS, *ELSEWHERE}
    wrong += [f"reason {reason} is neither ours nor the caller's" for reason, _ in reasons if reason not in known]
    rules = (PROMETHEUS / "rules.yml").read_text()
    selectors = re.findall(r'code!~"([^"]*)",\s*reason!~"([^"]*)"', rules)
    if len(set(selectors)) != 1:
        wrong.append(f"rules leave out different answers: {set(selectors)}")
        return
    codes, left_out = selectors[0]
    for reason, kind in reasons:
        counts = not re.fullmatch(codes, CODES[kind]) and not re.fullmatch(left_out, reason)
        if reason in OURS and not counts or reason in NOT_OURS and counts:
            wrong.append(f"reason {reason} {'counts' if counts else 'does not count'} against the objective")


def promtool(wrong, *arguments):
    said = subprocess.run(["promtool", *arguments], text=True, capture_output=True, timeout=120)
    if said.returncode:
        wrong.append(f"promtool {' '.join(arguments)}\n{said.stdout}{said.stderr}")


def main():
    wrong, found = [], alerts()
    labelled(found, wrong)
    written(found, wrong)
    tested(found, wrong)
    counted(wrong)
    configured(wrong)
    promtool(wrong, "check", "rules", "--lint=all", "--lint-fatal", str(PROMETHEUS / "rules.yml"), str(PROMETHEUS / "alerts.yml"))
    promtool(wrong, "check", "config", str(PROMETHEUS / "prometheus.yml"))
    for path in sorted((PROMETHEUS / "tests").glob("*.yml")):
        promtool(wrong, "test", "rules", str(path))
    print("\n".join(wrong) or f"{len(found)} alerts, each with its runbook, its links and its tests")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
