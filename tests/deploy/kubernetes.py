"""deploy/kubernetes/ renders, is valid, agrees with itself, and its daemons start as they are configured there.

Usage: kubernetes.py PATH-TO-ARGOSPOOL, or kubernetes.py --write, which makes the PrometheusRule anew of the rules in
deploy/prometheus/. kubectl renders; there is no cluster. Needs root, to be the users of the pods.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
import urllib.parse

import yaml

from scene import KEY, ROOT, Scene, against, environment, get, settings, status, until

KUBERNETES = ROOT / "deploy" / "kubernetes"
RULE = KUBERNETES / "base" / "prometheusrule.yaml"
TOOLS = pathlib.Path(sys.executable).parent
# The oldest that has native sidecars by default, and the newest that the schemas know.
VERSIONS = ("1.29", "1.33", "1.37")
OPERATED = ("PodMonitor", "PrometheusRule")


def run(*command, **options):
    ran = subprocess.run([str(word) for word in command], text=True, capture_output=True, timeout=120, **options)
    assert ran.returncode == 0, f"{command[:3]}: {ran.returncode}\n{ran.stdout}{ran.stderr}"
    return ran.stdout


# The rules, of which there is one source.


def prometheus_rule():
    class Readable(yaml.SafeDumper):
        pass

    def text(dumper, value):
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)

    Readable.add_representer(str, text)
    files = [ROOT / "deploy" / "prometheus" / name for name in ("rules.yml", "alerts.yml")]
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "argospool"},
        "spec": {"groups": groups},
    }
    head = "# Made of deploy/prometheus/*.yml by tests/deploy/kubernetes.py --write.\n"
    return head + yaml.dump(rule, Dumper=Readable, sort_keys=False, width=120)


# What was rendered, and how one object names another.


class Rendered:
    def __init__(self, directory, scratch):
        self.name = directory.name
        self.text = run(TOOLS / "kubectl", "kustomize", directory)
        self.objects = list(yaml.safe_load_all(self.text))
        native = [item for item in self.objects if item["kind"] not in OPERATED]
        file = scratch / f"{self.name}.yaml"
        file.write_text(yaml.safe_dump_all(native))
        for version in VERSIONS:
            run(TOOLS / "kubernetes-validate", "--strict", "--quiet", "-k", version, file)

    def of(self, kind):
        return [item for item in self.objects if item["kind"] == kind]

    def only(self, kind, name=None):
        [item] = [item for item in self.of(kind) if name in (None, item["metadata"]["name"])]
        return item

    @property
    def workload(self):
        [item] = self.of("StatefulSet") + self.of("Deployment")
        return item

    @property
    def pod(self):
        return self.workload["spec"]["template"]["spec"]

    @property
    def containers(self):
        return [*self.pod.get("initContainers", []), *self.pod["containers"]]

    @property
    def daemon(self):
        [container] = [container for container in self.containers if container["name"] == "argospool"]
        return container

    @property
    def configuration(self):
        """argospool.toml as the pod mounts it."""
        [name] = [volume["configMap"]["name"] for volume in self.pod["volumes"] if "configMap" in volume]
        return self.only("ConfigMap", name)["data"]["argospool.toml"]


def agrees(rendered):
    """Names lead somewhere, and pods may do no more than they need."""
    labels = rendered.workload["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"] for container in rendered.containers for port in container.get("ports", [])}
    numbers = {port["containerPort"] for container in rendered.containers for port in container.get("ports", [])}

    def meant(selector, who):
        assert selector.items() <= labels.items(), f"{who} means no pod: {selector}"

    meant(rendered.workload["spec"]["selector"]["matchLabels"], "the workload")
    for service in rendered.of("Service"):
        meant(service["spec"]["selector"], "Service")
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports, f"Service: {ports}"
    for policy in rendered.of("NetworkPolicy"):
        meant(policy["spec"]["podSelector"]["matchLabels"], "NetworkPolicy")
        asked = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        assert asked == ports, f"NetworkPolicy opens {asked} of {ports}"
    for monitor in rendered.of("PodMonitor"):
        meant(monitor["spec"]["selector"]["matchLabels"], "PodMonitor")
        assert {end["port"] for end in monitor["spec"]["podMetricsEndpoints"]} <= ports, f"PodMonitor: {ports}"
    for budget in rendered.of("PodDisruptionBudget"):
        meant(budget["spec"]["selector"]["matchLabels"], "PodDisruptionBudget")
    for scaler in rendered.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == (rendered.workload["kind"], rendered.workload["metadata"]["name"]), target

    pod = rendered.pod["securityContext"]
    assert pod["runAsNonRoot"] and pod["seccompProfile"] == {"type": "RuntimeDefault"} and pod["fsGroup"]
    assert rendered.pod["automountServiceAccountToken"] is False
    volumes = {volume["name"] for volume in rendered.pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in rendered.workload["spec"].get("volumeClaimTemplates", [])}
    for container in rendered.containers:
        own = container["securityContext"]
        assert own["readOnlyRootFilesystem"] and not own["allowPrivilegeEscalation"] and own["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["requests"] and container["resources"]["limits"]["memory"], container["name"]
        assert not container["image"].endswith(":latest") and ":" in container["image"], container["image"]
        for mount in container.get("volumeMounts", []):
            assert mount["name"] in volumes, f"{container['name']} mounts {mount['name']}"
    for volume in rendered.pod["volumes"]:
        if "secret" in volume:
            assert volume["secret"]["defaultMode"] & 0o007 == 0, "everybody could read the secrets"
    grace = rendered.pod["terminationGracePeriodSeconds"]
    stop = int(tomllib.loads(rendered.configuration).get("stop_grace", "25s").removesuffix("s"))
    assert grace > stop, f"{grace} s are over before stop_grace is"
    assert "webhook" not in rendered.configuration or 8080 in numbers


# The daemon as the pod would run it.


class Pod:
    """Directories instead of volumes, with the rights that the kubelet gives them."""

    def __init__(self, scene, rendered):
        self.scene, self.rendered = scene, rendered
        self.place = scene.scratch / f"pod-{rendered.name}"
        pod, own = rendered.pod["securityContext"], rendered.daemon["securityContext"]
        self.user = own.get("runAsUser", pod.get("runAsUser"))
        self.group = own.get("runAsGroup", pod.get("runAsGroup"))
        self.shared = pod["fsGroup"]
        for mount in rendered.daemon["volumeMounts"]:
            directory = self.place / mount["mountPath"].lstrip("/")
            directory.mkdir(parents=True)
            os.chown(directory, 0, self.shared)
            directory.chmod(0o2777)
        text = rendered.configuration
        (self.place / "etc/argospool/argospool.toml").write_text(re.sub(r'"(/(?:run|var)/)', rf'"{self.place}\1', text))
        secrets = self.place / "run/secrets/argospool"
        names = sorted(set(re.findall(r'"/run/secrets/argospool/([a-z-]+)"', text)))
        for name in names:
            file = secrets / name
            file.write_text(KEY if name == "api-key" else f"made-up-secret-of-{name}")
            file.chmod(0o440)
            os.chown(file, 0, self.shared)
        self.secrets = names

    def become(self, user=None, group=None):
        def become():
            os.setgroups([self.shared])
            os.setgid(group or self.group)
            os.setuid(user or self.user)

        return {"preexec_fn": become, "cwd": "/"}

    @property
    def variables(self):
        said = {item["name"]: item["value"] for item in self.rendered.daemon.get("env", [])}
        return environment(STATE_DIRECTORY=str(self.place / "var/lib/argospool/data"), **said)

    def command(self, *more):
        arguments = self.rendered.daemon["args"]
        assert arguments[:2] == ["serve", "--config"] and len(arguments) == 3, arguments
        return ["--config", f"{self.place}{arguments[2]}", *more]

    def check(self):
        """Nothing wrong, and nothing to warn of."""
        told = run(self.scene.binary, "config", "check", *self.command(), "--output", "json", env=self.variables, **self.become())
        warnings = json.loads(told)["warnings"]
        assert not warnings, warnings

    def start(self, api, **listeners):
        here = {**against(api), **listeners}
        return self.scene.start(self.scene.binary, "serve", *self.command(*settings(here)), env=self.variables, **self.become())

    def addresses(self):
        file = self.place / "var/lib/argospool/data/addresses.json"
        return until("addresses are written", lambda: json.loads(file.read_text()))

    def probed(self, http):
        """Every probe of the daemon passes, at the port that it names."""
        [port] = [port["containerPort"] for port in self.rendered.daemon["ports"] if port["name"].endswith("http")]
        assert f'listen = "0.0.0.0:{port}"' in self.rendered.configuration.split("[http]")[1].split("\n[")[0], "the port of the probes"
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            asked = self.rendered.daemon[probe]["httpGet"]
            assert asked["port"].endswith("http"), asked
            until(f"{probe} passes", lambda: get(http, asked["path"])[0] == 200, 30)

    def ends(self, process):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=self.rendered.pod["terminationGracePeriodSeconds"]) == 0, "SIGTERM ends with 0"


def base_runs(scene, rendered):
    pod = Pod(scene, rendered)
    written = (KUBERNETES / "README.md").read_text()
    for name in pod.secrets:
        assert f"`{name}`" in written and f"--from-file={name}" in (KUBERNETES / "base/kustomization.yaml").read_text(), name
    pod.check()
    api = scene.simulator()
    process = pod.start(api, **{"grpc.listen": "127.0.0.1:0", "http.listen": "127.0.0.1:0", "webhook.listen": "127.0.0.1:0"})
    addresses = pod.addresses()
    pod.probed(addresses["http"])
    token = lambda name: ("--address", addresses["grpc"], "--token-file", pod.place / "run/secrets/argospool" / name)  # noqa: E731
    until("the pool is filled", lambda: status(scene, *token("caller-ops"))["projects"][0]["can_lease"])
    assert scene.argospool("lease", "--url-only", *token("caller-kyc-web")).startswith("http")
    denied = subprocess.run([scene.binary, "status", *token("caller-kyc-web")], capture_output=True, timeout=30)
    assert denied.returncode == 3, "a caller is no admin"
    assert get(addresses["webhook"], "/metrics")[0] == 404, "the ingress does not show the metrics"
    pod.ends(process)


def sidecar_runs(scene, rendered):
    pod = Pod(scene, rendered)
    pod.check()
    assert rendered.daemon["restartPolicy"] == "Always" and rendered.daemon in rendered.pod["initContainers"]
    [service] = rendered.pod["containers"]
    mounts = {container["name"]: {mount["mountPath"] for mount in container["volumeMounts"]} for container in rendered.containers}
    address = service["env"][0]["value"].removeprefix("unix:")
    assert str(pathlib.Path(address).parent) in mounts["argospool"] & mounts[service["name"]], "both see the socket"
    assert "/run/secrets/argospool" not in mounts[service["name"]], "the key is the daemon's alone"
    api = scene.simulator()
    process = pod.start(api, **{"http.listen": "127.0.0.1:0"})
    http = pod.addresses()["http"]
    pod.probed(http)
    here = ("--address", f"unix:{pod.place}{address}")
    identity = service["securityContext"]
    user = pod.become(identity["runAsUser"], identity["runAsGroup"])
    url = scene.argospool("lease", "--url-only", *here, **user).strip()
    assert url.startswith("http"), "the service leases"
    [leased] = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["token"]
    denied = subprocess.run([scene.binary, "status", *here], capture_output=True, timeout=30, **user)
    assert denied.returncode == 3, "the service is no admin"
    # As with kubectl exec, which gives a command the variables of its container.
    inside = {**pod.variables, "ARGOSPOOL_ADDRESS": pod.variables["ARGOSPOOL_ADDRESS"].replace("unix:", f"unix:{pod.place}")}
    scene.argospool("status", env=inside, **pod.become())

    # The autoscaler's metric is one that the daemon has, and a query that Prometheus takes.
    [adapted] = yaml.safe_load((KUBERNETES / "examples/sidecar-trial/prometheus-adapter-rules.yaml").read_text())
    [metric] = rendered.only("HorizontalPodAutoscaler")["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == adapted["name"]["as"]
    series = adapted["seriesQuery"].partition("{")[0]
    assert f"\n{series}{{" in get(http, "/metrics")[1], f"the daemon has no {series}"
    query = adapted["metricsQuery"].replace("<<.Series>>", series).replace("<<.LabelMatchers>>", 'pod="a"').replace("<<.GroupBy>>", "pod")
    rules = scene.scratch / "adapter.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "adapter", "rules": [{"record": "a:b", "expr": query}]}]}))
    run("promtool", "check", "rules", rules)
    pod.ends(process)
    assert present(api) == {leased}, "what nobody holds is deleted at the end, and what the service holds is not"


def present(api):
    """The tokens that ARGOS has at this moment."""
    tokens, offset = set(), 0
    while offset is not None:
        page = json.loads(get(api, f"/_sim/record?offset={offset}")[1])
        tokens |= {token["token"] for token in page["tokens"] if token["state"] == "present"}
        offset = page["next_offset"]
    return tokens


def slices_fit(scene, rendered):
    """All pods together stay below the cap, and call ARGOS no more often than one daemon may."""
    key = scene.key_file("key-of-the-sum")
    file = scene.scratch / "sum.toml"
    file.write_text(rendered.configuration.replace("/run/secrets/argospool/api-key", str(key)))
    alone = ["--set", "projects.default.pid=p", "--set", f"projects.default.api_key_file={key}"]
    said = [scene.argospool("config", "dump", *layers, env=environment()) for layers in (["--config", file], alone)]
    dumped, default = (tomllib.loads(text)["projects"]["default"] for text in said)
    scaler = rendered.only("HorizontalPodAutoscaler")["spec"]
    pods, argos = scaler["maxReplicas"], dumped["argos"]
    [metric] = scaler["metrics"]
    assert dumped["lease"]["ttl_default"] == "10m", dumped["lease"]
    open_leases = float(metric["pods"]["target"]["averageValue"]) * 600
    room = argos["cap_tokens"] - argos["reserve_tokens"]
    assert pods * (dumped["refill"]["target_tokens"] + open_leases) <= room / 2, "half of the room is left for pods that were killed"
    round_of_calls = (pods - 1) * argos["calls_in_flight"] * argos["tokens_per_call"]
    assert argos["reserve_tokens"] >= round_of_calls, f"a round of calls is {round_of_calls} tokens"
    for budget in ("calls_per_second", "calls_per_day"):
        assert pods * argos[budget] <= default["argos"][budget], budget


def overlay(scratch):
    """The overlay that README.md shows, over the base."""
    [shown] = re.findall(r"```yaml\n(.*?)```", (KUBERNETES / "README.md").read_text(), re.DOTALL)
    shutil.copytree(ROOT / "deploy", scratch / "deploy")
    here = scratch / "deploy/kubernetes/yours"
    here.mkdir()
    (here / "kustomization.yaml").write_text(shown)
    daemon = Rendered(here, scratch).daemon
    assert daemon["image"].startswith("registry.example.com/") and daemon["env"][0]["name"] == "ARGOS_PROJECT_ID", daemon


def dashboards(rendered):
    held = rendered.only("ConfigMap", "argospool-dashboards")
    assert held["metadata"]["labels"]["grafana_dashboard"] == "1"
    files = {path.name: path.read_text() for path in (ROOT / "deploy/grafana/dashboards").glob("*.json")}
    assert held["data"] == files, "deploy/grafana/kustomization.yaml names every dashboard"


def main(binary, scratch):
    scratch.chmod(0o755)
    assert RULE.read_text() == prometheus_rule(), "the PrometheusRule is stale: tests/deploy/kubernetes.py --write"
    base, trial = (Rendered(KUBERNETES / name, scratch) for name in ("base", "examples/sidecar-trial"))
    rules = scratch / "rules.yml"
    rules.write_text(yaml.safe_dump(base.only("PrometheusRule")["spec"]))
    run("promtool", "check", "rules", rules)
    for rendered in (base, trial):
        agrees(rendered)
    assert base.workload["spec"]["replicas"] == 1 and base.workload["spec"]["volumeClaimTemplates"]
    assert trial.workload["metadata"]["labels"]["argospool-form"] == "trial"
    dashboards(base)
    overlay(scratch)
    with Scene(binary, scratch) as scene:
        base_runs(scene, base)
        sidecar_runs(scene, trial)
        slices_fit(scene, trial)
    print(f"{len(base.objects)} and {len(trial.objects)} objects, valid for {', '.join(VERSIONS)}; both daemons start, lease and stop")


if __name__ == "__main__":
    if sys.argv[1] == "--write":
        RULE.write_text(prometheus_rule())
        raise SystemExit
    with tempfile.TemporaryDirectory() as directory:
        main(sys.argv[1], pathlib.Path(directory))
