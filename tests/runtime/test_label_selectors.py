"""On a cluster whose nodes have labels a step runs where its recipe lets it; on this machine alone labels do not count."""

import json
import subprocess
import sys

import pytest
import yaml
from conftest import PROJECT
from pydantic import ValidationError

from ded_ray.recipe import Serve, Train, TransformersEngine, VllmEngine
from ded_ray.runtime.needs import engine_needs, serve_needs, train_needs

SPOT, STAYS = {"ray.io/market-type": "spot"}, {"ray.io/market-type": "on-demand"}
RECIPE = {
    "name": "placed",
    "problems": {"kind": "tiny", "family": "chain", "num_problems": 12, "difficulty": [3, 5], "seed": 1},
    "student": {"model": "tiny/student", "measure_pass_rate": False},
    "teacher": {
        "model": "tiny/careful", "sampling": {"num_rollouts": 2, "max_tokens": 80},
        "engine": {"kind": "transformers", "label_selector": SPOT},
    },
    "train": {"workers": 2, "max_steps": 2, "batch_size": 8, "label_selector": STAYS},
    "serve": {"label_selector": {"ray.io/market-type": "!spot", "disk": "in(ssd,nvme)"}},
    "evaluate": {
        "sampling": {"num_rollouts": 1, "max_tokens": 16},
        "benchmarks": [{"name": "chain", "domain": "in", "problems": {"kind": "tiny", "num_problems": 4, "seed": 9}}],
    },
}  # fmt: skip

PROGRAM = """
import json, os, subprocess, sys
import ray
from ray.cluster_utils import Cluster
from ray.util.state import list_actors

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 4, "include_dashboard": True, "dashboard_port": 0})
labels = {"takes": {"ray.io/market-type": "spot"}, "keeps": {"ray.io/market-type": "on-demand", "disk": "nvme"}}
names = {cluster.add_node(num_cpus=6, labels=each).node_id: name for name, each in labels.items()}
folder = sys.argv[1]
command = [sys.executable, "-m", "ded_ray.cli", "run", f"{folder}/recipe.yaml", "--out", f"{folder}/run"]
done = subprocess.run(command, env=os.environ | {"RAY_ADDRESS": cluster.address})
ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
found = {}
for actor in list_actors(limit=1000, detail=True):
    text = f"{actor.class_name} {actor.name} {actor.repr_name}"
    for kind in ("GenerateWorker", "RayTrainWorker", "Endpoint"):
        if kind in text:
            found.setdefault(kind, set()).add(names.get(actor.node_id, "head"))
print(json.dumps([done.returncode, {kind: sorted(nodes) for kind, nodes in found.items()}]))
ray.shutdown()
cluster.shutdown()
"""


def test_labels_count_on_a_cluster_only(monkeypatch):
    vllm = VllmEngine(label_selector=SPOT)
    everyone = [
        engine_needs(vllm),
        engine_needs(TransformersEngine(label_selector=SPOT)),
        train_needs(Train(label_selector=SPOT)),
        serve_needs(Serve(label_selector=SPOT)),
        serve_needs(Serve(engine=vllm)),
    ]
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert all("label_selector" not in needs.resources for needs in everyone)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert all(needs.resources["label_selector"] == SPOT for needs in everyone)
    spread = engine_needs(VllmEngine(tensor_parallel=2, label_selector=SPOT))
    assert "label_selector" not in spread.resources, "its placement group has it"
    assert spread.label_selector == SPOT


@pytest.mark.parametrize("labels", [{"a b": "c"}, {"a": ""}, {"a": "in()"}, {"a": "in(x, y)"}, {"a": "-x"}, {"a/b/c": "x"}])
def test_what_ray_would_not_take_is_refused(labels):
    with pytest.raises(ValidationError, match="label_selector"):
        Train(label_selector=labels)


@pytest.mark.slow
def test_steps_run_where_they_may(tmp_path):
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    code, placed = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr[-3000:]
    assert placed["RayTrainWorker"] == placed["Endpoint"] == ["keeps"]
    assert "takes" in placed["GenerateWorker"], "the teacher's; those that ask the endpoint may be anywhere"
