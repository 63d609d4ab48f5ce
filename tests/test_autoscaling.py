"""A cluster that grows and shrinks with the run: real autoscaler, real Ray nodes, GPUs that are only numbers.

It has process numbers and a temporary folder of its own: Ray's test cluster begins and ends with `ray stop --force`.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import ray
import yaml
from conftest import PROJECT
from namespaces import MOUNT, PRIVATE, may

from ded_ray.files.lines import read_lines
from ded_ray.files.parts import read_records
from ded_ray.records import Group
from ded_ray.report.page import write_report
from ded_ray.run import Run

NUM_PROBLEMS = 60
RECIPE = {
    "name": "grows",
    "problems": {"kind": "tiny", "family": "chain", "num_problems": NUM_PROBLEMS, "difficulty": [3, 5], "seed": 1},
    "student": {"model": "tiny/student", "measure_pass_rate": False},
    "teacher": {
        "model": "steady", "sampling": {"num_rollouts": 2},
        "engine": {"kind": "scripted", "batch_size": 1, "workers": 2, "num_gpus": 1, "seconds_per_group": 2},
    },
    "verify": {"workers": [1, 2]},
    "train": {"workers": 2, "num_cpus": 3, "max_steps": 4, "batch_size": 8},
    "evaluate": {
        "sampling": {"num_rollouts": 1, "max_tokens": 16},
        "benchmarks": [{"name": "chain", "domain": "in", "problems": {"kind": "tiny", "num_problems": 4, "seed": 9}}],
    },
}  # fmt: skip

# Ray's own, which is not in its wheel (2.60).
EXAMPLE = {
    "cluster_name": "fake_multinode", "max_workers": 8, "upscaling_speed": 1.0, "idle_timeout_minutes": 0.1,
    "provider": {"type": "fake_multinode", "use_node_id_as_ip": True, "disable_node_updaters": True,
                 "disable_launch_config_check": True},
    "available_node_types": {}, "head_node_type": "ray.head.default", "auth": {}, "docker": {}, "file_mounts": {},
    "cluster_synced_files": [], "file_mounts_sync_continuously": False, "rsync_exclude": [], "rsync_filter": [],
    "initialization_commands": [],
    **{f"{whose}_commands": [] for whose in ("setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")},
}  # fmt: skip
FAKES = Path(ray.__file__).parent / "autoscaler" / "_private" / "fake_multi_node"

PROGRAM = """
import os, signal, subprocess, sys, time
import psutil, ray
from pathlib import Path
from ray.cluster_utils import AutoscalingCluster

os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
os.environ["RAY_AUTH_MODE"] = "disabled"
cluster = AutoscalingCluster(
    head_resources={"CPU": 4},
    worker_node_types={
        "gpu": {"resources": {"CPU": 2, "GPU": 1, "object_store_memory": 2**27}, "node_config": {}, "min_workers": 0,
                "max_workers": 2},
        "cpu": {"resources": {"CPU": 4, "object_store_memory": 2**27}, "node_config": {}, "min_workers": 0,
                "max_workers": 3},
    },
    max_workers=5, idle_timeout_minutes=0.3, autoscaler_v2=sys.argv[1] == "v2",
)
cluster.start()
address, folder, notes = "127.0.0.1:6379", sys.argv[2], Path(sys.argv[3])
command = [sys.executable, "-m", "ded_ray.cli", "run", f"{folder}/recipe.yaml", "--out", f"{folder}/run"]
driver = subprocess.Popen(command, env=os.environ | {"RAY_ADDRESS": address})

def asked():
    return len(notes.read_text().split()) if notes.exists() else 0

deadline = time.monotonic() + 400
while asked() < 16 and driver.poll() is None and time.monotonic() < deadline:
    time.sleep(0.5)
raylets = [p for p in psutil.process_iter(["cmdline"]) if "raylet/raylet" in " ".join(p.info["cmdline"] or [])
           and any('GPU,1' in part for part in p.info["cmdline"])]
print("raylets with a GPU:", len(raylets), flush=True)
if raylets:
    raylets[0].kill()
driver.wait(900)
ray.init(address=address, log_to_driver=False, logging_level="ERROR")
deadline = time.monotonic() + 200
while (left := sum(node["Alive"] for node in ray.nodes())) > 1 and time.monotonic() < deadline:
    time.sleep(2)
print("nodes left:", left, "driver:", driver.returncode, flush=True)
os._exit(0)
"""

own = ["unshare", "--pid", "--fork", "--mount-proc", "--mount", "--kill-child"]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not may(*own, *MOUNT), reason="needs the right to make namespaces of processes (root)"),
]


def test_nodes_come_for_a_step_and_go_after_it(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    recipe = RECIPE | {"teacher": RECIPE["teacher"] | {"engine": RECIPE["teacher"]["engine"] | {"notes": str(notes)}}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    (tmp_path / "example.yaml").write_text(yaml.safe_dump(EXAMPLE))
    script = f"""
        {" ".join(MOUNT)} && cp -r {FAKES} {PRIVATE}/fakes && cp {tmp_path}/example.yaml {PRIVATE}/fakes/ &&
        mount --bind {PRIVATE}/fakes {FAKES} && exec "$@"
    """
    command = [*own, "sh", "-c", script, "sh", sys.executable, "-c", PROGRAM, "v2", str(tmp_path), str(notes)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=1700)
    assert "nodes left: 1 driver: 0" in done.stdout, done.stdout[-2000:] + done.stderr[-4000:]
    assert "raylets with a GPU: 0" not in done.stdout, "no node was there to be killed"
    rows = list(read_lines(tmp_path / "run" / "cluster.jsonl"))
    answering = [row for row in rows if row["step"] == "teacher answers"]
    assert answering[0]["gpus"] == 0, "a cluster begins with its head"
    assert max(row["gpus_held"] for row in answering) == 2 == answering[0]["gpus_wanted"]
    assert max(row["nodes"] for row in rows) >= 3
    training = [row for row in rows if row["step"] == "train"]
    assert all(row["gpus_held"] == 0 for row in training), "given back"
    assert max(row["cpus_held"] for row in training) >= 6, "the gang has waited for a node of its own"
    assert Run.open(tmp_path / "run").ledger()[-1]["stage"] == "report"
    groups = list(read_records(tmp_path / "run" / "teacher_rollouts", Group))
    assert len({group.problem_id for group in groups}) == len(groups) == NUM_PROBLEMS
    assert len(notes.read_text().split()) <= NUM_PROBLEMS + 6, "only what was in flight on the lost node is asked again"
    assert "The cluster" in write_report(Run.open(tmp_path / "run")).read_text()
    assert json.loads((tmp_path / "run" / "spent.json").read_text())["teacher answers"]["gpu_hours"] > 0
