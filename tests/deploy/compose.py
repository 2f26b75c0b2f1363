"""deploy/compose/ is what its readers take: compose, Prometheus, Alertmanager, Grafana and the daemon.

Usage: compose.py PATH-TO-ARGOSPOOL. Files are laid as the volumes would mount them, and judged by promtool, amtool
and the schema of compose; what names something in another file must find it there. Nothing listens.
"""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import yaml

from scene import ROOT, environment

COMPOSE = ROOT / "deploy" / "compose" / "compose.yaml"
PROMETHEUS = ROOT / "deploy" / "prometheus"


def run(*command, **options):
    ran = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=60, **options)
    assert ran.returncode == 0, f"{command}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


def laid(service, scratch):
    """The files that a service is given, where it finds them below a directory."""
    for mount in service["volumes"]:
        source, target = mount.split(":")[:2]
        if not source.startswith("."):
            continue
        source, place = (COMPOSE.parent / source).resolve(), scratch / target.lstrip("/")
        assert source.exists(), f"there is no {source.relative_to(ROOT)}"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(source, place) if source.is_dir() else shutil.copy(source, place)
    return scratch


def argument(service, name):
    """The value of --name=value."""
    [value] = [word.partition("=")[2] for word in service["command"] if word.startswith(f"--{name}=")]
    return value


def ports(services):
    """The port that a service answers on in the network of the others, by its name."""
    return {name: {port.split(":")[2] for port in service.get("ports", [])} for name, service in services.items()}


def main(binary, scratch):
    run(pathlib.Path(sys.executable).parent / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", COMPOSE)
    compose = yaml.safe_load(COMPOSE.read_text())
    services, known = compose["services"], ports(compose["services"])

    for name, service in services.items():
        assert ":" in service["image"] and not service["image"].endswith(":latest"), f"{name} is not pinned"
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            assert source.startswith(".") or source in compose["volumes"], f"{name}: no volume {source}"
    used = {mount.split(":")[0] for service in services.values() for mount in service.get("volumes", [])}
    assert not set(compose["volumes"]) - used, "a volume is nobody's"

    def there(address, who):
        host, _, port = address.rpartition(":")
        assert host == "127.0.0.1" or port in known.get(host, ()), f"{who} asks {address}, where nobody is"

    prometheus, here = services["prometheus"], laid(services["prometheus"], scratch / "prometheus")
    file = here / argument(prometheus, "config.file").lstrip("/")
    told = run("promtool", "check", "config", file)
    config = yaml.safe_load(file.read_text())
    rules = {(file.parent / rule).resolve() for rule in config["rule_files"]}
    ours = sorted(path.name for path in PROMETHEUS.glob("*.yml") if "groups" in (yaml.safe_load(path.read_text()) or {}))
    assert ours == sorted(path.name for path in rules), f"Prometheus reads other rules than {ours}"
    assert "2 rule files found" in told, told
    for job in config["scrape_configs"]:
        for target in job["static_configs"][0]["targets"]:
            there(target, f"job {job['job_name']}")
    for target in config["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"]:
        there(target, "Prometheus")

    alertmanager, here = services["alertmanager"], laid(services["alertmanager"], scratch / "alertmanager")
    run("amtool", "check-config", here / argument(alertmanager, "config.file").lstrip("/"))

    grafana, here = services["grafana"], laid(services["grafana"], scratch / "grafana")
    provisioning = here / "etc/grafana/provisioning"
    [source] = yaml.safe_load((provisioning / "datasources/argospool.yml").read_text())["datasources"]
    there(source["url"].removeprefix("http://"), "Grafana")
    [provider] = yaml.safe_load((provisioning / "dashboards/argospool.yml").read_text())["providers"]
    boards = sorted((here / provider["options"]["path"].lstrip("/")).glob("*.json"))
    assert boards, "Grafana is given no dashboard"
    uids = [json.loads(path.read_text())["uid"] for path in boards]
    assert len(set(uids)) == len(uids), uids

    daemon, here = services["argospool"], laid(services["argospool"], scratch / "argospool")
    asked = daemon["command"]
    assert asked[:2] == ["serve", "--config"], asked
    said = run(binary, "config", "check", "--config", here / asked[2].lstrip("/"), "--output", "json",
               env=environment(**daemon["environment"]))  # fmt: skip
    warnings = json.loads(said)["warnings"]
    assert len(warnings) == 1 and warnings[0].startswith("grpc.insecure"), f"the only thing to say is that it is a trial: {warnings}"
    print(f"{len(services)} services, {len(boards)} dashboards, {len(rules)} files of rules")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        main(sys.argv[1], pathlib.Path(directory))
