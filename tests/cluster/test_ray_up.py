"""Clusters without Kubernetes: what `ray up` and SkyPilot read."""

import json
import re

import jsonschema
import pytest
import yaml
from conftest import PROJECT

CLUSTER = PROJECT / "cluster"


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_clusters_fit_rays_schema(cloud: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((CLUSTER / "ray_up" / f"{cloud}.yaml").read_text())
    validate_config(prepare_config(config))
    workers = {name: kind for name, kind in config["available_node_types"].items() if name != config["head_node_type"]}
    assert all(kind["min_workers"] == 0 for kind in workers.values())
    assert sum(kind["max_workers"] for kind in workers.values()) == config["max_workers"]
    spot = {name for name, kind in workers.items() if re.search("'spot'|'preemptible': True", str(kind["node_config"]))}
    assert (
        spot
        == {name for name, kind in workers.items() if kind["labels"]["ray.io/market-type"] == "spot"}
        == {"cpu", "rollouts"}
    )


def test_a_misspelt_knob_does_not_fit() -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = yaml.safe_load((CLUSTER / "ray_up" / "aws.yaml").read_text())
    config["available_node_types"]["cpu"]["min_worker"] = 0
    with pytest.raises(jsonschema.ValidationError, match="min_worker"):
        validate_config(prepare_config(config))


def test_no_role_may_do_everything() -> None:
    for path in (CLUSTER / "ray_up").glob("*.json"):
        for statement in json.loads(path.read_text())["Statement"]:
            actions = statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
            assert not any("*" in action for action in actions), path
            assert statement["Resource"] != "*" or "Condition" in statement or all("Describe" in a for a in actions), path


def test_skypilots_task_is_short_and_runs_the_command() -> None:
    text = (CLUSTER / "sky.yaml").read_text()
    task = yaml.safe_load(text)
    assert len(text.splitlines()) <= 20
    assert "ded-ray run" in task["run"] and (PROJECT / task["envs"]["RECIPE"]).exists()
