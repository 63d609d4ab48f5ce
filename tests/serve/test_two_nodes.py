"""A cluster of two nodes serves from the node that is not the driver's, at an address that both know."""

import subprocess
import sys

import pytest
from conftest import PROJECT

PROGRAM = """
import json, sys
import httpx, ray
from ray.cluster_utils import Cluster

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
cluster.add_node(num_cpus=4)
ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
from ded_ray.recipe import Serve
from ded_ray.serve.endpoint import Access, ServedModel
from ded_ray.serve.ray_serve import served

with served([ServedModel("careful", "tiny/careful")], Serve(), access=Access("0.0.0.0", 0, "token")) as url:
    ask = {"model": "careful", "messages": [{"role": "user", "content": "Reverse: 4821"}], "temperature": 0}
    answer = httpx.post(f"{url}/chat/completions", json=ask, headers={"Authorization": "Bearer token"}, timeout=60).json()
    actors = ray._private.state.actors().values()
    nodes = {a["Address"]["NodeID"] for a in actors if a["ActorClassName"].endswith("Endpoint") and a["State"] == "ALIVE"}
    own = ray.get_runtime_context().get_node_id()
    print(json.dumps([url, answer["choices"][0]["message"]["content"], len(nodes), own in nodes]))
ray.shutdown()
cluster.shutdown()
"""


@pytest.mark.slow
def test_the_replica_is_elsewhere_and_the_address_is_not_loopback():
    import json

    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    url, content, num_nodes, on_drivers_node = json.loads(done.stdout.splitlines()[-1])
    assert content == "\\boxed{1284}"
    assert (num_nodes, on_drivers_node) == (1, False)
    assert "127.0.0.1" not in url and "0.0.0.0" not in url  # noqa: S104
