"""`ray job submit` as the README has it: a cluster with tokens, a bucket, a stop, and a second machine."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from bucket import credentials, environment, free_port, s3_server
from conftest import PROJECT

from ded_ray.files.folders import folder_at
from ded_ray.run import Run
from jobs.check_upload import uploaded

RAY = str(Path(sys.executable).with_name("ray"))
RECIPE = """
name: submitted
problems: {kind: tiny, num_problems: 30, difficulty: [3, 5]}
student: {model: tiny/student, measure_pass_rate: false}
teacher:
  model: known
  engine: {kind: scripted, batch_size: 1, seconds_per_group: 1}
  sampling: {num_rollouts: 2}
train: {max_steps: 2, batch_size: 4}
evaluate:
  sampling: {num_rollouts: 1, max_tokens: 60}
  benchmarks: [{name: chain, domain: in, problems: {kind: tiny, num_problems: 4, seed: 9}}]
"""
HERE, THERE = "10.213.7.1", "10.213.7.2"
"""Two ends of a cable between this network and another one, where nothing else is."""


@pytest.fixture(scope="module")
def head() -> Iterator[tuple[int, dict[str, str]]]:
    """(the dashboard's port, the environment of whoever may submit)"""
    token, port, dashboard = secrets.token_hex(16), free_port(), free_port()
    ours = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_TMPDIR": "/tmp/ray_submit"}  # noqa: S108
    ours["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with s3_server() as url:
        clean = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"} | ours
        started = subprocess.Popen(
            [RAY, "start", "--head", "--block", f"--port={port}", "--num-cpus=8", "--dashboard-host=0.0.0.0",
             f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={free_port()}"],
            env=clean | credentials(url), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            for _ in range(120):
                listed = subprocess.run([RAY, "job", "list", f"--address=http://127.0.0.1:{dashboard}"],
                                        env=clean, capture_output=True, timeout=100)  # fmt: skip
                if listed.returncode == 0:
                    break
                time.sleep(1)
            with environment(**credentials(url)):
                yield dashboard, clean
        finally:
            started.terminate()
            started.wait(60)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a user submits from: a clone, with runs, data and an environment in it that must not travel."""
    folder = tmp_path_factory.mktemp("clone") / "ded_ray"
    subprocess.run(["git", "clone", "-q", str(PROJECT), str(folder)], check=True)  # noqa: S607
    for name in ("runs/old/checkpoint/model.safetensors", ".venv/lib/torch.so", "rollouts.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as file:
            file.truncate(2**30)
    (folder / "recipe.yaml").write_text(RECIPE)
    return folder


RUN = "s3://bucket/one"


def submit(head, project, *options, address="127.0.0.1", within=(), command=("run", "recipe.yaml", "--out")):
    dashboard, variables = head
    job = [*within, RAY, "job", "submit", f"--address=http://{address}:{dashboard}", "--working-dir", str(project), *options]
    name, *arguments = command
    return subprocess.run(
        [*job, "--", "python", "-m", "ded_ray.cli", name, *arguments, RUN],
        env=variables,
        capture_output=True,
        text=True,
        timeout=900,
    )


def status(head, name: str) -> str:
    command = [RAY, "job", "status", f"--address=http://127.0.0.1:{head[0]}", name]
    done = subprocess.run(command, env=head[1], capture_output=True, text=True, timeout=100)
    return done.stdout + done.stderr


def test_what_would_be_uploaded_is_what_a_job_needs(project):
    sizes = uploaded(project)
    assert {"recipe.yaml", "jobs/pipeline.py", "ded_ray/tiny/weights/student/model.safetensors"} <= sizes.keys()
    assert not [name for name in sizes if name.startswith(("runs", ".git/", ".venv", "tests"))]
    assert sizes.total() < 20e6
    (project / "big.jsonl").touch()
    os.truncate(project / "big.jsonl", 2**30)
    told = subprocess.run([sys.executable, "-m", "jobs.check_upload", project], cwd=PROJECT, capture_output=True, text=True)
    (project / "big.jsonl").unlink()
    assert told.returncode == 2
    assert "1024.0 MiB  big.jsonl" in told.stdout
    assert "put data and models into a bucket" in told.stderr


@pytest.mark.slow
def test_without_the_token_nobody_gets_in(head, project):
    dashboard, variables = head
    stranger = dashboard, variables | {"RAY_AUTH_TOKEN": secrets.token_hex(16)}
    refused = submit(stranger, project)
    assert refused.returncode != 0
    assert "Authentication" in refused.stdout + refused.stderr or "401" in refused.stdout + refused.stderr


@pytest.mark.slow
def test_a_job_that_is_stopped_goes_on_with_the_next_submit(head, project):
    begun = submit(head, project, "--no-wait", "--submission-id=first")
    assert begun.returncode == 0, begun.stdout + begun.stderr
    rollouts = folder_at("s3://bucket/one/teacher_rollouts")
    for _ in range(600):
        if len(list(rollouts.glob(".journal-*/*"))) >= 3:
            break
        time.sleep(0.5)
    command = [RAY, "job", "stop", f"--address=http://127.0.0.1:{head[0]}", "first"]
    stopped = subprocess.run(command, env=head[1], capture_output=True, text=True, timeout=200)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert "was stopped" in status(head, "first")
    assert not folder_at("s3://bucket/one/.lease.json").exists(), "it ended in its own time"
    saved = {path.name for path in rollouts.glob(".journal-*")}
    assert saved
    again = submit(head, project, "--submission-id=second")
    assert again.returncode == 0, again.stdout[-3000:] + again.stderr[-3000:]
    run = Run.open(folder_at("s3://bucket/one"))
    assert {row["model"] for row in run.scores()} == {"base", "student"}
    assert int(re.search(r"teacher answers +(\d+)/30", again.stdout).group(1)) >= 3, "what the first job saved was there"


@pytest.mark.slow
def test_what_a_job_trained_is_served_by_another_one(head, project):
    served = submit(head, project, "--no-wait", "--submission-id=serve", command=("serve", f"--port={free_port()}"))
    assert served.returncode == 0, served.stdout + served.stderr
    logs = [RAY, "job", "logs", f"--address=http://127.0.0.1:{head[0]}", "serve"]
    for _ in range(300):
        told = subprocess.run(logs, env=head[1], capture_output=True, text=True, timeout=100).stdout
        if found := re.search(r"serving student, base at (\S+)", told):
            break
        assert "failed" not in status(head, "serve"), told[-3000:]
        time.sleep(1)
    assert found, told[-3000:]
    ask = {"model": "student", "messages": [{"role": "user", "content": "Left to right, mod 10: 1+2"}], "max_tokens": 20}
    answer = httpx.post(f"{found.group(1)}/chat/completions", json=ask, timeout=100).json()
    assert answer["choices"][0]["message"]["content"]
    stop = [RAY, "job", "stop", f"--address=http://127.0.0.1:{head[0]}", "serve"]
    assert subprocess.run(stop, env=head[1], capture_output=True, timeout=200).returncode == 0


@pytest.mark.slow
def test_a_wrong_recipe_is_one_line_in_the_jobs_log(head, project):
    (project / "recipe.yaml").write_text(RECIPE.replace("max_steps", "max_step"))
    try:
        wrong = submit(head, project, "--submission-id=wrong")
    finally:
        (project / "recipe.yaml").write_text(RECIPE)
    assert wrong.returncode == 1
    assert "ded-ray: recipe.yaml: train.max_step: unknown knob; did you mean `max_steps`" in wrong.stdout


@pytest.fixture
def second_machine() -> Iterator[tuple[str, ...]]:
    """How a command is run where only a cable leads here."""
    if shutil.which("ip") is None:
        pytest.skip("needs ip, of iproute2")
    name = f"ded{os.getpid() % 1000}"
    cable = [["ip", "netns", "add", name], ["ip", "link", "add", name, "type", "veth", "peer", f"{name}b"],
             ["ip", "link", "set", f"{name}b", "netns", name], ["ip", "addr", "add", f"{HERE}/24", "dev", name],
             ["ip", "link", "set", name, "up"], ["ip", "-n", name, "addr", "add", f"{THERE}/24", "dev", f"{name}b"],
             ["ip", "-n", name, "link", "set", f"{name}b", "up"], ["ip", "-n", name, "link", "set", "lo", "up"]]  # fmt: skip
    try:
        for command in cable:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"needs the right to make network namespaces ({done.stderr.strip()})")
        yield ("ip", "netns", "exec", name)
    finally:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)  # noqa: S607


@pytest.mark.slow
def test_a_second_machine_submits(head, project, second_machine):
    done = submit(head, project, "--submission-id=far", address=HERE, within=second_machine)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert json.loads((folder_at("s3://bucket/one") / "scores.json").read_text())
