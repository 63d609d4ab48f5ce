"""The whole chain on nodes that share nothing but a bucket, over a line that fails, with kills: as if nothing had happened.

Every node is a Ray node of its own in a mount namespace of its own, so that no other sees what it has in its temporary
folder.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import yaml
from bucket import credentials, environment, failing_line, free_port, s3_server
from conftest import DED_RAY, PROJECT, run_cli
from namespaces import MOUNT, PRIVATE, may

from ded_ray.files.folders import folder_at
from ded_ray.files.lines import read_lines
from ded_ray.files.parts import read_records
from ded_ray.generate.store import compact
from ded_ray.records import Group
from ded_ray.run import Run

NUM_PROBLEMS = 40
RECIPE = {
    "name": "bucket",
    "problems": {"kind": "tiny", "family": "chain", "num_problems": NUM_PROBLEMS, "difficulty": [3, 5], "seed": 1},
    "student": {"model": "tiny/student", "measure_pass_rate": False},
    "teacher": {
        "model": "steady", "sampling": {"num_rollouts": 2},
        "engine": {"kind": "scripted", "batch_size": 1, "workers": 2, "seconds_per_group": 0.5, "error_rate": 0.2},
    },
    "train": {"max_steps": 4, "batch_size": 8, "checkpoint_every_steps": 2},
    "evaluate": {
        "sampling": {"num_rollouts": 1, "max_tokens": 16},
        "benchmarks": [{"name": "chain", "domain": "in", "problems": {"kind": "tiny", "num_problems": 4, "seed": 9}}],
    },
}  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not may("unshare", "--mount", *MOUNT), reason="needs the right to make mount namespaces (root)"),
]


class Node:
    """A Ray node with a temporary folder that nobody else sees."""

    def __init__(self, *arguments: str) -> None:
        ray = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--include-dashboard=false", *arguments]
        ray.append(f"--dashboard-agent-listen-port={free_port()}")
        script = f'mount -t tmpfs tmpfs {PRIVATE} && mkdir {PRIVATE}/own && exec "$@"'
        own = {"TMPDIR": f"{PRIVATE}/own", "HF_HOME": f"{PRIVATE}/own/hf", "RAY_AUTH_MODE": "disabled"}
        self.environment = os.environ | own
        self.process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script, "sh", *ray], env=self.environment, cwd=PROJECT,  # noqa: S607
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def run(self, *command: str, **variables: str) -> subprocess.Popen[str]:
        """A process that sees this node's folder."""
        entered = ["nsenter", "--mount", f"--target={self.process.pid}", f"--wdns={PROJECT}", *command]
        return subprocess.Popen(
            entered, env=self.environment | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def kill(self) -> None:
        for process in [*psutil.Process(self.process.pid).children(recursive=True), self.process]:
            process.kill()
        self.process.wait()


def curated(folder) -> list[Group]:
    groups = sorted(read_records(folder / "curated", Group), key=lambda group: group.group_id)
    for group in groups:
        group.rollouts = [replace(rollout, seconds=None) for rollout in group.rollouts]
    return groups


def saved(folder) -> set[str]:
    """Ids of the problems whose groups are in the store."""
    rollouts = folder / "teacher_rollouts"
    groups = [row for path in rollouts.glob(".journal-*") for row in read_lines(path)]
    parts = [group.problem_id for path in rollouts.glob("part-*.parquet") for group in read_records(path, Group)]
    return {row["problem_id"] for row in groups} | set(parts)


def wait_for(condition, driver: subprocess.Popen[str], seconds: float = 600) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert driver.poll() is None, driver.communicate()[0][-4000:]
        assert time.monotonic() < deadline, "it never came so far"
        time.sleep(0.2)


def test_kills_and_a_failing_store_change_nothing(tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    notes = tmp_path / "notes.txt"  # every problem that was asked; the only thing that is shared, and for the test alone
    command = [*DED_RAY, "run", str(tmp_path / "recipe.yaml"), "--set", f"teacher.engine.notes={notes}", "--out"]
    port = free_port()
    address = f"127.0.0.1:{port}"

    def asked() -> list[str]:
        return notes.read_text().split() if notes.exists() else []

    with s3_server() as url, failing_line(url) as (line, done), environment(**credentials(line), RAY_ADDRESS=address):
        drivers: list[subprocess.Popen[str]] = []
        nodes = [Node("--head", f"--port={port}", "--num-cpus=6")]
        try:
            time.sleep(10)
            nodes += [Node(f"--address={address}", "--num-cpus=2") for _ in range(2)]
            time.sleep(5)
            with environment(**credentials(url)):
                there = folder_at("s3://bucket/run")

                def start() -> subprocess.Popen[str]:
                    drivers.append(nodes[0].run(*command, "s3://bucket/run"))
                    return drivers[-1]

                driver = start()
                wait_for(lambda: len(asked()) >= 8, driver)
                driver.send_signal(signal.SIGKILL)
                for child in psutil.Process(driver.pid).children(recursive=True):
                    child.kill()
                before, were_asked = saved(there), len(asked())
                assert before, "nothing was saved before the kill"
                driver = start()
                wait_for(lambda: len(asked()) >= were_asked + 8, driver)
                nodes.pop(1).kill()
                nodes.append(Node(f"--address={address}", "--num-cpus=2"))
                output, _ = driver.communicate(timeout=900)
                assert driver.returncode == 0, output[-4000:]
                assert not before & set(asked()[were_asked + 4 :]), "what was in the store was asked again"
                assert len(asked()) <= NUM_PROBLEMS + 12, "no more than what was in flight was asked again"
                assert not list((there / "teacher_rollouts").glob(".journal-*"))
                assert len(compact(there / "teacher_rollouts").ids) == NUM_PROBLEMS
                assert done["busy"] and done["cut"], done
                found, scores = curated(there), Run.open(there).scores()
                second = nodes[0].run(*command, "s3://bucket/run")
                assert "nothing to do" in second.communicate(timeout=300)[0]
        finally:
            for node in nodes:
                node.kill()
            for driver in drivers:
                driver.kill()
    assert Counter(len(group.rollouts) for group in found) == {2: NUM_PROBLEMS}
    run_cli("run", tmp_path / "recipe.yaml", "--out", tmp_path / "run")
    assert found == curated(tmp_path / "run")
    assert scores == json.loads((tmp_path / "run" / "scores.json").read_text())
