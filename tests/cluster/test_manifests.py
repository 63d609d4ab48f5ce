import json
from pathlib import Path

import jsonschema
import pytest
import yaml
from conftest import PROJECT

SCHEMAS = PROJECT.parent / "shared" / "kuberay"


def test_the_ray_job_fits_kuberays_schema_and_our_ray() -> None:
    job = yaml.safe_load((PROJECT / "cluster" / "kuberay" / "rayjob.yaml").read_text())
    assert (
        f"ray[data,train,serve,default]=={job['spec']['rayClusterSpec']['rayVersion']}"
        in (PROJECT / "pyproject.toml").read_text()
    )
    schema = Path(SCHEMAS / "rayjob.v1.schema.json")
    if not schema.exists():
        pytest.skip("needs KubeRay's schema, which lies beside the project on its developers' machines")
    jsonschema.validate(job, json.loads(schema.read_text()))
