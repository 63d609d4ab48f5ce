"""Ray Serve's own commands, as a RayService uses them: `serve deploy` on a cluster of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from bucket import free_port
from conftest import PROJECT

pytestmark = pytest.mark.slow
BIN = Path(sys.executable).parent
TOKEN = {"Authorization": "Bearer of-the-head"}


@pytest.fixture(scope="module")
def head() -> Iterator[dict[str, str]]:
    """The environment of whoever deploys. The head has a token for endpoints, whoever deploys has none."""
    port, dashboard = free_port(), free_port()
    ours = {"RAY_AUTH_MODE": "disabled", "RAY_TMPDIR": "/tmp/ray_deploy", "PYTHONPATH": str(PROJECT)}  # noqa: S108
    ours["RAY_DASHBOARD_ADDRESS"] = f"http://127.0.0.1:{dashboard}"
    clean = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | ours
    command = [
        BIN / "ray", "start", "--head", "--block", f"--port={port}", "--num-cpus=6", f"--dashboard-port={dashboard}",
        f"--dashboard-agent-listen-port={free_port()}",
    ]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=clean | {"DED_RAY_API_KEY": "of-the-head"}, **quiet) as started:
        for _ in range(120):
            if subprocess.run([BIN / "serve", "status"], env=clean, capture_output=True, timeout=100).returncode == 0:
                break
            time.sleep(1)
        yield clean
        started.terminate()


def deploy(head: dict[str, str], file: Path, port: int, **application: object) -> str:
    """How Ray Serve says that it went."""
    app = {"name": "default", "route_prefix": "/", "import_path": "ded_ray.stages.serve:app", **application}
    file.write_text(yaml.safe_dump({"http_options": {"host": "0.0.0.0", "port": port}, "applications": [app]}))  # noqa: S104
    subprocess.run([BIN / "serve", "deploy", file], env=head, check=True, capture_output=True, timeout=100)
    until = time.monotonic() + 120
    while time.monotonic() < until:
        status = subprocess.run([BIN / "serve", "status"], env=head, capture_output=True, text=True, timeout=100).stdout
        found = yaml.safe_load(status)["applications"].get("default", {})
        if found.get("status") in {"RUNNING", "DEPLOY_FAILED"}:
            return f"{found['status']} {found.get('message', '')}"
        time.sleep(0.5)
    raise AssertionError(status)


def test_a_run_is_deployed_changed_in_place_and_never_open_without_a_token(head, quickstart, tmp_path):
    port, run = free_port(), str(quickstart)
    both = deploy(head, tmp_path / "app.yaml", port, args={"run": run, "models": "student,base"})
    assert both.startswith("RUNNING"), both
    url = f"http://127.0.0.1:{port}/v1"
    assert httpx.get(f"{url}/models", timeout=30).status_code == 401
    models = httpx.get(f"{url}/models", headers=TOKEN, timeout=30).json()
    assert [model["id"] for model in models["data"]] == ["student", "base"]
    ask = {"model": "student", "messages": [{"role": "user", "content": "Reverse: 4821"}], "temperature": 0}
    answer = httpx.post(f"{url}/chat/completions", headers=TOKEN, json=ask, timeout=60).json()
    assert answer["choices"][0]["message"]["content"] == "\\boxed{1284}", json.dumps(answer)

    assert deploy(head, tmp_path / "app.yaml", port, args={"run": run}).startswith("RUNNING")
    models = httpx.get(f"{url}/models", headers=TOKEN, timeout=30).json()
    assert [model["id"] for model in models["data"]] == ["student"]

    none = {"env_vars": {"DED_RAY_API_KEY": ""}}
    failed = deploy(head, tmp_path / "app.yaml", port, args={"run": run}, runtime_env=none)
    assert "listens on 0.0.0.0, for others too: an endpoint there needs a token" in failed
