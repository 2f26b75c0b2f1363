"""A daemon beside the simulator, as measurements want it: one project, everything on loopback."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))
from session import KEY  # noqa: E402


def configure(scratch, grpc, simulator, http="127.0.0.1:0", ledger=None, **project):
    """Writes scratch/argospool.toml and the API key, and gives the path of the former.

    `grpc` and `http` are HOST:PORT, `grpc` may be unix:PATH; `simulator` is where ARGOS is. `ledger` holds keys
    of that section, `project` those of the project's sections, such as refill={"target_tokens": 5_000}.
    """
    key = scratch / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    path = grpc.removeprefix("unix:")
    sections = {
        "grpc": {"listen": grpc} if path == grpc else {"unix_socket": path},
        "http": {"listen": http},
        "ledger": ledger or {},
        "projects.default": {"pid": "pid_demo", "api_key_file": str(key)},
        "projects.default.argos": {"api_url": f"http://{simulator}/v3"} | project.pop("argos", {}),
    } | {f"projects.default.{name}": keys for name, keys in project.items()}
    lines = [f"data_dir = {json.dumps(str(scratch / 'data'))}"]
    for name, keys in sections.items():
        lines.append(f"[{name}]")
        # Numbers and simple strings are written alike in both.
        lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    config = scratch / "argospool.toml"
    config.write_text("\n".join(lines) + "\n")
    return config
